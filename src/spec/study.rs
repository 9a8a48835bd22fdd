//! A study as it is meant: every value typed, every sweep expanded, nothing left to default.

use super::executor::Executors;
use super::judging::{Baseline, Judge};
use super::run::Run;
use super::tasks::Task;
use super::tracking::Tracking;
use crate::models::{Lora, Precision};
use serde::{Deserialize, Serialize};

/// One experiment file, resolved except for the contents of its data.
#[derive(Clone, Debug, PartialEq)]
pub struct Study {
    /// Name of the study and of its folder under results/.
    pub name: String,
    /// Seed of everything that its runs share.
    pub seed: u64,
    /// The policy's model.
    pub model: Model,
    /// Training of the base model.
    pub base: LanguageModelTraining,
    /// Training of the reference policy.
    pub sft: LanguageModelTraining,
    /// The task.
    pub task: Task,
    /// The learned reward's training; absent when the file has no `[reward_model]` and no method needs one.
    pub reward_model: Option<RewardModelTraining>,
    /// How policies are evaluated.
    pub evaluation: Evaluation,
    /// Who compares completions, in the order of the file.
    pub judges: Vec<Judge>,
    /// Whose weights stay once a run is complete.
    pub keep: Keep,
    /// Where its numbers can be watched.
    pub tracking: Tracking,
    /// One entry a run, in the order of the file.
    pub runs: Vec<Run>,
    /// What is asked of the place where stages run.
    pub executors: Executors,
    /// Values that depart from the paper, as the file's `# paper:` comments mark them.
    pub deviations: Vec<Deviation>,
}

/// `training.keep`: which of a run's checkpoints keep their weights once the run is complete. Its tables stay in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Keep {
    /// Every one.
    #[default]
    All,
    /// The best: by true reward where it is known, else by the first judge's win rate, else by the learned reward.
    Best,
    /// The last.
    Last,
}

impl Study {
    /// What completions are compared with: name in the CSVs, and meaning.
    pub fn baselines(&self) -> Vec<(String, Baseline)> {
        let written = &self.evaluation.baseline;
        let names = if written.is_empty() { vec![self.task.own_baseline().to_owned()] } else { written.clone() };
        names.into_iter().map(|name| (name.clone(), Baseline::parse(&name))).collect()
    }

    /// The run of this name or label.
    pub fn run(&self, name: &str) -> Option<&Run> {
        self.runs.iter().find(|run| run.name == name || run.label() == name)
    }
}

impl Model {
    /// Whether the study trains it from random weights.
    pub fn is_builtin(&self) -> bool {
        self.base.starts_with("builtin:")
    }
}

/// `[model]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// A built-in size that the study trains itself, a folder in Hugging Face layout, or a `hub:` name.
    pub base: String,
    /// Size of the vocabulary that is trained on real text.
    pub vocabulary: usize,
    /// Runs train adapters of the reference instead of its weights.
    #[serde(default)]
    pub lora: Option<Lora>,
}

/// The keys that every training table has. PyTorch's semantics and names, except where two methods would clash.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Optimisation {
    /// The optimiser.
    pub optimizer: Optimizer,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Steps of linear warm-up: factor min(1, (step + 1) / (warmup_steps + 1)), step from 0.
    pub warmup_steps: u64,
    /// What follows the warm-up.
    pub schedule: Schedule,
    /// Parts of a batch that are run one after another, to save memory.
    pub gradient_accumulation_steps: usize,
    /// Global gradient norm above which the gradient is scaled down.
    pub max_grad_norm: f64,
    /// SGD and RMSprop: added to the gradient. AdamW: decoupled.
    pub weight_decay: f64,
    /// SGD, RMSprop.
    pub momentum: f64,
    /// RMSprop's alpha.
    pub smoothing: f64,
    /// RMSprop, AdamW.
    pub epsilon: f64,
    /// AdamW.
    pub adam_beta1: f64,
    /// AdamW.
    pub adam_beta2: f64,
    /// Keep each block's input only and run the block again in the backward: less memory for more time, and the same numbers.
    #[serde(default, skip_serializing_if = "is_default")]
    pub gradient_checkpointing: bool,
    /// What products are computed in.
    #[serde(default, skip_serializing_if = "is_default")]
    pub precision: Precision,
}

