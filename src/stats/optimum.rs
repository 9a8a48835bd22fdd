//! KL-constrained reward maximisation, solved exactly where all completions of a prompt can be listed (Rafailov et al. 2023,
//! section 4 and appendix A.1): max over pi of J(pi) = E[r] - beta KL(pi || pi_ref), whose solution is
//! pi*(y|x) = pi_ref(y|x) exp(r(x, y) / beta) / Z(x).
//!
//! A policy is a table of log-probs, `[prompts][completions]`. Prompts weigh the same, and share one beta.

use super::Point;
use rayon::prelude::*;

/// Halvings of log beta in a search: its 46 nats shrink to the last digits of an f64.
const HALVINGS: usize = 60;
/// The searched betas, in units of the widest range of rewards of a prompt. At the first, KL is below 1e-16 nats; at the last,
/// completions that differ by a millionth of a millionth of the range are told apart.
const SEARCHED: (f64, f64) = (1e8, 1e-12);
/// Shares of the greatest KL where a curve begins and ends, apart from its two end points.
const CURVE: (f64, f64) = (0.001, 0.999);

/// All completions of every prompt, with their log-probs under the reference policy and their rewards.
#[derive(Clone, Debug, PartialEq)]
pub struct Enumerated {
    /// log pi_ref(y|x), `[prompts][completions]`; the probabilities of a prompt sum to 1.
    pub(super) reference: Vec<Vec<f64>>,
    /// r(x, y), `[prompts][completions]`.
    pub(super) rewards: Vec<Vec<f64>>,
}

impl Enumerated {
    /// Tables of log pi_ref and of rewards, both `[prompts][completions]`; prompts may differ in their number of completions.
    /// The log-probs are normalised: a model's f32 sum to 1 only nearly, and the identities here should hold to f64.
    ///
    /// Fails if there are no prompts, if the shapes differ, if a number is not finite, or if the probabilities of a prompt are
    /// further than 1e-3 from 1.
    pub fn new(mut reference: Vec<Vec<f64>>, rewards: Vec<Vec<f64>>) -> Result<Self, String> {
        if reference.is_empty() || reference.len() != rewards.len() {
            return Err(format!(
                "{} prompts have log-probs and {} have rewards: give both for the same prompts, and at least one",
                reference.len(),
                rewards.len()
            ));
        }
        for (prompt, (log_probs, rewards)) in reference.iter_mut().zip(&rewards).enumerate() {
            if log_probs.len() != rewards.len() || log_probs.iter().chain(rewards).any(|number| !number.is_finite()) {
                return Err(format!("prompt {prompt}: give every completion one finite log-prob and one finite reward"));
            }
            let total = log_sum_exp(log_probs);
            if total.exp_m1().abs() > 1e-3 {
                return Err(format!("prompt {prompt}: its probabilities sum to {}, not to 1: list all completions", total.exp()));
            }
            log_probs.iter_mut().for_each(|log_prob| *log_prob -= total);
        }
        Ok(Enumerated { reference, rewards })
    }

    /// log pi*(y|x) at a beta, `[prompts][completions]`. An infinite beta gives the reference. 0 gives the limit of small
    /// betas: all mass on a prompt's best completions, which share it in proportion to pi_ref.
    pub fn optimal_policy(&self, beta: f64) -> Vec<Vec<f64>> {
        self.prompts().map(|(reference, rewards)| tilted(reference, rewards, beta).0).collect()
    }

    /// log Z(x) = log sum over y of pi_ref(y|x) exp(r(x, y) / beta), `[prompts]`, at a beta above 0.
    pub fn log_partition(&self, beta: f64) -> Vec<f64> {
        self.prompts().map(|(reference, rewards)| tilted(reference, rewards, beta).1 + greatest(rewards) / beta).collect()
    }

    /// KL(policy || pi_ref) in nats and expected reward of a policy.
    pub fn point(&self, policy: &[Vec<f64>]) -> Point {
        let expected = |(log_probs, rewards): (&Vec<f64>, &Vec<f64>)| {
            log_probs.iter().zip(rewards).map(|(log_prob, reward)| log_prob.exp() * reward).sum::<f64>()
        };
        let rewards: Vec<f64> = policy.par_iter().zip(&self.rewards).map(expected).collect();
        Point { kl: mean_kl(policy, &self.reference), reward: mean(&rewards) }
    }

    /// J(policy) = E[r] - beta KL(policy || pi_ref).
    pub fn objective(&self, policy: &[Vec<f64>], beta: f64) -> f64 {
        let point = self.point(policy);
        point.reward - beta * point.kl
    }

