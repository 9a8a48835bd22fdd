//! From log-probs, scores and values of a rollout to rewards, advantages and returns: pure functions on the host, in f64.
//!
//! Token rewards are those of Ziegler et al. 2019 and Stiennon et al. 2020; generalised advantage estimation is Schulman
//! et al. 2016, equation 16; advantages without a value head are RLOO (Ahmadian et al. 2024) and GRPO (Shao et al. 2024).

use serde::{Deserialize, Serialize};

/// Keeps the whitening of (nearly) equal advantages finite.
const WHITEN_EPSILON: f64 = 1e-8;

/// How advantages are estimated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Estimator {
    /// By a value head (PPO).
    #[default]
    Generalised,
    /// Against the mean of the prompt's other completions (RLOO).
    LeaveOneOut,
    /// In deviations from the mean of the prompt's completions (GRPO).
    GroupNormalised,
}

/// What a policy update learns from, one entry a token.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Advantages {
    /// How much better the token was than the old values expected.
    pub advantages: Vec<f64>,
    /// What the value head is to predict: advantages + old values.
    pub returns: Vec<f64>,
}

impl Advantages {
    /// Of every completion of a rollout, from the rewards and old values of its tokens: generalised advantages, whitened over all
    /// tokens, and returns.
    pub fn generalised(rewards: &[Vec<f64>], values: &[Vec<f64>], gamma: f64, lambda: f64) -> Vec<Advantages> {
        let of = |(rewards, values): (&Vec<f64>, &Vec<f64>)| generalised_advantages(rewards, values, gamma, lambda);
        let mut all: Vec<Advantages> = rewards.iter().zip(values).map(of).collect();
        let whitened = whiten(&all.iter().flat_map(|one| one.advantages.iter().copied()).collect::<Vec<_>>());
        let mut rest = &whitened[..];
        for one in &mut all {
            let (own, others) = rest.split_at(one.advantages.len());
            one.advantages.copy_from_slice(own);
            rest = others;
        }
        all
    }

    /// Of every completion of a rollout, whose tokens share one advantage: that of the sum of their rewards among the completions of
    /// a prompt. Values are left as they are.
    pub fn of_groups(
        estimator: Estimator,
        rewards: &[Vec<f64>],
        values: &[Vec<f64>],
        samples_per_prompt: usize,
    ) -> Vec<Advantages> {
        let sums: Vec<f64> = rewards.iter().map(|tokens| tokens.iter().sum()).collect();
        let advantages = match estimator {
            Estimator::GroupNormalised => group_normalised(&sums, samples_per_prompt),
            Estimator::Generalised | Estimator::LeaveOneOut => leave_one_out(&sums, samples_per_prompt),
        };
        let of = |(advantage, values): (f64, &Vec<f64>)| Advantages {
            advantages: vec![advantage; values.len()],
            returns: values.clone(),
        };
        advantages.into_iter().zip(values).map(of).collect()
    }
}

/// Rewards of one completion's tokens: -coefficient (log pi_old - log pi_ref), and the score on top of the last one. Both
/// slices hold the log-probs of the sampled tokens, in nats.
pub fn token_rewards(log_probs: &[f64], reference: &[f64], score: f64, coefficient: f64) -> Vec<f64> {
    let penalty = |(old, reference): (&f64, &f64)| -coefficient * (old - reference);
    let mut rewards: Vec<f64> = log_probs.iter().zip(reference).map(penalty).collect();
    if let Some(last) = rewards.last_mut() {
        *last += score;
    }
    rewards
}

/// Advantages and returns of one completion, from the rewards and old values of its tokens:
/// A_t = delta_t + gamma lambda A_{t+1}, delta_t = r_t + gamma V_{t+1} - V_t. The episode ends with the completion, also
/// where it was cut at its longest length: nothing is expected after the last token.
pub fn generalised_advantages(rewards: &[f64], values: &[f64], gamma: f64, lambda: f64) -> Advantages {
    let mut advantages = vec![0.0; rewards.len()];
    let (mut next_advantage, mut next_value) = (0.0, 0.0);
    for (advantage, (reward, value)) in advantages.iter_mut().zip(rewards.iter().zip(values)).rev() {
        let delta = reward + gamma * next_value - value;
        *advantage = delta + gamma * lambda * next_advantage;
        (next_advantage, next_value) = (*advantage, *value);
    }
    let returns = advantages.iter().zip(values).map(|(advantage, value)| advantage + value).collect();
    Advantages { advantages, returns }
}

