//! artifacts.json: where the store keeps what one run made.

use super::collect::Collected;
use crate::plan::PromptSet;
use crate::spec::Study;
use crate::store::Key;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The file's name in a run's folder.
pub const FILE: &str = "artifacts.json";

/// Keys of a run's artifacts, by what they are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Artifacts {
    /// The trained model's folder, below the folder of results.
    pub policy: Option<String>,
    /// Segments of its training, in order.
    pub segments: Vec<Key>,
    /// Evaluated checkpoints.
    pub evaluations: Vec<EvaluationKey>,
    /// What judges said.
    #[serde(default)]
    pub judged: Vec<JudgedKey>,
}

/// One evaluated checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvaluationKey {
    /// Optimiser steps taken.
    pub step: u64,
    /// Sampling temperature.
    pub temperature: f64,
    /// The evaluation.
    pub key: Key,
}

/// One judge's verdicts on one checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JudgedKey {
    /// Optimiser steps taken.
    pub step: u64,
    /// Sampling temperature.
    pub temperature: f64,
    /// Whether the prompts are of another kind than those of training.
    pub out_of_distribution: bool,
    /// Name of the judge.
    pub judge: String,
    /// What the completions were compared with.
    pub baseline: String,
    /// The verdicts.
    pub key: Key,
}

impl Artifacts {
    /// artifacts.json of a run's folder.
    pub fn read(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(folder.join(FILE)).ok()?).ok()
    }
}

/// artifacts.json of a run.
pub(super) fn of(study: &Study, collected: &Collected<'_>, policy: Option<&Key>) -> String {
    let plan = collected.plan;
    let evaluation =
        |(step, temperature, key): &(u64, f64, Key)| EvaluationKey { step: *step, temperature: *temperature, key: *key };
    let judged = |judged: &crate::plan::Judged| {
        let drawn = &plan.drawn[judged.drawn];
        JudgedKey {
            step: drawn.step,
            temperature: drawn.temperature,
            out_of_distribution: drawn.set == PromptSet::OutOfDistribution,
            judge: study.judges[judged.judge].name.clone(),
            baseline: judged.baseline.clone(),
            key: judged.key,
        }
    };
    let artifacts = Artifacts {
        policy: policy.map(|key| {
            let key = key.to_string();
            format!(".store/{}/{key}/model", &key[..2])
        }),
        segments: plan.segments.clone(),
        evaluations: plan.evaluations.iter().map(evaluation).collect(),
        judged: plan.judged.iter().map(judged).collect(),
    };
    // Names, numbers and lists always become JSON.
    format!("{}\n", serde_json::to_string_pretty(&artifacts).unwrap_or_default())
}