    /// The point of the optimal policy at a beta, from infinity (the reference) to 0 (the end of the frontier).
    pub fn optimum(&self, beta: f64) -> Point {
        self.point(&self.optimal_policy(beta))
    }

    /// The greatest KL that buys reward, in nats: that of the policy which only writes best completions.
    pub fn last_kl(&self) -> f64 {
        self.optimum(0.0).kl
    }

    /// The beta whose optimal policy has this KL: infinity at 0 and below, 0 from the last KL on.
    pub fn beta_at(&self, kl: f64) -> f64 {
        let range = |rewards: &Vec<f64>| greatest(rewards) - rewards.iter().copied().fold(f64::INFINITY, f64::min);
        let widest = self.rewards.iter().map(range).fold(0.0, f64::max);
        if kl <= 0.0 || widest == 0.0 {
            return f64::INFINITY;
        }
        if kl >= self.last_kl() {
            return 0.0;
        }
        let (mut high, mut low) = ((SEARCHED.0 * widest).ln(), (SEARCHED.1 * widest).ln());
        for _ in 0..HALVINGS {
            let middle = (high + low) / 2.0;
            if self.optimum(middle.exp()).kl > kl {
                low = middle;
            } else {
                high = middle;
            }
        }
        ((high + low) / 2.0).exp()
    }

    /// The greatest expected reward of any policy within this KL: on average over prompts, not for each of them.
    pub fn reward_at(&self, kl: f64) -> f64 {
        self.optimum(self.beta_at(kl)).reward
    }

    /// Points of the frontier for a figure, as (beta, point): the reference, `count` betas that are evenly spaced in log, and
    /// the end. Where all rewards of a prompt are the same, the frontier is the reference alone.
    pub fn curve(&self, count: usize) -> Vec<(f64, Point)> {
        let last = self.last_kl();
        let betas = if last > 0.0 {
            let between = log_spaced(self.beta_at(CURVE.0 * last), self.beta_at(CURVE.1 * last), count);
            [f64::INFINITY].into_iter().chain(between).chain([0.0]).collect()
        } else {
            vec![f64::INFINITY]
        };
        betas.into_iter().map(|beta| (beta, self.optimum(beta))).collect()
    }

    /// (log-probs of the reference, rewards) of every prompt.
    fn prompts(&self) -> impl IndexedParallelIterator<Item = (&Vec<f64>, &Vec<f64>)> {
        self.reference.par_iter().zip(&self.rewards)
    }
}

/// KL(policy || other) in nats, the mean over prompts of two tables of log-probs `[prompts][completions]`.
pub fn mean_kl(policy: &[Vec<f64>], other: &[Vec<f64>]) -> f64 {
    let kl = |(policy, other): (&Vec<f64>, &Vec<f64>)| {
        let term = |(log_p, log_q): (&f64, &f64)| match log_p.exp() {
            // 0 log 0 is 0, whatever the other policy does there.
            0.0 => 0.0,
            p => p * (log_p - log_q),
        };
        policy.iter().zip(other).map(term).sum::<f64>()
    };
    mean(&policy.par_iter().zip(other).map(kl).collect::<Vec<_>>())
}

/// `count` numbers from `first` to `last`, both above 0, in equal ratios; `first` alone for a count of 1.
pub fn log_spaced(first: f64, last: f64, count: usize) -> Vec<f64> {
    let step = (last / first).ln() / count.saturating_sub(1).max(1) as f64;
    (0..count).map(|index| first * (step * index as f64).exp()).collect()
}

/// log pi* of one prompt, and its log Z less the greatest r / beta. Advantages over the best completion, not rewards, are
/// divided by beta: r / beta of a small beta would leave no digits for log Z.
fn tilted(reference: &[f64], rewards: &[f64], beta: f64) -> (Vec<f64>, f64) {
    let best = greatest(rewards);
    let advantage = |reward: f64| if reward == best { 0.0 } else { (reward - best) / beta };
    let mut logits: Vec<f64> = reference.iter().zip(rewards).map(|(log_prob, reward)| log_prob + advantage(*reward)).collect();
    let log_z = log_sum_exp(&logits);
    logits.iter_mut().for_each(|logit| *logit -= log_z);
    (logits, log_z)
}

/// log of the sum of exponentials.
pub(super) fn log_sum_exp(logits: &[f64]) -> f64 {
    let most = greatest(logits);
    most + logits.iter().map(|logit| (logit - most).exp()).sum::<f64>().ln()
}

fn greatest(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[cfg(test)]
#[path = "optimum_tests.rs"]
pub(super) mod tests;