/// Shifts the advantages of all tokens of a batch to mean 0 and scales them to variance 1 (with n - 1). Equal advantages,
/// or a single one, become 0.
pub fn whiten(advantages: &[f64]) -> Vec<f64> {
    let (mean, variance) = mean_and_variance(advantages);
    let scale = (variance + WHITEN_EPSILON).sqrt();
    advantages.iter().map(|advantage| (advantage - mean) / scale).collect()
}

/// RLOO: the reward of every sequence less the mean reward of its prompt's other samples. Samples of a prompt stand next to
/// each other, `samples_per_prompt` of them; with one there is nothing to compare with, and the reward stays as it is.
pub fn leave_one_out(rewards: &[f64], samples_per_prompt: usize) -> Vec<f64> {
    let others = |group: &[f64], reward: f64| match group.len() - 1 {
        0 => 0.0,
        others => (group.iter().sum::<f64>() - reward) / others as f64,
    };
    groups(rewards, samples_per_prompt).flat_map(|group| group.iter().map(move |r| r - others(group, *r))).collect()
}

/// GRPO: the reward of every sequence in deviations (with n - 1) from its prompt's mean; 0 where all samples of a prompt
/// have the same reward. Samples of a prompt stand next to each other, `samples_per_prompt` of them.
pub fn group_normalised(rewards: &[f64], samples_per_prompt: usize) -> Vec<f64> {
    let normalised = |group: &[f64]| -> Vec<f64> {
        let (mean, variance) = mean_and_variance(group);
        // The variance of equal rewards may be a rounding error above 0.
        let equal = group.iter().all(|reward| *reward == group[0]);
        group.iter().map(|reward| if equal { 0.0 } else { (reward - mean) / variance.sqrt() }).collect()
    };
    groups(rewards, samples_per_prompt).flat_map(normalised).collect()
}

fn groups(rewards: &[f64], samples_per_prompt: usize) -> impl Iterator<Item = &[f64]> {
    rewards.chunks(samples_per_prompt.max(1))
}

