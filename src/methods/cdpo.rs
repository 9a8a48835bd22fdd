//! Conservative DPO: DPO with smoothed labels (Mitchell 2023, "A note on DPO with noisy preferences").

use super::{Objective, Parameters, PreferenceBatch, Role, dpo, must_be_label_smoothing, must_be_positive};
use burn::tensor::{Tensor, activation::log_sigmoid};
use serde::{Deserialize, Serialize};

/// `[method.cdpo]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cdpo {
    /// Strength of the KL constraint, as in DPO.
    #[serde(default = "dpo::default_beta")]
    pub beta: f64,
    /// Assumed probability that a label is wrong.
    #[serde(default = "default_label_smoothing")]
    pub label_smoothing: f64,
}

pub(super) fn default_label_smoothing() -> f64 {
    0.1
}

/// -(1 - eps) log sigma(beta m) - eps log sigma(-beta m) with DPO's margin m, `[pairs]`.
pub fn cdpo_loss(margins: Tensor<1>, beta: f64, label_smoothing: f64) -> Tensor<1> {
    let logits = margins.mul_scalar(beta);
    log_sigmoid(logits.clone()).mul_scalar(-(1.0 - label_smoothing)) - log_sigmoid(logits.neg()).mul_scalar(label_smoothing)
}

impl Objective for Cdpo {
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
        cdpo_loss(batch.margins(batch.log_ratios()), self.beta, self.label_smoothing)
    }
}

impl Parameters for Cdpo {
    fn role(&self) -> Role<'_> {
        Role::Train(self)
    }

    fn problems(&self) -> Vec<(&'static str, String, String)> {
        let beta = must_be_positive("beta", self.beta, "the paper uses 0.05 to 5");
        beta.into_iter().chain(must_be_label_smoothing(self.label_smoothing)).collect()
    }
}
