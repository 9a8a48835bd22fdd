//! The optimal frontier, estimated from samples of the reference: the optimal policy of a beta is the reference reweighted by
//! exp(r / beta) (Rafailov et al. 2023, equation 4), so self-normalised importance sampling (Owen 2013, chapter 9) estimates
//! its reward and KL where completions cannot be listed.

use super::{Mean, Point, clustered_mean};
use rayon::prelude::*;

/// Effective samples that 9 of 10 prompts need. Their number matters, not their share of the samples: in simulations it leaves
/// a bias below 0.01 of reward and 0.03 nats with 64 samples a prompt as with 512, while 8 effective samples of 16, a
/// larger share, already lose 0.03 of reward.
const ENOUGH_EFFECTIVE_SAMPLES: f64 = 20.0;

/// The optimum of one beta, estimated. Errors are over prompts, and hold the noise of the samples within them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reweighted {
    /// The beta that all prompts share.
    pub beta: f64,
    /// Expected reward.
    pub reward: Mean,
    /// KL to the reference in nats; at most the log of the number of samples of a prompt.
    pub kl: Mean,
    /// Effective number of samples of a prompt, 1 / sum of squared weights (Kong 1992): the mean over prompts.
    pub effective_samples: f64,
    /// Effective number of samples that 9 of 10 prompts reach.
    pub effective_samples_of_most: f64,
    /// The least effective number of samples of a prompt.
    pub effective_samples_of_least: f64,
}

impl Reweighted {
    /// Whether enough samples carry the weight for the estimate and its errors to be believed. Where they do not, the best
    /// completions were hardly ever drawn: both reward and KL come out too low, and the errors do not show it.
    pub fn is_reliable(&self) -> bool {
        self.effective_samples_of_most >= ENOUGH_EFFECTIVE_SAMPLES
    }

    /// The estimate as a point of a figure.
    pub fn point(&self) -> Point {
        Point { kl: self.kl.mean, reward: self.reward.mean }
    }
}

/// What a prompt's samples say.
struct Estimated {
    reward: f64,
    kl: f64,
    effective_samples: f64,
}

/// The estimated frontier at each beta (above 0; infinity is the reference), from the rewards of samples of the reference,
/// `[prompts][samples]`. Prompts may differ in their number of samples; those without any, and rewards that are not finite,
/// make no estimate possible: nothing is returned.
pub fn reweighted_frontier(rewards: &[Vec<f64>], betas: &[f64]) -> Option<Vec<Reweighted>> {
    let usable = |samples: &Vec<f64>| !samples.is_empty() && samples.iter().all(|reward| reward.is_finite());
    if rewards.is_empty() || !rewards.iter().all(usable) {
        return None;
    }
    Some(betas.iter().map(|beta| at_beta(rewards, *beta)).collect())
}

fn at_beta(rewards: &[Vec<f64>], beta: f64) -> Reweighted {
    let prompts: Vec<Estimated> = rewards.par_iter().map(|samples| of_a_prompt(samples, beta)).collect();
    let mut effective: Vec<f64> = prompts.iter().map(|prompt| prompt.effective_samples).collect();
    effective.sort_by(f64::total_cmp);
    Reweighted {
        beta,
        reward: clustered_mean(prompts.iter().map(|prompt| prompt.reward).enumerate()),
        kl: clustered_mean(prompts.iter().map(|prompt| prompt.kl).enumerate()),
        effective_samples: effective.iter().sum::<f64>() / effective.len() as f64,
        effective_samples_of_most: effective[(effective.len() - 1) / 10],
        effective_samples_of_least: effective[0],
    }
}

