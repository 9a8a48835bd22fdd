//! The rows of every CSV that a study leaves, in the order of their columns. These names are a contract.

use serde::{Deserialize, Serialize};

/// frontier.csv: one evaluated checkpoint of one run at one sampling temperature.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct FrontierRow {
    /// Name of the run.
    pub run: String,
    /// Name of the method, as in the experiment file's table.
    pub method: String,
    /// Swept parameters, sorted: `beta=0.1;learning_rate=0.0001`.
    pub params: String,
    /// Seed of the run.
    pub seed: u64,
    /// Optimiser steps taken.
    pub step: u64,
    /// Sampling temperature.
    pub temperature: f64,
    /// Number of held-out prompts.
    pub prompts: usize,
    /// Mean true reward; NaN, which is blank in the file, where it is not known.
    #[serde(with = "super::blank")]
    pub reward_mean: f64,
    /// Its standard error, clustered by prompt; blank without one.
    #[serde(with = "super::blank")]
    pub reward_se: f64,
    /// Mean learned reward, where there is a reward model.
    pub proxy_reward_mean: Option<f64>,
    /// KL(policy || reference) per sequence in nats: the exact per-step sum along sampled completions.
    pub kl_mean: f64,
    /// Its standard error, clustered by prompt.
    pub kl_se: f64,
    /// The same KL from sampled log-ratios.
    pub kl_sampled_mean: f64,
    /// Its standard error, clustered by prompt.
    pub kl_sampled_se: f64,
    /// Mean completion length in tokens, end token included.
    pub completion_tokens_mean: f64,
    /// Share of completions that were cut at `max_new_tokens`.
    pub truncated_share: f64,
    /// Mean per-token entropy of the policy in nats.
    pub entropy_mean: f64,
    /// Distinct bigrams over bigrams, all completions together.
    pub distinct_2: f64,
}

/// best_of_n.csv: Best-of-N with one N.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct BestOfNRow {
    /// Name of the run.
    pub run: String,
    /// Name of the task.
    pub task: String,
    /// Completions drawn for a prompt.
    pub n: usize,
    /// Seed of the run.
    pub seed: u64,
    /// Sampling temperature.
    pub temperature: f64,
    /// Number of held-out prompts.
    pub prompts: usize,
    /// Mean true reward of the completion that the learned reward prefers.
    pub reward_mean: f64,
    /// Its standard error, clustered by prompt.
    pub reward_se: f64,
    /// Mean learned reward of the same completions.
    pub proxy_reward_mean: Option<f64>,
    /// log N - (N - 1) / N, an upper bound of the KL in nats.
    pub kl_bound: f64,
    /// Name of the judge, where there is one.
    pub judge: Option<String>,
    /// What the judge compared with.
    pub baseline: Option<String>,
    /// Win rate against the baseline.
    pub win_rate: Option<f64>,
    /// Lower end of its 95% interval.
    pub ci_low: Option<f64>,
    /// Upper end of its 95% interval.
    pub ci_high: Option<f64>,
}

/// preferences.csv: how one checkpoint ranks held-out comparisons.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct PreferencesRow {
    /// Name of the run.
    pub run: String,
    /// Name of the method.
    pub method: String,
    /// Swept parameters.
    pub params: String,
    /// Seed of the run.
    pub seed: u64,
    /// Optimiser steps taken.
    pub step: u64,
    /// Number of comparisons.
    pub comparisons: usize,
    /// Number of their prompts.
    pub prompts: usize,
    /// Share that the implicit reward ranks as the label does; a margin of 0 is half right.
    pub accuracy: f64,
    /// Its standard error, clustered by prompt.
    pub accuracy_se: f64,
    /// Mean implicit reward of chosen less rejected: beta (log pi - log ref), with beta 1 for methods that have none.
    pub margin: f64,
    /// Its standard error, clustered by prompt.
    pub margin_se: f64,
    /// Mean -log sigma(margin).
    pub loss: f64,
    /// Its standard error, clustered by prompt.
    pub loss_se: f64,
}

/// train.csv: one optimiser step, under the names that researchers know.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct TrainRow {
    /// Steps taken, from 1.
    pub step: u64,
    /// The method's loss, before this step's update.
    pub loss: f64,
    /// Mean implicit reward of chosen completions, beta * (log pi - log ref); blank without a reference.
    #[serde(rename = "rewards/chosen")]
    pub rewards_chosen: Option<f64>,
    /// The same of rejected completions.
    #[serde(rename = "rewards/rejected")]
    pub rewards_rejected: Option<f64>,
    /// Mean of chosen less rejected.
    #[serde(rename = "rewards/margins")]
    pub rewards_margins: Option<f64>,
    /// Share of pairs with a positive margin.
    #[serde(rename = "rewards/accuracies")]
    pub rewards_accuracies: Option<f64>,
    /// Mean log-prob of chosen completions, summed over tokens.
    #[serde(rename = "logps/chosen")]
    pub logps_chosen: Option<f64>,
    /// The same of rejected completions.
    #[serde(rename = "logps/rejected")]
    pub logps_rejected: Option<f64>,
    /// Global norm of the gradient before clipping.
    pub grad_norm: f64,
    /// Learning rate of this step.
    pub learning_rate: f64,
    /// Tokens processed so far, padding not counted.
    pub tokens: u64,
    /// Tokens a second of this step.
    pub tokens_per_s: f64,
}

/// summary.csv: one number with its error, in long form.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct SummaryRow {
    /// What the number is: `reward_at_kl`, `frontier_area`, `reward_difference_at_kl`, `frontier_area_difference`,
    /// `reward_difference_at_point`, `preference_accuracy`, `preference_margin`, `preference_loss`, `judge_nll`.
    pub metric: String,
    /// Method that the number is of.
    pub method: String,
    /// Run, for a number of one run.
    pub run: Option<String>,
    /// Method that it is compared with, for a difference.
    pub versus: Option<String>,
    /// KL budget in nats, for a number at a budget.
    pub kl_budget: Option<f64>,
    /// The number.
    pub value: f64,
    /// Its standard error.
    pub se: f64,
    /// Lower end of its 95% interval.
    pub ci_low: f64,
    /// Upper end of its 95% interval.
    pub ci_high: f64,
    /// Prompts (or comparisons) that it rests on.
    pub n: usize,
}
