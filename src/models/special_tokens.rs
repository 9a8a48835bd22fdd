//! What stands beside tokenizer.json: the JSON files of a model's folder that name its special tokens.

use crate::bounded;
use crate::error::{Doing, Error, Result};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use tokenizers::{AddedToken, Tokenizer as Inner};

/// A JSON file of a model's folder; empty if there is none.
pub(super) struct JsonFile {
    pub(super) path: PathBuf,
    pub(super) entries: Map<String, Value>,
}

impl JsonFile {
    pub(super) fn read(path: PathBuf) -> Result<Self> {
        let text = match bounded::read(&path, bounded::SETTINGS) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(JsonFile { path, entries: Map::new() }),
            text => text.doing("read", &path)?,
        };
        let entries = serde_json::from_slice(&text)
            .map_err(|error| Error::Data(format!("{} is not a JSON object: {error}; get the file again", path.display())))?;
        Ok(JsonFile { path, entries })
    }

    /// One id or a list of them. Null and -1, which older models write, are none.
    pub(super) fn ids(&self, key: &str) -> Result<Vec<u32>> {
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
pub(super) fn add_configured_tokens(inner: &mut Inner, folder: &Path) -> Result<()> {
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
pub(super) fn mark_special(inner: &mut Inner, names: &Map<String, Value>) -> Result<()> {
    let texts = names.values().flat_map(|value| value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice));
    let known = |text: &&str| inner.token_to_id(text).is_some() && !inner.get_added_vocabulary().is_special_token(text);
    let tokens: Vec<AddedToken> =
        texts.filter_map(Value::as_str).filter(known).map(|text| AddedToken::from(text, true)).collect();
    inner.add_special_tokens(tokens).map_err(Error::other)?;
    Ok(())
}
