//! Hinge loss on DPO's margin: SLiC's loss (Zhao et al. 2023) with the reference's log-probs taken off the policy's.

use super::{Objective, Parameters, PreferenceBatch, Role, dpo, must_be_positive};
use burn::tensor::{Tensor, activation::relu};
use serde::{Deserialize, Serialize};

/// `[method.hinge]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hinge {
    /// The loss ends where the log-ratios differ by 1 / beta.
    #[serde(default = "dpo::default_beta")]
    pub beta: f64,
}

/// max(0, 1 - beta m) with DPO's margin m, `[pairs]`.
pub fn hinge_loss(margins: Tensor<1>, beta: f64) -> Tensor<1> {
    relu(margins.mul_scalar(-beta).add_scalar(1.0))
}

impl Objective for Hinge {
    fn needs_reference(&self) -> bool {
        true
    }

    fn beta(&self) -> f64 {
        self.beta
    }

    fn loss(&self, batch: &PreferenceBatch) -> Tensor<1> {
        hinge_loss(batch.margins(batch.log_ratios()), self.beta)
    }
}

impl Parameters for Hinge {
    fn role(&self) -> Role<'_> {
        Role::Train(self)
    }

    fn problems(&self) -> Vec<(&'static str, String, String)> {
        must_be_positive("beta", self.beta, "the margin it asks for is 1 / beta").into_iter().collect()
    }
}
