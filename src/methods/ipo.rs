//! Identity Preference Optimization: a squared loss that asks for a margin of 1 / (2 beta) (Azar et al. 2024, equation 17).

use super::{Objective, Parameters, PreferenceBatch, Role, dpo, is_default, must_be_positive};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// `[method.ipo]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ipo {
    /// The paper's tau: the wanted margin is 1 / (2 beta).
    #[serde(default = "dpo::default_beta")]
    pub beta: f64,
    /// What the margin is a margin of.
    #[serde(default, skip_serializing_if = "is_default")]
    pub form: Form,
}

/// Log-ratios of completions, or of their tokens on average.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// log(pi / ref) of the whole completion, as in the paper.
    #[default]
    Sum,
    /// log(pi / ref) / |completion|
    Mean,
}

/// (margin - 1 / (2 beta))^2, `[pairs]`.
pub fn ipo_loss(margins: Tensor<1>, beta: f64) -> Tensor<1> {
    margins.sub_scalar(0.5 / beta).square()
}

impl Objective for Ipo {
    fn needs_reference(&self) -> bool {
        true
    }

    fn beta(&self) -> f64 {
        self.beta
    }

    fn loss(&self, batch: &PreferenceBatch) -> Tensor<1> {
        let ratios = match self.form {
            Form::Sum => batch.log_ratios(),
            Form::Mean => batch.mean_log_ratios(),
        };
        ipo_loss(batch.margins(ratios), self.beta)
    }
}

impl Parameters for Ipo {
    fn role(&self) -> Role<'_> {
        Role::Train(self)
    }

    fn problems(&self) -> Vec<(&'static str, String, String)> {
        must_be_positive("beta", self.beta, "the margin it asks for is 1 / (2 beta)").into_iter().collect()
    }
}
