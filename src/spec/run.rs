//! One run of a study: a method with concrete parameters, what it trains on, and for how long.

use super::study::Optimisation;
use super::tasks::Labels;
use crate::methods::Method;
use serde::{Deserialize, Serialize};

/// The keys of `[training]` that every method's table may override, beside the optimiser's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingSize {
    /// Optimiser steps.
    pub steps: u64,
    /// Pairs a step.
    pub batch_pairs: usize,
    /// What an epoch shuffles.
    pub shuffle: Shuffle,
    /// Steps between checkpoints: the length of a segment.
    pub checkpoint_every: u64,
    /// Steps between evaluations, where they are not those of `[evaluation]`; 0 is those.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub evaluate_every: u64,
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}

impl TrainingSize {
    /// The keys of this struct.
    pub const KEYS: &'static [&'static str] = &["steps", "batch_pairs", "shuffle", "checkpoint_every", "evaluate_every"];
}

/// What an epoch of preference training shuffles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shuffle {
    /// Every pair by itself.
    Pairs,
    /// Prompts; a prompt's pairs stay together and share their completions' forward passes.
    Prompts,
}

/// The keys of `[training]` that say what a run learns from, and where it starts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingData {
    /// The policy that training starts from and that is the loss's reference.
    pub reference: Reference,
    /// Who writes the completions that are compared.
    pub samples_from: SamplesFrom,
    /// Temperature at which they are drawn.
    pub samples_temperature: f64,
    /// Comparisons that are used, at most; 0 is all.
    pub comparisons: usize,
    /// Instead of the task's own value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Labels>,
    /// Instead of the task's own value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_noise: Option<f64>,
}

impl TrainingData {
    /// The keys of this struct.
    pub const KEYS: &'static [&'static str] =
        &["reference", "samples_from", "samples_temperature", "comparisons", "labels", "label_noise"];
}

impl Default for TrainingData {
    /// What defaults.toml says.
    fn default() -> Self {
        TrainingData {
            reference: Reference::Sft,
            samples_from: SamplesFrom::Reference,
            samples_temperature: 1.0,
            comparisons: 0,
            labels: None,
            label_noise: None,
        }
    }
}

/// The policy that a run starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reference {
    /// The study's reference, to which every KL is measured.
    Sft,
    /// The base model.
    Base,
}

/// Who writes the completions that a run's comparisons are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SamplesFrom {
    /// The study's reference.
    Reference,
    /// The base model: off-policy.
    Base,
    /// The run's own policy, anew at every checkpoint: on-policy, iterative (Guo et al. 2024).
    Policy,
    /// Nobody: every pair of completions, weighted by how likely it is. Only of a world that can be enumerated.
    Population,
}

/// One run: a method with concrete parameters and a seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// `dpo-beta0.1-seed0-3f9c`: method, swept parameters, seed, and the start of a digest of all its values.
    pub name: String,
    /// The method with its parameters.
    pub method: Method,
    /// Optimiser and schedule.
    pub optimisation: Optimisation,
    /// Steps and sizes.
    pub size: TrainingSize,
    /// What it learns from.
    pub data: TrainingData,
    /// The run's own seed.
    pub seed: u64,
    /// Swept parameters and their values as text, sorted by name; the seed is not among them.
    pub swept: Vec<(String, String)>,
}

impl Run {
    /// The CSVs' `params`: `beta=0.1;learning_rate=0.0001`.
    pub fn params(&self) -> String {
        self.swept.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(";")
    }

    /// The name without its digest: stays when values change.
    pub fn label(&self) -> &str {
        self.name.rsplit_once('-').map_or(&self.name, |(label, _)| label)
    }

    /// Steps between evaluations; `every` is that of the study.
    pub fn evaluates_every(&self, every: u64) -> u64 {
        if self.size.evaluate_every == 0 { every } else { self.size.evaluate_every }
    }

    /// Optimiser steps of the run; 0 for methods that train nothing.
    pub fn steps(&self) -> u64 {
        if self.method.trains() { self.size.steps } else { 0 }
    }
}
