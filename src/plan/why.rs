//! Why a stage will run: what changed since the plan of the last run.

use super::stage::Stage;
use crate::store::Key;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

/// plan.json: the stages of the last run, and its runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    /// Name of the study.
    pub study: String,
    /// Version of dpo-lab that wrote it.
    pub version: String,
    /// `--set` overrides of the run.
    pub overrides: Vec<String>,
    /// Experiment file, as seen from the study's folder.
    pub experiment: String,
    /// Every stage.
    pub stages: Vec<SavedStage>,
    /// Name of every run.
    pub runs: Vec<String>,
    /// Names and revisions of what came from the hub.
    #[serde(default)]
    pub sources: Vec<String>,
}

/// A stage as plan.json keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedStage {
    /// What people call it.
    pub label: String,
    /// Stage kind.
    pub kind: String,
    /// Content key.
    pub key: Key,
    /// Values that the key is made of.
    pub parameters: Value,
    /// Role and key of every input.
    pub inputs: BTreeMap<String, Key>,
}

impl SavedStage {
    /// Of a stage.
    pub fn of(stage: &Stage) -> Self {
        SavedStage {
            label: stage.label.clone(),
            kind: stage.work.kind().name().to_owned(),
            key: stage.key,
            parameters: stage.parameters(),
            inputs: stage.inputs.clone(),
        }
    }
}

impl Saved {
    /// The stages by what people call them.
    pub fn by_label(&self) -> HashMap<&str, &SavedStage> {
        self.stages.iter().map(|stage| (stage.label.as_str(), stage)).collect()
    }
}

/// What changed since a plan had `before` under the same label, so that the store does not have the stage.
pub fn changes(stage: &Stage, before: Option<&SavedStage>) -> String {
    let Some(before) = before else { return "new".to_owned() };
    if before.key == stage.key {
        return "not finished".to_owned();
    }
    let mut reasons = Vec::new();
    differences("", &before.parameters, &stage.parameters(), &mut reasons);
    for (role, key) in &stage.inputs {
        if before.inputs.get(role) != Some(key) {
            reasons.push(format!("its {} changed", role.replace('_', " ")));
        }
    }
    if reasons.is_empty() { "made by another version".to_owned() } else { reasons.join("; ") }
}

fn differences(path: &str, before: &Value, after: &Value, found: &mut Vec<String>) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            for (key, value) in after {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                differences(&path, before.get(key).unwrap_or(&Value::Null), value, found);
            }
        }
        _ if before == after => {}
        _ => found.push(format!("{path}: {before} -> {after}")),
    }
}
