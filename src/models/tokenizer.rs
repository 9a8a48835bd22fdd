//! Text to tokens and back, by the crate `tokenizers`, so that tokenizer.json is the file that `transformers` reads.

use super::growth::{self, Outline};
use super::special_tokens::{JsonFile, add_configured_tokens, mark_special, special_token_names};
use crate::bounded;
use crate::error::{Doing, Error, Result};
use crate::guard::guarded;
use serde_json::Value;
use std::path::Path;
use std::sync::OnceLock;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::models::wordlevel::WordLevel;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::whitespace::WhitespaceSplit;
use tokenizers::{AddedToken, Tokenizer as Inner};

/// Id of the token that starts and ends every sequence, GPT-2's `<|endoftext|>`.
pub const END: u32 = 0;
const END_TEXT: &str = "<|endoftext|>";
const UNKNOWN_TEXT: &str = "<|unknown|>";

/// Tokens that start, end and fill sequences.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpecialTokens {
    /// Starts a sequence; some models have none.
    pub start: Option<u32>,
    /// Each ends a completion; the tokenizer's own is first. A chat model may have one for a text and one for a turn.
    pub ends: Vec<u32>,
    /// Fills the shorter sequences of a batch.
    pub padding: Option<u32>,
}

/// A tokenizer.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    /// Reads a special token's text as plain text.
    inner: Inner,
    /// The same, but reads a special token's text as that token; made when it is first asked for.
    with_special: OnceLock<Inner>,
    special: SpecialTokens,
    /// By which factor a text grows at most before it is cut into tokens.
    growth: f64,
}

impl Tokenizer {
    /// One token a word of a closed vocabulary; words stand apart by white space.
    pub fn words(vocabulary: &[&str]) -> Result<Self> {
        let entries = [END_TEXT, UNKNOWN_TEXT].into_iter().chain(vocabulary.iter().copied());
        let vocabulary = entries.enumerate().map(|(id, word)| (word.to_owned(), id as u32)).collect();
        let model = WordLevel::builder().vocab(vocabulary).unk_token(UNKNOWN_TEXT.into()).build().map_err(Error::other)?;
        let mut inner = Inner::new(model);
        inner.with_pre_tokenizer(Some(WhitespaceSplit));
        inner.add_special_tokens([AddedToken::from(END_TEXT, true)]).map_err(Error::other)?;
        Ok(Self::new(inner))
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
        Ok(Self::new(tokenizer.into()))
    }

    /// Reads tokenizer.json and nothing beside it: `<|endoftext|>`, if it is a special token, starts and ends sequences.
    ///
    /// Fails if the file cannot be read or is not a tokenizer's.
    pub fn load(path: &Path) -> Result<Self> {
        let text = bounded::read(path, bounded::VOCABULARY).doing("read", path)?;
        let wrong = |what: &dyn std::fmt::Display| {
            Error::Data(format!("{} is not a tokenizer that dpo-lab can read: {what}; get the file again", path.display()))
        };
        let outline = serde_json::from_slice::<Outline>(&text).map_err(|error| wrong(&error))?;
        let growth = outline.growth().map_err(|what| wrong(&what))?;
        // tokenizers 0.23 panics on some JSON that is not a tokenizer's.
        let read = guarded(|| Inner::from_bytes(&text)).map_err(|said| wrong(&said))?;
        let mut inner = read.map_err(|error| wrong(&error))?;
        // Left over from somebody's training run; either would silently cut or lengthen every text.
        inner.with_truncation(None).map_err(|error| wrong(&error))?;
        inner.with_padding(None);
        Ok(Tokenizer { growth, ..Self::new(inner) })
    }

