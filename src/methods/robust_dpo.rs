//! Robust DPO: an unbiased estimate of DPO's loss from labels that are flipped at a known rate (Chowdhury et al. 2024,
//! "Provably robust DPO").

use super::{Objective, Parameters, PreferenceBatch, Role, cdpo, dpo, must_be_label_smoothing, must_be_positive};
use burn::tensor::{Tensor, activation::log_sigmoid};
use serde::{Deserialize, Serialize};

/// `[method.robust_dpo]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RobustDpo {
    /// Strength of the KL constraint, as in DPO.
    #[serde(default = "dpo::default_beta")]
    pub beta: f64,
    /// Assumed probability that a label is wrong.
    #[serde(default = "cdpo::default_label_smoothing")]
    pub label_smoothing: f64,
}

/// (-(1 - eps) log sigma(beta m) + eps log sigma(-beta m)) / (1 - 2 eps) with DPO's margin m, `[pairs]`. For eps > 0 it is
/// unbounded below.
pub fn robust_dpo_loss(margins: Tensor<1>, beta: f64, label_smoothing: f64) -> Tensor<1> {
    let (logits, scale) = (margins.mul_scalar(beta), 1.0 / (1.0 - 2.0 * label_smoothing));
    log_sigmoid(logits.clone()).mul_scalar(-(1.0 - label_smoothing) * scale)
        + log_sigmoid(logits.neg()).mul_scalar(label_smoothing * scale)
}

impl Objective for RobustDpo {
    fn needs_reference(&self) -> bool {
        true
    }

    fn beta(&self) -> f64 {
        self.beta
    }

    fn starts_at_ln2(&self) -> bool {
        true
    }

    fn optimum_beta(&self) -> Option<f64> {
        Some(self.beta)
    }

    fn loss(&self, batch: &PreferenceBatch) -> Tensor<1> {
        robust_dpo_loss(batch.margins(batch.log_ratios()), self.beta, self.label_smoothing)
    }
}

impl Parameters for RobustDpo {
    fn role(&self) -> Role<'_> {
        Role::Train(self)
    }

    fn problems(&self) -> Vec<(&'static str, String, String)> {
        let beta = must_be_positive("beta", self.beta, "0.1 is a common choice");
        beta.into_iter().chain(must_be_label_smoothing(self.label_smoothing)).collect()
    }
}
