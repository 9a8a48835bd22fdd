//! Direct Preference Optimization (Rafailov et al. 2023, equation 7).

use super::{Objective, Parameters, PreferenceBatch, Role, batch::PairLogProbs, must_be_positive};
use burn::tensor::{Tensor, activation::log_sigmoid};
use serde::{Deserialize, Serialize};

/// `[method.dpo]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dpo {
    /// Strength of the KL constraint: the reward is beta * log(pi / ref).
    #[serde(default = "default_beta")]
    pub beta: f64,
}

/// The paper's default (appendix B).
pub(super) fn default_beta() -> f64 {
    0.1
}

/// -log sigma(beta * ((log pi_w - log ref_w) - (log pi_l - log ref_l))), `[pairs]`.
pub fn dpo_loss(log_probs: PairLogProbs, beta: f64) -> Tensor<1> {
    log_sigmoid(margin(log_probs).mul_scalar(beta)).neg()
}

/// (log pi_w - log ref_w) - (log pi_l - log ref_l), `[pairs]`.
pub(super) fn margin(log_probs: PairLogProbs) -> Tensor<1> {
    (log_probs.chosen - log_probs.reference_chosen) - (log_probs.rejected - log_probs.reference_rejected)
}

impl Objective for Dpo {
    fn needs_reference(&self) -> bool {
        true
    }

    fn beta(&self) -> f64 {
        self.beta
    }

    fn starts_at_ln2(&self) -> bool {
        true
    }

    fn loss(&self, batch: &PreferenceBatch) -> Tensor<1> {
        dpo_loss(batch.pairs(), self.beta)
    }
}

impl Parameters for Dpo {
    fn role(&self) -> Role<'_> {
        Role::Train(self)
    }

    fn problems(&self) -> Vec<(&'static str, String, String)> {
        must_be_positive("beta", self.beta, "the paper uses 0.05 to 5").into_iter().collect()
    }
}
