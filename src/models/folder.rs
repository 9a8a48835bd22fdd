//! A policy or reward model as a folder that `transformers` opens.

use super::{Decoder, DecoderConfig, END, Parameters, Tokenizer};
use crate::error::{Doing, Error, Result};
use burn::tensor::Device;
use serde_json::{Value, json};
use std::path::Path;

/// A model with its tokenizer.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The transformer.
    pub decoder: Decoder,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
}

impl Policy {
    /// Writes config.json, generation_config.json, model.safetensors, tokenizer.json and tokenizer_config.json.
    pub fn save(&self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder).doing("create", folder)?;
        self.decoder.parameters.save(&folder.join("model.safetensors"))?;
        self.tokenizer.save(&folder.join("tokenizer.json"))?;
        write(&folder.join("config.json"), &config_json(&self.decoder.config))?;
        write(&folder.join("generation_config.json"), &json!({ "bos_token_id": END, "eos_token_id": END, "do_sample": true }))?;
        let end = "<|endoftext|>";
        let tokenizer_config = json!({
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": end, "eos_token": end, "pad_token": end,
            "model_max_length": self.decoder.config.context,
            "clean_up_tokenization_spaces": false,
        });
        write(&folder.join("tokenizer_config.json"), &tokenizer_config)
    }

    /// Reads such a folder.
    pub fn load(folder: &Path, device: &Device) -> Result<Self> {
        Ok(Policy { decoder: Decoder::load(folder, device)?, tokenizer: Tokenizer::load(&folder.join("tokenizer.json"))? })
    }
}

impl Decoder {
    /// Reads config.json and model.safetensors of such a folder.
    pub fn load(folder: &Path, device: &Device) -> Result<Self> {
        let path = folder.join("config.json");
        let text = std::fs::read_to_string(&path).doing("read", &path)?;
        let config = read_config(&text).map_err(|what| Error::Other(format!("{}: {what}", path.display())))?;
        let parameters = Parameters::load(&folder.join("model.safetensors"), &config.shapes(), device)?;
        Ok(Decoder { config, parameters })
    }
}

fn write(path: &Path, value: &Value) -> Result<()> {
    std::fs::write(path, format!("{value:#}\n")).doing("write", path)
}

fn config_json(config: &DecoderConfig) -> Value {
    let mut json = json!({
        "architectures": [if config.scalar_head { "GPT2ForSequenceClassification" } else { "GPT2LMHeadModel" }],
        "model_type": "gpt2",
        "vocab_size": config.vocabulary,
        "n_positions": config.context,
        "n_embd": config.width,
        "n_layer": config.layers,
        "n_head": config.heads,
        "activation_function": "gelu_new",
        "layer_norm_epsilon": 1e-5,
        "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0, "summary_first_dropout": 0.0,
        "bos_token_id": END, "eos_token_id": END,
        "tie_word_embeddings": true,
        "torch_dtype": "float32",
    });
    if config.scalar_head {
        json["num_labels"] = json!(1);
    } else {
        // A reward model has none: `transformers` would look for the score before the end token, which is also padding.
        json["pad_token_id"] = json!(END);
    }
    json
}

fn read_config(text: &str) -> Result<DecoderConfig, String> {
    let json: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if json["model_type"] != "gpt2" {
        return Err(format!("model type {} is not supported; GPT-2 is", json["model_type"]));
    }
    if json["activation_function"] != "gelu_new" {
        return Err(format!("activation {} is not supported; gelu_new is", json["activation_function"]));
    }
    let size = |key: &str| json[key].as_u64().map(|size| size as usize).ok_or_else(|| format!("`{key}` is missing"));
    let config = DecoderConfig {
        vocabulary: size("vocab_size")?,
        context: size("n_positions")?,
        width: size("n_embd")?,
        layers: size("n_layer")?,
        heads: size("n_head")?,
        scalar_head: json["architectures"][0] == "GPT2ForSequenceClassification",
    };
    if config.heads == 0 || !config.width.is_multiple_of(config.heads) {
        return Err(format!("{} heads do not divide a width of {}", config.heads, config.width));
    }
    Ok(config)
}
