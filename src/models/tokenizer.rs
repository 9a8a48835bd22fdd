//! Text to tokens and back, by the crate `tokenizers`, so that tokenizer.json is the file that `transformers` reads.

use crate::error::{Error, Result};
use std::path::Path;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::models::wordlevel::WordLevel;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::whitespace::WhitespaceSplit;
use tokenizers::{AddedToken, Tokenizer as Inner};

/// Id of the token that starts and ends every sequence, GPT-2's `<|endoftext|>`.
pub const END: u32 = 0;
const END_TEXT: &str = "<|endoftext|>";
const UNKNOWN_TEXT: &str = "<|unknown|>";

/// A tokenizer.
#[derive(Clone, Debug)]
pub struct Tokenizer(Inner);

impl Tokenizer {
    /// One token a word of a closed vocabulary; words stand apart by white space.
    pub fn words(vocabulary: &[&str]) -> Result<Self> {
        let entries = [END_TEXT, UNKNOWN_TEXT].into_iter().chain(vocabulary.iter().copied());
        let vocabulary = entries.enumerate().map(|(id, word)| (word.to_owned(), id as u32)).collect();
        let model = WordLevel::builder().vocab(vocabulary).unk_token(UNKNOWN_TEXT.into()).build().map_err(Error::other)?;
        let mut inner = Inner::new(model);
        inner.with_pre_tokenizer(Some(WhitespaceSplit));
        inner.add_special_tokens([AddedToken::from(END_TEXT, true)]).map_err(Error::other)?;
        Ok(Tokenizer(inner))
    }

    /// Trains a byte-level BPE (Sennrich et al. 2016; Radford et al. 2019) of `size` entries on texts.
    pub fn byte_level_bpe<'a>(texts: impl Iterator<Item = &'a str> + Send, size: usize) -> Result<Self> {
        let mut trainer = BpeTrainer::builder()
            .vocab_size(size)
            .min_frequency(2)
            .show_progress(false)
            .special_tokens(vec![AddedToken::from(END_TEXT, true)])
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .build();
        let mut tokenizer = tokenizers::TokenizerBuilder::<BPE, tokenizers::NormalizerWrapper, _, _, _>::new()
            .with_model(BPE::default())
            .with_pre_tokenizer(Some(ByteLevel::default().add_prefix_space(false)))
            .with_post_processor(Some(ByteLevel::default()))
            .with_decoder(Some(ByteLevel::default()))
            .build()
            .map_err(Error::other)?;
        tokenizer.train(&mut trainer, texts.map(str::to_owned)).map_err(Error::other)?;
        Ok(Tokenizer(tokenizer.into()))
    }

    /// Reads tokenizer.json.
    pub fn load(path: &Path) -> Result<Self> {
        Inner::from_file(path).map(Tokenizer).map_err(|error| Error::Other(format!("cannot read {}: {error}", path.display())))
    }

    /// Writes tokenizer.json.
    pub fn save(&self, path: &Path) -> Result<()> {
        self.0.save(path, false).map_err(|error| Error::Other(format!("cannot write {}: {error}", path.display())))
    }

    /// Number of entries.
    pub fn size(&self) -> usize {
        self.0.get_vocab_size(true)
    }

    /// Tokens of a text, without start or end.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        self.0.encode_fast(text, false).map(|encoding| encoding.get_ids().to_vec()).map_err(Error::other)
    }

    /// Text of tokens; special tokens are left out.
    pub fn decode(&self, tokens: &[u32]) -> Result<String> {
        self.0.decode(tokens, true).map_err(Error::other)
    }
}