    /// Reads the tokenizer of a model's folder: tokenizer.json, what tokenizer_config.json or special_tokens_map.json says
    /// about special tokens, and the ids that generation_config.json or config.json adds. Only tokenizer.json must be there.
    ///
    /// Fails if a file is damaged, or if a token that only tokenizer_config.json has cannot get the id that is named there.
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join("tokenizer.json");
        if !path.exists() {
            return Err(Error::Data(format!(
                "{} is missing: dpo-lab reads fast tokenizers only; make the file in Python with \
                 `AutoTokenizer.from_pretrained(\"MODEL\").save_pretrained(\"{}\")` of transformers",
                path.display(),
                folder.display()
            )));
        }
        let Tokenizer { mut inner, growth, .. } = Self::load(&path)?;
        add_configured_tokens(&mut inner, folder)?;
        let names = special_token_names(folder)?;
        mark_special(&mut inner, &names)?;

        let generation = JsonFile::read(folder.join("generation_config.json"))?;
        let config = JsonFile::read(folder.join("config.json"))?;
        let exists = |id: &u32| inner.id_to_token(*id).is_some();
        let named = |name: &str| names.get(name).and_then(Value::as_str).and_then(|text| inner.token_to_id(text));
        let listed = |key: &str| -> Result<Vec<u32>> {
            let ids = generation.ids(key)?;
            Ok(if ids.is_empty() { config.ids(key)? } else { ids }.into_iter().filter(exists).collect())
        };
        // `"bos_token": null` says that there is none, whatever config.json, which is not about text, says.
        let single = |name: &str, key: &str| -> Result<Option<u32>> {
            Ok(if names.contains_key(name) { named(name) } else { listed(key)?.first().copied() })
        };
        let mut ends: Vec<u32> = named("eos_token").into_iter().collect();
        for id in listed("eos_token_id")? {
            if !ends.contains(&id) {
                ends.push(id);
            }
        }
        let special =
            SpecialTokens { start: single("bos_token", "bos_token_id")?, ends, padding: single("pad_token", "pad_token_id")? };

        let mut tokenizer = Tokenizer { growth, ..Self::new(inner) };
        if special != SpecialTokens::default() {
            tokenizer.special = special;
        }
        Ok(tokenizer)
    }

    /// Sequences start and end with `<|endoftext|>` if that is a special token of it.
    fn new(mut inner: Inner) -> Self {
        inner.set_encode_special_tokens(true);
        let is_special = inner.get_added_vocabulary().is_special_token(END_TEXT);
        let end = inner.token_to_id(END_TEXT).filter(|_| is_special);
        let special = SpecialTokens { start: end, ends: end.into_iter().collect(), padding: end };
        Tokenizer { inner, with_special: OnceLock::new(), special, growth: 1.0 }
    }

    /// Writes tokenizer.json. Fails if the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        self.inner.save(path, false).map_err(|error| Error::Other(format!("cannot write {}: {error}", path.display())))
    }

    /// Number of entries.
    pub fn size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// The largest id, which a model's embedding must have a row for; it may be more than `size() - 1`. 0 if there are none.
    pub fn largest_id(&self) -> u32 {
        self.inner.get_vocab(true).into_values().max().unwrap_or(0)
    }

    /// Tokens that start, end and fill sequences.
    pub fn special(&self) -> &SpecialTokens {
        &self.special
    }

    /// Tokens of a plain text, without start or end.
    ///
    /// `<|endoftext|>` written in a text is text, not the token that ends it: a row of a data set must not be able to end a
    /// sequence or to take another role in a chat. `transformers` by default reads it as the token. Word-level and unigram
    /// models that also list the token as a word of theirs still find that word.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        self.ids(&self.inner, text, false)
    }

    /// Tokens of what a chat template has rendered: special tokens that the text names become those tokens. None are added.
    ///
    /// The messages inside can name them too, as with `transformers`: see [`encode`](Self::encode) for text of data sets.
    pub fn encode_with_special(&self, text: &str) -> Result<Vec<u32>> {
        let inner = self.with_special.get_or_init(|| {
            let mut inner = self.inner.clone();
            inner.set_encode_special_tokens(false);
            inner
        });
        self.ids(inner, text, false)
    }

    /// The token that the tokenizer itself puts before every text, as Llama's does.
    pub fn opening(&self) -> Result<Option<u32>> {
        Ok(self.encode_wrapped("")?.first().copied().filter(|first| self.special.start == Some(*first)))
    }

    /// Tokens of a plain text with those that the tokenizer puts around one, as a classifier's `[CLS]` and `[SEP]`.
    pub fn encode_wrapped(&self, text: &str) -> Result<Vec<u32>> {
        self.ids(&self.inner, text, true)
    }

    /// Text of tokens; special tokens, and ids that are not in the vocabulary, are left out.
    pub fn decode(&self, tokens: &[u32]) -> Result<String> {
        self.text(tokens, true)
    }

    /// Text of tokens, special tokens included; ids that are not in the vocabulary are left out.
    pub fn decode_all(&self, tokens: &[u32]) -> Result<String> {
        self.text(tokens, false)
    }

    fn ids(&self, inner: &Inner, text: &str, wrapped: bool) -> Result<Vec<u32>> {
        if text.len() as f64 * self.growth > growth::MOST {
            let (bytes, factor) = (text.len(), self.growth);
            let what = format!("a text of {bytes} bytes may become {factor:e} times as long in this tokenizer's normalizer");
            return Err(Error::Data(format!("{what}; take the tokenizer.json of the model's own repository")));
        }
        let encoded = guarded(|| inner.encode_fast(text, wrapped)).map_err(failed)?;
        encoded.map(|encoding| encoding.get_ids().to_vec()).map_err(Error::other)
    }

    fn text(&self, tokens: &[u32], skip_special: bool) -> Result<String> {
        guarded(|| self.inner.decode(tokens, skip_special)).map_err(failed)?.map_err(Error::other)
    }

    /// A token as the vocabulary writes it, for example `Ġworld` or `<0x0A>`; none if there is no such id.
    pub fn token_text(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// Decodes a completion token by token as it comes. `before` is the prompt: its text is not repeated, but the space
    /// between it and the first word depends on it.
    pub fn stream(&self, before: &[u32]) -> TextStream<'_> {
        TextStream { tokenizer: self, tokens: before.to_vec(), context: 0, given: before.len() }
    }
}

