//! A stage: its work, what it reads, and the key that follows from both.

use super::work::Work;
use crate::resolve::{Corpus, ModelFolder};
use crate::store::Key;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Arithmetic of every stage; other classes get other keys.
const NUMERICS: &str = "f32";

/// A node of the graph, frozen before anything runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// Content key.
    pub key: Key,
    /// What people call it: unique within a study and stable when values change.
    pub label: String,
    /// What it does.
    pub work: Work,
    /// Keys of the artifacts it reads, by role.
    pub inputs: BTreeMap<String, Key>,
    /// The corpus, for stages that read it.
    pub corpus: Option<Corpus>,
    /// The pretrained model, for the stage that takes it in.
    pub model: Option<ModelFolder>,
}

impl Stage {
    /// Makes a stage and its key.
    pub fn new(
        label: impl Into<String>,
        work: Work,
        inputs: BTreeMap<String, Key>,
        corpus: Option<Corpus>,
        model: Option<ModelFolder>,
    ) -> Self {
        let key = key(&work, &inputs, corpus.as_ref(), model.as_ref());
        Stage { key, label: label.into(), work, inputs, corpus, model }
    }

    /// The values that the key is made of, for messages.
    pub fn parameters(&self) -> Value {
        parameters(&self.work, self.corpus.as_ref(), self.model.as_ref())
    }
}

/// The stage's values and the digests of its data; paths are not part of it.
fn parameters(work: &Work, corpus: Option<&Corpus>, model: Option<&ModelFolder>) -> Value {
    let mut value = serde_json::to_value(work).unwrap_or_default();
    // The enum's tag is the kind, which the key holds anyway.
    let mut inner = value.as_object_mut().and_then(|tagged| tagged.values_mut().next().map(Value::take)).unwrap_or_default();
    if let (Work::Judge { judge, .. }, Some(fields)) = (work, inner.as_object_mut()) {
        // What a judge may spend, and how fast it asks, changes no verdict.
        let settings = fields.get_mut("judge").and_then(|tagged| tagged.get_mut(judge.name())).and_then(Value::as_object_mut);
        settings.into_iter().for_each(|settings| settings.retain(|key, _| !judge.settings().unkeyed().contains(&key.as_str())));
    }
    if let (Some(corpus), Some(fields)) = (corpus, inner.as_object_mut()) {
        let digests = match corpus {
            Corpus::Builtin(name) => json!([format!("builtin:{name}")]),
            Corpus::Files(files) => json!(files.iter().map(|file| (&file.blake3, file.side)).collect::<Vec<_>>()),
            Corpus::Hub(names) => json!(names),
            Corpus::Oracle(world) => json!(world),
        };
        fields.insert("corpus".into(), digests);
    }
    if let (Some(model), Some(fields)) = (model, inner.as_object_mut()) {
        fields.insert("model".into(), json!(model.files));
    }
    inner
}

/// What a key is the digest of, as JSON.
#[derive(Serialize)]
struct Described<'a> {
    kind: &'a str,
    format: u64,
    numerics: &'a str,
    parameters: Value,
    inputs: &'a BTreeMap<String, Key>,
}

fn key(work: &Work, inputs: &BTreeMap<String, Key>, corpus: Option<&Corpus>, model: Option<&ModelFolder>) -> Key {
    let kind = work.kind();
    let described = Described {
        kind: kind.name(),
        format: kind.format(),
        numerics: NUMERICS,
        parameters: parameters(work, corpus, model),
        inputs,
    };
    // Names and numbers always become JSON.
    Key::of(serde_json::to_vec(&described).unwrap_or_default())
}
