//! A policy or reward model as a folder that `transformers` opens.

use super::{Decoder, END, Tokenizer};
use crate::bounded;
use crate::error::{Doing, Error, Result};
use burn::tensor::Device;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;

/// A model with its tokenizer.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The transformer.
    pub decoder: Decoder,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    companions: Arc<Vec<(&'static str, Vec<u8>)>>,
}

/// What a model's folder holds beside the model: for whoever lets go of its weights and saves others.
pub struct Beside {
    tokenizer: Tokenizer,
    companions: Arc<Vec<(&'static str, Vec<u8>)>>,
}

impl Beside {
    /// With a model.
    pub fn with(self, decoder: Decoder) -> Policy {
        Policy { decoder, tokenizer: self.tokenizer, companions: self.companions }
    }
}

const TOKENIZER: &str = "tokenizer.json";

/// Files beside config.json and the weights: they are carried from the folder that a model was read from to every one it is
/// written to.
const COMPANIONS: [&str; 10] = [
    TOKENIZER,
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "generation_config.json",
    "chat_template.jinja",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
    "tokenizer.model",
];

impl Policy {
    /// A model that no folder holds yet, with a built-in tokenizer.
    pub fn new(decoder: Decoder, tokenizer: Tokenizer) -> Self {
        let end = "<|endoftext|>";
        let tokenizer_config = json!({
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": end, "eos_token": end, "pad_token": end,
            "model_max_length": decoder.config.context,
            "clean_up_tokenization_spaces": false,
        });
        let generation_config = json!({ "bos_token_id": END, "eos_token_id": END, "do_sample": true });
        let text = |json| format!("{json:#}\n").into_bytes();
        let companions =
            vec![("tokenizer_config.json", text(tokenizer_config)), ("generation_config.json", text(generation_config))];
        Policy { decoder, tokenizer, companions: Arc::new(companions) }
    }

    /// What is there beside the model.
    pub fn beside(&self) -> Beside {
        Beside { tokenizer: self.tokenizer.clone(), companions: self.companions.clone() }
    }

    /// Another model with the same tokenizer.
    pub fn with(&self, decoder: Decoder) -> Self {
        Policy { decoder, ..self.clone() }
    }

    /// Writes config.json, model.safetensors, and the tokenizer's files.
    pub fn save(&self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder).doing("create", folder)?;
        self.decoder.save(folder)?;
        if !self.companions.iter().any(|(name, _)| *name == TOKENIZER) {
            self.tokenizer.save(&folder.join(TOKENIZER))?;
        }
        for (name, bytes) in self.companions.iter() {
            let path = folder.join(name);
            std::fs::write(&path, bytes).doing("write", &path)?;
        }
        Ok(())
    }

    /// Reads such a folder.
    pub fn load(folder: &Path, device: &Device) -> Result<Self> {
        let (decoder, tokenizer) = (Decoder::load(folder, device)?, Tokenizer::open(folder)?);
        let (largest, vocabulary) = (tokenizer.largest_id() as usize, decoder.config.vocabulary);
        if largest >= vocabulary {
            return Err(Error::Data(format!(
                "{}: the tokenizer has token {largest}, but the embedding has only {vocabulary} rows; copy tokenizer.json and the \
                 weights of one model",
                folder.display()
            )));
        }
        let mut companions = Vec::new();
        for name in COMPANIONS {
            let path = folder.join(name);
            if path.is_file() {
                companions.push((name, bounded::read(&path, bounded::VOCABULARY).doing("read", &path)?));
            }
        }
        Ok(Policy { decoder, tokenizer, companions: Arc::new(companions) })
    }
}
