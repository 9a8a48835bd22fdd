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
    /// Mean true reward of the completion that the learned reward prefers; NaN, which is blank in the file, where it is not known.
    #[serde(with = "super::blank")]
    pub reward_mean: f64,
    /// Its standard error, clustered by prompt.
    #[serde(with = "super::blank")]
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
    /// Mean KL from the reference of the step's completions, summed over tokens, in nats; this and what follows is PPO's.
    #[serde(rename = "objective/kl", default)]
    pub objective_kl: Option<f64>,
    /// Coefficient of the KL penalty.
    #[serde(rename = "objective/kl_coef", default)]
    pub objective_kl_coef: Option<f64>,
    /// Mean score of the completions, before the penalty.
    #[serde(rename = "objective/scores", default)]
    pub objective_scores: Option<f64>,
    /// Mean KL penalty, summed over tokens; it is negative where the policy has moved away.
    #[serde(rename = "objective/non_score_reward", default)]
    pub objective_non_score_reward: Option<f64>,
    /// Mean entropy of the policy, in nats.
    #[serde(rename = "objective/entropy", default)]
    pub objective_entropy: Option<f64>,
    /// Half the mean squared change of a token's log-prob in the step's updates.
    #[serde(rename = "policy/approxkl", default)]
    pub policy_approxkl: Option<f64>,
    /// Share of tokens whose probability ratio was clipped.
    #[serde(rename = "policy/clipfrac", default)]
    pub policy_clipfrac: Option<f64>,
    /// The policy's loss.
    #[serde(rename = "loss/policy", default)]
    pub loss_policy: Option<f64>,
    /// The value function's loss.
    #[serde(rename = "loss/value", default)]
    pub loss_value: Option<f64>,
    /// Mean probability ratio of the new to the old policy.
    #[serde(rename = "val/ratio", default)]
    pub val_ratio: Option<f64>,
    /// Share of the returns' variance that the value function explains; less than 0 where it does worse than their mean.
    #[serde(rename = "val/explained_variance", default)]
    pub val_explained_variance: Option<f64>,
    /// Mean length of the step's completions in tokens.
    #[serde(default)]
    pub completion_tokens: Option<f64>,
}

/// oracle.csv: one checkpoint where everything can be enumerated, so that no number has a sampling error.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct OracleRow {
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
    /// Exact KL(policy || reference) per sequence in nats.
    pub kl: f64,
    /// Exact expected true reward.
    pub reward: f64,
    /// The greatest expected reward of any policy with this KL.
    pub optimal_reward: f64,
    /// What is missing to it: `optimal_reward - reward`.
    pub regret: f64,
    /// KL in nats from the policy to the optimum of the method's own objective; blank where that has none.
    pub kl_to_own_optimum: Option<f64>,
}

/// optimum.csv: one point of the optimal frontier, the policies pi_ref exp(r / beta) / Z (Rafailov et al. 2023, equation 4).
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct OptimumRow {
    /// `exact`, by enumeration, or `estimated`, by weighting samples of the reference.
    pub kind: String,
    /// The beta whose optimum it is.
    pub beta: f64,
    /// KL(optimum || reference) per sequence in nats.
    pub kl: f64,
    /// Its standard error; 0 where exact.
    pub kl_se: f64,
    /// Mean true reward of the optimum.
    pub reward: f64,
    /// Its standard error; 0 where exact.
    pub reward_se: f64,
    /// Samples of equal weight that the weighted ones are worth, where estimated.
    pub effective_sample_size: Option<f64>,
    /// Whether the estimate can be trusted; always where exact.
    pub reliable: bool,
}

/// seeds.csv: one checkpoint, all seeds of a method and its settings together.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct SeedsRow {
    /// Name of the method.
    pub method: String,
    /// Swept parameters.
    pub params: String,
    /// Optimiser steps taken.
    pub step: u64,
    /// Number of seeds.
    pub seeds: usize,
    /// Number of held-out prompts.
    pub prompts: usize,
    /// Mean true reward over seeds and prompts; NaN, which is blank in the file, where it is not known.
    #[serde(with = "super::blank")]
    pub reward_mean: f64,
    /// Its standard error over seeds and prompts.
    #[serde(with = "super::blank")]
    pub reward_se: f64,
    /// Lower end of its 95% interval.
    #[serde(with = "super::blank")]
    pub ci_low: f64,
    /// Upper end of its 95% interval.
    #[serde(with = "super::blank")]
    pub ci_high: f64,
    /// Standard deviation of the seeds' mean rewards.
    #[serde(with = "super::blank")]
    pub seed_sd: f64,
    /// Mean KL(policy || reference) per sequence in nats.
    pub kl_mean: f64,
    /// Mean completion length in tokens, end token included.
    pub completion_tokens_mean: f64,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn header<T: Serialize + Default>() -> String {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.serialize(T::default()).unwrap();
        let bytes = writer.into_inner().unwrap();
        String::from_utf8(bytes).unwrap().lines().next().unwrap().to_owned()
    }

    #[test]
    fn a_train_csv_without_the_columns_of_ppo_is_read() {
        let text = "step,loss,rewards/chosen,rewards/rejected,rewards/margins,rewards/accuracies,logps/chosen,logps/rejected,\
                    grad_norm,learning_rate,tokens,tokens_per_s\n1,0.5,,,,,-2,-3,1,1e-4,10,2.5\n";
        let rows: Vec<TrainRow> = csv::Reader::from_reader(text.as_bytes()).deserialize().collect::<Result<_, _>>().unwrap();
        assert_eq!((rows[0].tokens_per_s, rows[0].logps_chosen, rows[0].objective_kl), (2.5, Some(-2.0), None));
        assert!(header::<TrainRow>().starts_with(text.split_once('\n').unwrap().0));
        assert!(header::<TrainRow>().ends_with(",val/ratio,val/explained_variance,completion_tokens"));
    }

    #[test]
    fn columns_are_a_contract() {
        assert_eq!(header::<OracleRow>(), "run,method,params,seed,step,kl,reward,optimal_reward,regret,kl_to_own_optimum");
        assert_eq!(header::<OptimumRow>(), "kind,beta,kl,kl_se,reward,reward_se,effective_sample_size,reliable");
        assert_eq!(
            header::<SeedsRow>(),
            "method,params,step,seeds,prompts,reward_mean,reward_se,ci_low,ci_high,seed_sd,kl_mean,completion_tokens_mean"
        );
    }
}