/// Text of tokens that come one at a time. Special tokens are left out.
#[derive(Clone, Debug)]
pub struct TextStream<'a> {
    tokenizer: &'a Tokenizer,
    tokens: Vec<u32>,
    /// Tokens before this one no longer change what follows.
    context: usize,
    /// The text of tokens before this one has been given.
    given: usize,
}

impl TextStream<'_> {
    /// The text that a token completes; none if it only begins a character, or is a special token.
    pub fn push(&mut self, token: u32) -> Result<Option<String>> {
        self.tokens.push(token);
        let text = self.waiting()?;
        // An incomplete character decodes to U+FFFD.
        if text.is_empty() || text.ends_with('\u{fffd}') {
            return Ok(None);
        }
        self.context = self.given;
        self.given = self.tokens.len();
        Ok(Some(text))
    }

    /// What is still waiting at the end, with U+FFFD where a character stayed incomplete; empty if nothing is.
    pub fn finish(self) -> Result<String> {
        self.waiting()
    }

    fn waiting(&self) -> Result<String> {
        // Some tokenizers drop a space at the start of what they decode, so tokens are decoded after those before them.
        let before = self.tokenizer.decode(&self.tokens[self.context..self.given])?;
        let text = self.tokenizer.decode(&self.tokens[self.context..])?;
        let before = before.trim_end_matches('\u{fffd}');
        Ok(text.get(before.len()..).unwrap_or_default().to_owned())
    }
}

/// tokenizers 0.23 panics on some texts that its own settings cannot handle.
fn failed(said: String) -> Error {
    Error::Data(format!("the tokenizer failed ({said}); take the tokenizer.json of the model's own repository"))
}

#[cfg(test)]
#[path = "tokenizer_tests.rs"]
mod tests;
