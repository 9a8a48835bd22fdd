//! The DPO loss over the whole population of labelled pairs (Rafailov et al. 2023, equation 7, with its expectation exact).

use super::Enumerated;
use super::optimum::mean;
use rayon::prelude::*;

/// How the better completion of a pair is told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Labels {
    /// i is preferred to j with probability sigma(reward_scale (r_i - r_j)) (Bradley and Terry 1952). DPO at beta then has its
    /// minimum at the optimal policy of the scaled reward, which is that of the reward at beta / reward_scale.
    BradleyTerry {
        /// Factor between the reward and the Bradley-Terry reward.
        reward_scale: f64,
    },
    /// The completion with the higher reward is always preferred, either of equal ones half the time. The loss then has no
    /// finite minimiser: every larger margin is better, at every beta.
    Hard,
}

impl Labels {
    /// Probability that the first completion is preferred, given its reward less that of the second.
    fn preferred(self, difference: f64) -> f64 {
        match self {
            Labels::BradleyTerry { reward_scale } => sigmoid(reward_scale * difference),
            Labels::Hard if difference == 0.0 => 0.5,
            Labels::Hard => f64::from(difference > 0.0),
        }
    }
}

/// Expected DPO loss of a policy, in nats a pair, and its gradient with respect to the policy's log-probs, each taken as free;
/// `policy` and the gradient are `[prompts][completions]`. Both completions of a pair are drawn from the reference; a pair of
/// equal ones costs log 2 whatever the policy. Time grows with the square of the number of completions.
///
/// With h = log pi - log pi_ref, z = beta (h_i - h_j) and s the probability that i is preferred, a pair costs
/// -s log sigma(z) - (1 - s) log sigma(-z), whose derivative by z is sigma(z) - s.
pub fn population_loss(set: &Enumerated, policy: &[Vec<f64>], beta: f64, labels: Labels) -> (f64, Vec<Vec<f64>>) {
    let prompts = set.reference.len() as f64;
    let of_a_prompt = |((reference, rewards), policy): ((&Vec<f64>, &Vec<f64>), &Vec<f64>)| {
        let masses: Vec<f64> = reference.iter().map(|log_prob| log_prob.exp()).collect();
        let implicit: Vec<f64> = policy.iter().zip(reference).map(|(log_pi, log_ref)| beta * (log_pi - log_ref)).collect();
        let mut loss = masses.iter().map(|mass| mass * mass).sum::<f64>() * std::f64::consts::LN_2;
        let mut gradient = vec![0.0; masses.len()];
        for i in 0..masses.len() {
            for j in 0..i {
                // Drawn as (i, j) or as (j, i).
                let probability = 2.0 * masses[i] * masses[j];
                let z = implicit[i] - implicit[j];
                let s = labels.preferred(rewards[i] - rewards[j]);
                loss += probability * (s * softplus(-z) + (1.0 - s) * softplus(z));
                let slope = probability * beta * (sigmoid(z) - s) / prompts;
                gradient[i] += slope;
                gradient[j] -= slope;
            }
        }
        (loss, gradient)
    };
    let (losses, gradient): (Vec<f64>, Vec<Vec<f64>>) =
        set.reference.par_iter().zip(&set.rewards).zip(policy).map(of_a_prompt).unzip();
    (mean(&losses), gradient)
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// log(1 + e^x), which is -log sigma(-x).
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::optimum::tests::{golden, normalised, sets};
    use proptest::prelude::*;

    #[test]
    fn the_reference_costs_log_2_with_any_labels() {
        for labels in [Labels::Hard, Labels::BradleyTerry { reward_scale: 3.0 }] {
            let (loss, _) = population_loss(&golden(), &golden().reference, 0.1, labels);
            assert!((loss - std::f64::consts::LN_2).abs() < 1e-12);
        }
    }

    #[test]
    fn hard_labels_have_no_finite_minimiser() {
        let set = golden();
        let along = |distance: f64| {
            let logits: Vec<f64> =
                set.reference[0].iter().zip(&set.rewards[0]).map(|(log_ref, r)| log_ref + distance * r).collect();
            population_loss(&set, &[normalised(&logits)], 0.1, Labels::Hard).0
        };
        let losses: Vec<f64> = (0..12).map(|step| along(f64::from(1 << step))).collect();
        assert!(losses.windows(2).all(|pair| pair[1] < pair[0]), "{losses:?}");
        // What is left are pairs of equal completions: 0.16 + 0.09 + 0.04 + 0.01 of all pairs.
        assert!((losses[11] - 0.3 * std::f64::consts::LN_2).abs() < 1e-9, "{losses:?}");
    }

    #[test]
    fn equal_rewards_under_hard_labels_hold_the_policy_where_it_is() {
        let set = Enumerated::new(vec![vec![0.5f64.ln(); 2]], vec![vec![0.3; 2]]).expect("a set");
        let (_, gradient) = population_loss(&set, &set.reference, 1.0, Labels::Hard);
        assert_eq!(gradient, [[0.0, 0.0]]);
    }

    proptest! {
        #[test]
        fn bradley_terry_labels_lead_to_the_optimum_of_the_scaled_reward(
            set in sets(), beta in 0.05..2.0f64, reward_scale in 0.5..5.0f64
        ) {
            let labels = Labels::BradleyTerry { reward_scale };
            let (_, gradient) = population_loss(&set, &set.optimal_policy(beta / reward_scale), beta, labels);
            prop_assert!(gradient.iter().flatten().all(|slope| slope.abs() < 1e-12), "{gradient:?}");
        }

        #[test]
        fn the_gradient_is_that_of_finite_differences(
            set in sets(), logits in prop::collection::vec(-2.0..2.0f64, 6), beta in 0.05..2.0f64, hard: bool
        ) {
            let labels = if hard { Labels::Hard } else { Labels::BradleyTerry { reward_scale: 2.0 } };
            let policy = vec![normalised(&logits); set.reference.len()];
            let (_, gradient) = population_loss(&set, &policy, beta, labels);
            for completion in 0..6 {
                let moved = |step: f64| {
                    let mut policy = policy.clone();
                    policy[0][completion] += step;
                    population_loss(&set, &policy, beta, labels).0
                };
                let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                prop_assert!((slope - gradient[0][completion]).abs() < 1e-8, "{slope} {}", gradient[0][completion]);
            }
        }
    }
}
