//! Unlikelihood: raise the chosen completion, lower the rejected one (Rafailov et al. 2023, section 6; Welleck et al. 2020).

use super::{Objective, Parameters, PreferenceBatch, Role};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// `[method.unlikelihood]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unlikelihood {
    /// Weight of the rejected completion, in [0, 1].
    #[serde(default = "default_alpha")]
    pub alpha: f64,
    /// Which of the two published forms.
    #[serde(default)]
    pub form: Form,
}

fn default_alpha() -> f64 {
    0.5
}

/// The two forms of the loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// The DPO paper's text: -log pi(w) + alpha log pi(l). Unbounded below: expect degeneration as alpha nears 1.
    #[default]
    LogLikelihood,
    /// Welleck et al.: -log pi(w) - alpha sum over tokens of log(1 - p(token of l)).
    Token,
}

/// -log pi_w + alpha log pi_l, `[pairs]`.
pub fn log_likelihood_loss(chosen: Tensor<1>, rejected: Tensor<1>, alpha: f64) -> Tensor<1> {
    rejected.mul_scalar(alpha) - chosen
}

/// -log pi_w - alpha sum_t log(1 - p_t), `[pairs]`, from the sums of both sides.
pub fn token_loss(chosen: Tensor<1>, rejected_complement: Tensor<1>, alpha: f64) -> Tensor<1> {
    chosen.neg() - rejected_complement.mul_scalar(alpha)
}

impl Objective for Unlikelihood {
    fn needs_reference(&self) -> bool {
        false
    }

    fn loss(&self, batch: &PreferenceBatch) -> Tensor<1> {
        let chosen = batch.of_chosen(batch.policy.sums());
        match self.form {
            Form::LogLikelihood => log_likelihood_loss(chosen, batch.of_rejected(batch.policy.sums()), self.alpha),
            Form::Token => token_loss(chosen, batch.of_rejected(batch.policy.complement_sums()), self.alpha),
        }
    }
}

impl Parameters for Unlikelihood {
    fn role(&self) -> Role<'_> {
        Role::Train(self)
    }

    fn problems(&self) -> Vec<(&'static str, String, String)> {
        let inside = (0.0..=1.0).contains(&self.alpha);
        let what = || format!("`alpha` must lie in [0, 1], not {}", self.alpha);
        (!inside).then(|| ("alpha", what(), "the paper uses 0.05 to 1".to_owned())).into_iter().collect()
    }
}