/// Advantages over the best sample, not rewards, are divided by beta: the weights stay the same and exponentials in range.
fn of_a_prompt(samples: &[f64], beta: f64) -> Estimated {
    let best = samples.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let exponents: Vec<f64> = samples.iter().map(|reward| (reward - best) / beta).collect();
    let total: f64 = exponents.iter().map(|exponent| exponent.exp()).sum();
    let log_mean = (total / samples.len() as f64).ln();
    let (mut reward, mut kl, mut squares) = (0.0, 0.0, 0.0);
    for (sample, exponent) in samples.iter().zip(&exponents) {
        let weight = exponent.exp() / total;
        reward += weight * sample;
        kl += weight * (exponent - log_mean);
        squares += weight * weight;
    }
    Estimated { reward, kl, effective_samples: 1.0 / squares }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;
    use crate::stats::{Enumerated, log_spaced};

    /// 50 prompts with 1000 completions each: normal logits for the reference, and for the rewards.
    fn world() -> Enumerated {
        let mut stream = Stream::new(0, 0, "test", 0);
        let mut table = |transform: fn(f64) -> f64| -> Vec<Vec<f64>> {
            (0..50).map(|_| (0..1000).map(|_| transform(stream.normal())).collect()).collect()
        };
        let (weights, rewards) = (table(|x| (1.2 * x).exp()), table(|x| 1.0 / (1.0 + (-1.5 * x).exp())));
        let log_probs = |weights: &Vec<f64>| {
            let total: f64 = weights.iter().sum();
            weights.iter().map(|weight| (weight / total).ln()).collect()
        };
        Enumerated::new(weights.iter().map(log_probs).collect(), rewards).expect("a set")
    }

    /// Rewards of `count` samples for each of 64 prompts, which are drawn themselves.
    fn sampled(set: &Enumerated, count: usize, row: u64) -> Vec<Vec<f64>> {
        let mut stream = Stream::new(0, 1, "test", row);
        let cumulated = |log_probs: &Vec<f64>| -> Vec<f64> {
            log_probs.iter().scan(0.0, |sum, log_prob| Some(std::mem::replace(sum, *sum + log_prob.exp()))).collect()
        };
        let below: Vec<Vec<f64>> = set.reference.iter().map(cumulated).collect();
        let mut of_a_prompt = || {
            let prompt = stream.below(below.len());
            (0..count)
                .map(|_| {
                    let level = stream.uniform();
                    set.rewards[prompt][below[prompt].partition_point(|below| *below <= level) - 1]
                })
                .collect()
        };
        (0..64).map(|_| of_a_prompt()).collect()
    }

    #[test]
    fn samples_in_the_references_proportions_give_the_exact_optimum() {
        let samples = [[0.0; 4].as_slice(), &[0.3; 3], &[0.7; 2], &[1.0]].concat();
        let estimates = reweighted_frontier(&[samples], &[0.1, 1.0, f64::INFINITY]).expect("estimates");
        for (estimate, (reward, kl)) in estimates.iter().zip([(0.971003, 1.915044), (0.456387, 0.064658), (0.33, 0.0)]) {
            let point = estimate.point();
            assert!((point.reward - reward).abs() < 5e-7 && (point.kl - kl).abs() < 5e-7, "{estimate:?}");
        }
        assert!((estimates[2].effective_samples - 10.0).abs() < 1e-12);
    }

    /// Whether an estimate is further from the exact optimum than 3 standard errors and a bias of 0.01 of reward or 0.03 nats.
    fn is_off(estimate: &Reweighted, exact: Point) -> bool {
        (estimate.reward.mean - exact.reward).abs() > 3.0 * estimate.reward.se + 0.01
            || (estimate.kl.mean - exact.kl).abs() > 3.0 * estimate.kl.se + 0.03
    }

    #[test]
    fn reliable_estimates_are_near_the_exact_optimum() {
        let (set, betas) = (world(), log_spaced(1.0, 0.01, 15));
        let exact: Vec<Point> = betas.iter().map(|beta| set.optimum(*beta)).collect();
        for count in [32, 64, 512] {
            let of_a_run = |row| reweighted_frontier(&sampled(&set, count, row), &betas).expect("estimates");
            let runs: Vec<Vec<Reweighted>> = (0..40).map(of_a_run).collect();
            let all = || runs.iter().flat_map(|run| run.iter().zip(&exact));
            let reliable = all().filter(|(estimate, _)| estimate.is_reliable()).count();
            let off = all().filter(|(estimate, exact)| estimate.is_reliable() && is_off(estimate, **exact)).count();
            assert!(reliable >= 100 && off * 100 <= reliable, "{count}: {off} of {reliable}");
        }
    }

    #[test]
    fn too_few_samples_miss_the_optimum_and_are_not_called_reliable() {
        let (set, beta) = (world(), 0.02);
        for row in 0..20 {
            let estimate = reweighted_frontier(&sampled(&set, 32, row), &[beta]).expect("estimates")[0];
            assert!(is_off(&estimate, set.optimum(beta)) && !estimate.is_reliable(), "{estimate:?}");
        }
    }

    #[test]
    fn effective_samples_are_summed_up_over_prompts() {
        // At a small beta one sample carries all weight, unless all are equal.
        let prompts: Vec<Vec<f64>> = (0..20).map(|prompt| if prompt < 3 { vec![0.0, 1.0] } else { vec![1.0, 1.0] }).collect();
        let estimate = reweighted_frontier(&prompts, &[1e-3]).expect("estimates")[0];
        assert_eq!((estimate.effective_samples_of_least, estimate.effective_samples_of_most), (1.0, 1.0));
        assert!((estimate.effective_samples - 1.85).abs() < 1e-12);
    }

    #[test]
    fn tiny_betas_neither_overflow_nor_leave_the_samples() {
        let estimate = reweighted_frontier(&[vec![0.1, 0.9, 0.4], vec![-5.0]], &[1e-9]).expect("estimates")[0];
        assert!((estimate.reward.mean + 2.05).abs() < 1e-9 && (estimate.kl.mean - 3f64.ln() / 2.0).abs() < 1e-9, "{estimate:?}");
    }

    #[test]
    fn prompts_without_finite_samples_give_nothing() {
        for rewards in [vec![], vec![vec![0.5], vec![]], vec![vec![f64::NAN]]] {
            assert_eq!(reweighted_frontier(&rewards, &[1.0]), None);
        }
    }
}