/// What is as it was before a key existed is not written, so that stages of that time are found again.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Optimisation {
    /// This optimiser at a constant rate, with PyTorch's defaults and without clipping.
    pub fn constant(optimizer: Optimizer, learning_rate: f64) -> Self {
        Optimisation {
            optimizer,
            learning_rate,
            warmup_steps: 0,
            schedule: Schedule::Constant,
            gradient_accumulation_steps: 1,
            max_grad_norm: f64::MAX,
            weight_decay: 0.0,
            momentum: 0.0,
            smoothing: 0.99,
            epsilon: 1e-8,
            adam_beta1: 0.9,
            adam_beta2: 0.999,
            gradient_checkpointing: false,
            precision: Precision::F32,
        }
    }

    /// The keys of this struct; they stand in a table beside other keys.
    pub const KEYS: &'static [&'static str] = &[
        "optimizer",
        "learning_rate",
        "warmup_steps",
        "schedule",
        "gradient_accumulation_steps",
        "max_grad_norm",
        "weight_decay",
        "momentum",
        "smoothing",
        "epsilon",
        "adam_beta1",
        "adam_beta2",
        "gradient_checkpointing",
        "precision",
    ];
}

/// An optimiser with PyTorch's update rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Optimizer {
    /// torch.optim.RMSprop
    Rmsprop,
    /// torch.optim.AdamW
    Adamw,
    /// torch.optim.SGD
    Sgd,
}

/// The learning rate after the warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// Stays at its peak.
    Constant,
    /// Falls linearly, to 0 after the last step.
    Linear,
}

/// `[base]` and `[sft]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LanguageModelTraining {
    /// Optimiser and schedule.
    pub optimisation: Optimisation,
    /// Steps and sizes.
    pub size: LanguageModelSize,
}

/// The keys of `[base]` and `[sft]` beside the optimiser's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LanguageModelSize {
    /// Optimiser steps.
    pub steps: u64,
    /// Sequences a step.
    pub batch_sequences: usize,
    /// Longest sequence in tokens; texts are cut there.
    pub max_tokens: usize,
}

/// `[reward_model]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RewardModelTraining {
    /// Optimiser and schedule.
    pub optimisation: Optimisation,
    /// Epochs and sizes.
    pub size: RewardModelSize,
}

/// The keys of `[reward_model]` beside the optimiser's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RewardModelSize {
    /// Passes over the comparisons; the best of them on the validation pairs is kept.
    pub epochs: u64,
    /// Pairs a step.
    pub batch_pairs: usize,
    /// Share of the prompts whose pairs choose the epoch.
    pub validation_share: f64,
}

/// `[evaluation]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluation {
    /// Steps between evaluations; a multiple of every run's `checkpoint_every`.
    pub every: u64,
    /// Held-out prompts.
    pub prompts: usize,
    /// Completions a prompt.
    pub samples_per_prompt: usize,
    /// Sampling temperatures.
    pub temperature: Vec<f64>,
    /// Those of them at which checkpoints before the last are evaluated; all of them where this is empty.
    pub checkpoint_temperature: Vec<f64>,
    /// What judges compare completions with: `reference` (or `chosen`), `sft`, or a run; the task's own where this is empty.
    pub baseline: Vec<String>,
    /// Only so many most probable tokens are drawn from; 0 is all.
    pub top_k: usize,
    /// Only the most probable tokens that have this probability together are drawn from; 1 is all.
    pub top_p: f64,
    /// Longest completion in tokens.
    pub max_new_tokens: usize,
    /// Completions of the reference a prompt from which the optimal frontier is estimated; 0 leaves it out.
    pub optimum_samples: usize,
    /// Budgets in nats at which summary.csv reads the frontier.
    pub kl_budgets: Vec<f64>,
}

/// A value of the file that is not the paper's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deviation {
    /// The key, with its table.
    pub key: String,
    /// The file's value, as written.
    pub value: String,
    /// What the `# paper:` comment says.
    pub paper: String,
}
