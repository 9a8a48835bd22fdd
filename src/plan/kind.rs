//! The kinds of stages.

use serde::{Deserialize, Serialize};

/// Kinds of stages, as `--until` and `--force` name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Kind {
    /// Fits a vocabulary to the corpus, or takes that of a built-in world.
    Tokenizer,
    /// Trains a language model from random weights.
    Base,
    /// Fine-tunes it on the task's text.
    Sft,
    /// Fits the true reward on labels.
    Classifier,
    /// Takes prompts from the corpus.
    Prompts,
    /// Draws completions of the reference.
    Samples,
    /// Labels pairs of them with the true reward.
    Comparisons,
    /// Ranks all completions of a prompt with the true reward.
    Rankings,
    /// Log-probs of the samples under the reference.
    ReferenceLogprobs,
    /// Trains the learned reward.
    RewardModel,
    /// One segment of a run.
    Train,
    /// Draws completions of a policy on held-out prompts.
    Generate,
    /// Scores them.
    Evaluate,
    /// Compares them with others.
    Judge,
}

impl Kind {
    /// The kind's name in files.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Tokenizer => "tokenizer",
            Kind::Base => "base",
            Kind::Sft => "sft",
            Kind::Classifier => "classifier",
            Kind::Prompts => "prompts",
            Kind::Samples => "samples",
            Kind::Comparisons => "comparisons",
            Kind::Rankings => "rankings",
            Kind::ReferenceLogprobs => "reference_logprobs",
            Kind::RewardModel => "reward_model",
            Kind::Train => "train",
            Kind::Generate => "generate",
            Kind::Evaluate => "evaluate",
            Kind::Judge => "judge",
        }
    }

    /// The kind's own format: raised when what a stage writes, or how it computes, changes.
    pub(super) fn format(self) -> u64 {
        1
    }
}
