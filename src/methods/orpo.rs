//! Odds Ratio Preference Optimization: likelihood of the chosen completion and an odds ratio, without a reference
//! (Hong et al. 2024, equations 6 and 7).

use super::{Objective, Parameters, PreferenceBatch, Role, must_be_positive};
use burn::tensor::{Tensor, activation::log_sigmoid};
use serde::{Deserialize, Serialize};

/// `[method.orpo]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Orpo {
    /// Weight of the odds ratio's loss, the paper's lambda.
    #[serde(default = "default_beta")]
    pub beta: f64,
}

fn default_beta() -> f64 {
    0.1
}

/// log(p / (1 - p)) of log p, of any shape; p is kept 1e-6 away from 1, where the odds and their gradient end.
///
/// log(1 - p) = log tanh(-log p / 2) + log(1 + p) loses nothing for p near 1 nor for p near 0.
pub fn log_odds(log_probs: Tensor<1>) -> Tensor<1> {
    let log_probs = log_probs.clamp_max(-1e-6);
    let complement = log_probs.clone().mul_scalar(-0.5).tanh().log() + log_probs.clone().exp().log1p();
    log_probs - complement
}

/// -A - beta log sigma(log odds(A) - log odds(B)), `[pairs]`, of the mean token log-probs A of the chosen and B of the
/// rejected completions.
pub fn orpo_loss(chosen: Tensor<1>, rejected: Tensor<1>, beta: f64) -> Tensor<1> {
    let ratio = log_odds(chosen.clone()) - log_odds(rejected);
    chosen.neg() - log_sigmoid(ratio).mul_scalar(beta)
}

impl Objective for Orpo {
    fn needs_reference(&self) -> bool {
        false
    }

    fn loss(&self, batch: &PreferenceBatch) -> Tensor<1> {
        let means = batch.policy.means();
        orpo_loss(batch.of_chosen(means.clone()), batch.of_rejected(means), self.beta)
    }
}

impl Parameters for Orpo {
    fn role(&self) -> Role<'_> {
        Role::Train(self)
    }

    fn problems(&self) -> Vec<(&'static str, String, String)> {
        must_be_positive("beta", self.beta, "0.1 is a common choice").into_iter().collect()
    }
}