/// Mean, and variance with n - 1; the variance of fewer than two values is 0.
pub(super) fn mean_and_variance(values: &[f64]) -> (f64, f64) {
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, squares / values.len().saturating_sub(1).max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn close(got: &[f64], wanted: &[f64], tolerance: f64) {
        assert_eq!(got.len(), wanted.len());
        for (got, wanted) in got.iter().zip(wanted) {
            assert!((got - wanted).abs() <= tolerance * wanted.abs().max(1.0), "{got} is not {wanted}");
        }
    }

    #[test]
    fn golden_values() {
        let Advantages { advantages, returns } = generalised_advantages(&[-0.01, -0.02, 0.97], &[0.1, 0.2, 0.3], 1.0, 0.95);
        close(&advantages, &[0.770675, 0.7165, 0.67], 1e-12);
        close(&returns, &[0.870675, 0.9165, 0.97], 1e-12);
        // The golden numbers know no epsilon, which takes 2e-6 of them off.
        close(&whiten(&advantages), &[1.024420, -0.050774, -0.973646], 3e-6);
    }

    #[test]
    fn the_penalty_falls_on_every_token_and_the_score_on_the_last() {
        close(&token_rewards(&[-1.0, -2.0, -3.0], &[-1.5, -2.0, -2.0], 0.7, 0.1), &[-0.05, 0.0, 0.1 + 0.7], 1e-15);
        assert_eq!(token_rewards(&[-2.0], &[-2.0], 0.7, 0.1), [0.7]);
        assert_eq!(token_rewards(&[], &[], 0.7, 0.1), Vec::<f64>::new());
    }

    #[test]
    fn equal_advantages_whiten_to_zero() {
        for advantages in [vec![], vec![3.0], vec![0.1; 7], vec![-1e6; 3]] {
            assert!(whiten(&advantages).iter().all(|a| a.abs() < 1e-5), "{advantages:?}");
        }
    }

    #[test]
    fn leave_one_out_compares_with_the_others_of_the_prompt() {
        close(&leave_one_out(&[1.0, 2.0, 6.0, 5.0, 5.0, 5.0], 3), &[-3.0, -1.5, 4.5, 0.0, 0.0, 0.0], 1e-12);
        assert_eq!(leave_one_out(&[1.0, -2.0], 1), [1.0, -2.0]);
    }

    #[test]
    fn group_normalisation_counts_deviations_from_the_prompts_mean() {
        close(&group_normalised(&[1.0, 2.0, 3.0, 10.0, 30.0, 20.0], 3), &[-1.0, 0.0, 1.0, -1.0, 1.0, 0.0], 1e-12);
        let half = std::f64::consts::FRAC_1_SQRT_2;
        close(&group_normalised(&[0.0, 8.0], 2), &[-half, half], 1e-12);
    }

    #[test]
    fn a_group_of_equal_rewards_has_no_advantage() {
        // The mean of three 0.1 is not 0.1 in floating point.
        assert_eq!(group_normalised(&[0.1, 0.1, 0.1], 3), [0.0; 3]);
        assert_eq!(group_normalised(&[4.0, 5.0], 1), [0.0; 2]);
    }

    #[test]
    fn a_sequences_advantage_is_every_tokens() {
        let rewards = [vec![1.0, 2.0], vec![1.0]];
        let of = |estimator| Advantages::of_groups(estimator, &rewards, &[vec![0.5, 0.5], vec![0.5]], 2);
        let leave_one_out = of(Estimator::LeaveOneOut);
        assert_eq!(leave_one_out[0].advantages, [2.0, 2.0]);
        assert_eq!(leave_one_out[1].advantages, [-2.0]);
        assert_eq!(leave_one_out[0].returns, [0.5, 0.5], "a value head that is not trained stays as it is");
        assert!(of(Estimator::GroupNormalised)[1].advantages[0] < 0.0);
    }

    /// Rewards and values of a completion.
    fn episode() -> impl Strategy<Value = (Vec<f64>, Vec<f64>)> {
        proptest::collection::vec((-5.0..5.0, -5.0..5.0), 1..40).prop_map(|pairs| pairs.into_iter().unzip())
    }

    proptest! {
        #[test]
        fn with_lambda_1_returns_are_discounted_sums_of_rewards((rewards, values) in episode(), gamma in 0.0..1.0f64) {
            let returns = generalised_advantages(&rewards, &values, gamma, 1.0).returns;
            for t in 0..rewards.len() {
                let sum: f64 = rewards[t..].iter().enumerate().map(|(k, r)| gamma.powi(k as i32) * r).sum();
                prop_assert!((returns[t] - sum).abs() < 1e-10);
            }
        }

        #[test]
        fn with_lambda_0_advantages_are_errors_of_one_step((rewards, values) in episode(), gamma in 0.0..1.0f64) {
            let advantages = generalised_advantages(&rewards, &values, gamma, 0.0).advantages;
            for t in 0..rewards.len() {
                let ahead = values.get(t + 1).copied().unwrap_or(0.0);
                prop_assert!((advantages[t] - (rewards[t] + gamma * ahead - values[t])).abs() < 1e-12);
            }
        }

        #[test]
        fn values_that_are_right_leave_no_advantage((rewards, _) in episode(), lambda in 0.0..1.0f64) {
            let right = generalised_advantages(&rewards, &vec![0.0; rewards.len()], 0.9, 1.0).returns;
            let advantages = generalised_advantages(&rewards, &right, 0.9, lambda).advantages;
            prop_assert!(advantages.iter().all(|a| a.abs() < 1e-10));
        }

        #[test]
        fn whitened_advantages_have_mean_0_and_variance_1(advantages in proptest::collection::vec(-50.0..50.0f64, 3..60)) {
            prop_assume!(mean_and_variance(&advantages).1 > 1e-2);
            let (mean, variance) = mean_and_variance(&whiten(&advantages));
            prop_assert!(mean.abs() < 1e-10 && (variance - 1.0).abs() < 2e-6);
        }

        #[test]
        fn advantages_of_a_group_sum_to_zero(rewards in proptest::collection::vec(-5.0..5.0f64, 4)) {
            for advantages in [leave_one_out(&rewards, 4), group_normalised(&rewards, 4)] {
                prop_assert!(advantages.iter().sum::<f64>().abs() < 1e-9);
            }
        }
    }
}
