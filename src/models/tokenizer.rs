//! Text to tokens and back, by the crate `tokenizers`, so that tokenizer.json is the file that `transformers` reads.

use crate::error::{Doing, Error, Result};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
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
        let text = std::fs::read(path).doing("read", path)?;
        let wrong = |what: &dyn std::fmt::Display| {
            Error::Data(format!("{} is not a tokenizer that dpo-lab can read: {what}; get the file again", path.display()))
        };
        serde_json::from_slice::<serde::de::IgnoredAny>(&text).map_err(|error| wrong(&error))?;
        // tokenizers 0.23 panics on some JSON that is not a tokenizer's.
        let read = std::panic::catch_unwind(|| Inner::from_bytes(&text)).map_err(|_| wrong(&"the reader failed"))?;
        let mut inner = read.map_err(|error| wrong(&error))?;
        // Left over from somebody's training run; either would silently cut or lengthen every text.
        inner.with_truncation(None).map_err(|error| wrong(&error))?;
        inner.with_padding(None);
        Ok(Self::new(inner))
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
        let mut inner = Self::load(&path)?.inner;
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

        let mut tokenizer = Self::new(inner);
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
        Tokenizer { inner, with_special: OnceLock::new(), special }
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
        ids_of(&self.inner, text)
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
        ids_of(inner, text)
    }

    /// The token that the tokenizer itself puts before every text, as Llama's does.
    pub fn opening(&self) -> Result<Option<u32>> {
        Ok(self.encode_wrapped("")?.first().copied().filter(|first| self.special.start == Some(*first)))
    }

    /// Tokens of a plain text with those that the tokenizer puts around one, as a classifier's `[CLS]` and `[SEP]`.
    pub fn encode_wrapped(&self, text: &str) -> Result<Vec<u32>> {
        self.inner.encode_fast(text, true).map(|encoding| encoding.get_ids().to_vec()).map_err(Error::other)
    }

    /// Text of tokens; special tokens, and ids that are not in the vocabulary, are left out.
    pub fn decode(&self, tokens: &[u32]) -> Result<String> {
        self.inner.decode(tokens, true).map_err(Error::other)
    }

    /// Text of tokens, special tokens included; ids that are not in the vocabulary are left out.
    pub fn decode_all(&self, tokens: &[u32]) -> Result<String> {
        self.inner.decode(tokens, false).map_err(Error::other)
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

fn ids_of(inner: &Inner, text: &str) -> Result<Vec<u32>> {
    inner.encode_fast(text, false).map(|encoding| encoding.get_ids().to_vec()).map_err(Error::other)
}

/// A JSON file of a model's folder; empty if there is none.
pub(super) struct JsonFile {
    pub(super) path: PathBuf,
    pub(super) entries: Map<String, Value>,
}

impl JsonFile {
    pub(super) fn read(path: PathBuf) -> Result<Self> {
        let text = match std::fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(JsonFile { path, entries: Map::new() }),
            text => text.doing("read", &path)?,
        };
        let entries = serde_json::from_slice(&text)
            .map_err(|error| Error::Data(format!("{} is not a JSON object: {error}; get the file again", path.display())))?;
        Ok(JsonFile { path, entries })
    }

    /// One id or a list of them. Null and -1, which older models write, are none.
    fn ids(&self, key: &str) -> Result<Vec<u32>> {
        let ids = match self.entries.get(key) {
            None | Some(Value::Null) => return Ok(Vec::new()),
            Some(Value::Array(ids)) => ids.iter().map(Value::as_i64).collect(),
            Some(id) => id.as_i64().map(|id| vec![id]),
        };
        let ids: Vec<i64> = ids.ok_or_else(|| {
            Error::Data(format!("{}: `{key}` should be a token id or a list of token ids", self.path.display()))
        })?;
        Ok(ids.into_iter().filter_map(|id| u32::try_from(id).ok()).collect())
    }
}

/// Named special tokens, such as `bos_token`, as text, null, or a list of texts (`additional_special_tokens`).
pub(super) fn special_token_names(folder: &Path) -> Result<Map<String, Value>> {
    let mut names = Map::new();
    for file in ["special_tokens_map.json", "tokenizer_config.json"] {
        for (key, value) in JsonFile::read(folder.join(file))?.entries {
            if let (true, Some(text)) = (key.ends_with("_token"), token_content(&value)) {
                names.insert(key, text.into());
            } else if key.ends_with("_token") && value.is_null() {
                names.entry(key).or_insert(Value::Null);
            } else if let ("additional_special_tokens" | "extra_special_tokens", Some(list)) = (key.as_str(), value.as_array()) {
                names.insert(key, list.iter().filter_map(token_content).collect());
            } else if let ("extra_special_tokens", Some(extra)) = (key.as_str(), value.as_object()) {
                names.extend(extra.iter().filter_map(|(name, value)| Some((name.clone(), token_content(value)?.into()))));
            }
        }
    }
    Ok(names)
}

fn token_content(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value["content"].as_str())
}

/// Adds the tokens that only tokenizer_config.json has, as `transformers` does.
fn add_configured_tokens(inner: &mut Inner, folder: &Path) -> Result<()> {
    let mut file = JsonFile::read(folder.join("tokenizer_config.json"))?;
    let Some(Value::Object(entries)) = file.entries.remove("added_tokens_decoder") else { return Ok(()) };
    let wrong = |what: String| Error::Data(format!("{}: `added_tokens_decoder`: {what}", file.path.display()));
    let mut tokens = Vec::new();
    for (id, value) in entries {
        let content = token_content(&value).ok_or_else(|| wrong(format!("token {id} has no `content`")))?;
        let id: u32 = id.parse().map_err(|_| wrong(format!("\"{id}\" should be a token id")))?;
        let flag = |key: &str| value[key].as_bool().unwrap_or(false);
        let special = flag("special");
        let known =
            if special { inner.get_added_vocabulary().is_special_token(content) } else { inner.token_to_id(content).is_some() };
        if !known {
            let token = AddedToken::from(content, special).single_word(flag("single_word")).lstrip(flag("lstrip"));
            tokens.push((id, token.rstrip(flag("rstrip")).normalized(flag("normalized"))));
        }
    }
    tokens.sort_by_key(|(id, _)| *id);
    // A token that tokenizer.json has and that now becomes special keeps its id; a new one gets the next free id.
    inner.add_tokens(tokens.iter().map(|(_, token)| token.clone())).map_err(|error| wrong(error.to_string()))?;
    for (id, token) in &tokens {
        let got = inner.token_to_id(&token.content);
        if got != Some(*id) {
            let got = got.map_or("none".to_owned(), |got| got.to_string());
            return Err(wrong(format!(
                "`{}` has id {id} here but {got} after tokenizer.json is read; save both files again together",
                token.content
            )));
        }
    }
    Ok(())
}

/// Makes every named token that the vocabulary has a special one, as `transformers` does.
fn mark_special(inner: &mut Inner, names: &Map<String, Value>) -> Result<()> {
    let texts = names.values().flat_map(|value| value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice));
    let known = |text: &&str| inner.token_to_id(text).is_some() && !inner.get_added_vocabulary().is_special_token(text);
    let tokens: Vec<AddedToken> =
        texts.filter_map(Value::as_str).filter(known).map(|text| AddedToken::from(text, true)).collect();
    inner.add_special_tokens(tokens).map_err(Error::other)?;
    Ok(())
}

#[cfg(test)]
#[path = "tokenizer_tests.rs"]
mod tests;
