//! What a report may say of names: results are shared, and a path tells whose machine they come from.

use serde_json::Value;
use std::path::{Component, Path};

/// Stands for folders that are left out.
const ELSEWHERE: &str = "…/";

/// A text, without its folders where it is a path that leads out of the working folder.
pub fn public_text(text: &str) -> String {
    let path = Path::new(text);
    let leads_out =
        path.components().any(|part| matches!(part, Component::RootDir | Component::Prefix(_) | Component::ParentDir));
    let is_path = text.contains('/') && !text.contains("://") && !text.contains('\n');
    match path.file_name() {
        Some(name) if is_path && (leads_out || text.starts_with('~')) => format!("{ELSEWHERE}{}", name.to_string_lossy()),
        _ => text.to_owned(),
    }
}

/// The same of every text in a value.
pub fn public_value(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(public_text(text)),
        Value::Array(items) => Value::Array(items.iter().map(public_value).collect()),
        Value::Object(fields) => fields.iter().map(|(key, value)| (key.clone(), public_value(value))).collect(),
        other => other.clone(),
    }
}

/// The same of an override as it was typed, `KEY=VALUE`.
pub fn public_overrides(text: &str) -> String {
    fn without(value: &mut toml::Value) {
        match value {
            toml::Value::String(text) => *text = public_text(text),
            toml::Value::Array(items) => items.iter_mut().for_each(without),
            toml::Value::Table(fields) => fields.iter_mut().for_each(|(_, value)| without(value)),
            _ => {}
        }
    }
    let Some((key, written)) = text.split_once('=') else { return public_text(text) };
    let Ok(table) = format!("value = {written}").parse::<toml::Table>() else { return format!("{key}=…") };
    let Some(before) = table.get("value") else { return format!("{key}=…") };
    let mut after = before.clone();
    without(&mut after);
    if after == *before { text.to_owned() } else { format!("{key}={after}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_out_of_the_working_folder_lose_their_folders_and_names_stay() {
        let shown = |text: &str| public_text(text);
        assert_eq!(shown("/home/anna/data/train.jsonl"), "…/train.jsonl");
        assert_eq!(shown("../../anna/train.jsonl"), "…/train.jsonl");
        assert_eq!(shown("~/models/gpt2"), "…/gpt2");
        for same in ["hub:stanfordnlp/imdb", "builtin:reviews", "data/train.jsonl", "https://api.example.org/v1", "hard", "a / b"]
        {
            assert_eq!(shown(same), same);
        }
        assert_eq!(public_value(&json!({"a": ["/x/y"], "b": 1})), json!({"a": ["…/y"], "b": 1}));
    }

    #[test]
    fn overrides_keep_what_is_no_path() {
        assert_eq!(public_overrides("method.dpo.beta=[0.1, 0.2]"), "method.dpo.beta=[0.1, 0.2]");
        assert_eq!(public_overrides("task.dialogue.corpus=[\"/home/anna/a.csv\"]"), "task.dialogue.corpus=[\"…/a.csv\"]");
        assert_eq!(public_overrides("model.base=\"../m/gpt2\""), "model.base=\"…/gpt2\"");
    }
}
