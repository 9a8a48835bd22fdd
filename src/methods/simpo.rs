//! Simple Preference Optimization: mean token log-probs with a target margin, without a reference (Meng et al. 2024,
//! equation 6).

use super::{Objective, Parameters, PreferenceBatch, Role, is_one, must_be_positive, must_not_be_negative, one};
use burn::tensor::{Tensor, activation::log_sigmoid};
use serde::{Deserialize, Serialize};

/// `[method.simpo]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Simpo {
    /// Factor of the mean log-probs.
    #[serde(default = "default_beta")]
    pub beta: f64,
    /// The margin by which beta times the means should differ.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub gamma: f64,
}

fn default_beta() -> f64 {
    2.0
}

/// -log sigma(beta m - gamma), `[pairs]`, where m is the chosen completion's mean token log-prob less the rejected one's.
pub fn simpo_loss(margins: Tensor<1>, beta: f64, gamma: f64) -> Tensor<1> {
    log_sigmoid(margins.mul_scalar(beta).sub_scalar(gamma)).neg()
}

impl Objective for Simpo {
    fn needs_reference(&self) -> bool {
        false
    }

    fn loss(&self, batch: &PreferenceBatch) -> Tensor<1> {
        simpo_loss(batch.margins(batch.policy.means()), self.beta, self.gamma)
    }
}

impl Parameters for Simpo {
    fn role(&self) -> Role<'_> {
        Role::Train(self)
    }

    fn problems(&self) -> Vec<(&'static str, String, String)> {
        let beta = must_be_positive("beta", self.beta, "2 is a common choice");
        let gamma = must_not_be_negative("gamma", self.gamma, "0 asks for no margin");
        [beta, gamma].into_iter().flatten().collect()
    }
}
