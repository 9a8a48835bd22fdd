//! Direct Preference Optimization (Rafailov et al. 2023, equation 7) and its variants that change one term: other
//! divergences (Wang et al. 2024), length normalisation, no reference, and a likelihood term (RPO, Pang et al. 2024).

use super::{Objective, Parameters, PreferenceBatch, Role, divergence::Divergence, is_default};
use super::{must_be_positive, must_not_be_negative};
use burn::tensor::{Tensor, activation::log_sigmoid};
use serde::{Deserialize, Serialize};

/// `[method.dpo]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dpo {
    /// Strength of the constraint: the reward is beta * log(pi / ref).
    pub beta: f64,
    /// Divides each completion's log-ratio by its number of tokens.
    #[serde(skip_serializing_if = "is_default")]
    pub average_log_prob: bool,
    /// Takes the same log-prob for every completion as the reference's, so that none is needed.
    #[serde(skip_serializing_if = "is_default")]
    pub reference_free: bool,
    /// The divergence that holds the policy near the reference.
    #[serde(skip_serializing_if = "is_default")]
    pub divergence: Divergence,
    /// The alpha divergence's alpha, in [0, 1]; 0.5 if absent.
    #[serde(skip_serializing_if = "is_default_alpha")]
    pub divergence_alpha: Option<f64>,
    /// Weight of -log pi(y_w | x) / |y_w| beside the preference loss.
    #[serde(skip_serializing_if = "is_default")]
    pub sft_weight: f64,
}

impl Default for Dpo {
    fn default() -> Self {
        Dpo {
            beta: default_beta(),
            average_log_prob: false,
            reference_free: false,
            divergence: Divergence::ReverseKl,
            divergence_alpha: None,
            sft_weight: 0.0,
        }
    }
}

/// The paper's default (appendix B).
pub(super) fn default_beta() -> f64 {
    0.1
}

const DEFAULT_ALPHA: f64 = 0.5;

fn is_default_alpha(alpha: &Option<f64>) -> bool {
    alpha.is_none_or(|alpha| alpha == DEFAULT_ALPHA)
}

/// -log sigma(beta * margin), `[pairs]`; the margin is (log pi_w - log ref_w) - (log pi_l - log ref_l), or what stands for it.
pub fn dpo_loss(margins: Tensor<1>, beta: f64) -> Tensor<1> {
    log_sigmoid(margins.mul_scalar(beta)).neg()
}

impl Objective for Dpo {
    fn needs_reference(&self) -> bool {
        !self.reference_free
    }

    fn beta(&self) -> f64 {
        self.beta
    }

    fn starts_at_ln2(&self) -> bool {
        !self.reference_free && self.sft_weight == 0.0
    }

    fn optimum_beta(&self) -> Option<f64> {
        let plain = !self.average_log_prob && !self.reference_free && self.sft_weight == 0.0;
        (plain && self.divergence == Divergence::ReverseKl).then_some(self.beta)
    }

    fn loss(&self, batch: &PreferenceBatch) -> Tensor<1> {
        let ratios = if self.average_log_prob { batch.mean_log_ratios() } else { batch.log_ratios() };
        let rewards = self.divergence.link(ratios, self.divergence_alpha.unwrap_or(DEFAULT_ALPHA));
        let preference = dpo_loss(batch.margins(rewards), self.beta);
        if self.sft_weight == 0.0 {
            return preference;
        }
        preference - batch.of_chosen(batch.policy.means()).mul_scalar(self.sft_weight)
    }
}

impl Parameters for Dpo {
    fn role(&self) -> Role<'_> {
        Role::Train(self)
    }

    fn problems(&self) -> Vec<(&'static str, String, String)> {
        let free = (self.reference_free && self.divergence != Divergence::ReverseKl).then(|| {
            let what = "`reference_free` leaves nothing for `divergence` to be measured from".to_owned();
            ("divergence", what, "remove one of the two, or write divergence = \"reverse-kl\"".to_owned())
        });
        let unread = (self.divergence_alpha.is_some() && self.divergence != Divergence::Alpha).then(|| {
            let what = "`divergence_alpha` is read by the alpha divergence only".to_owned();
            ("divergence_alpha", what, "remove it, or write divergence = \"alpha\"".to_owned())
        });
        let outside = self.divergence_alpha.filter(|alpha| !(0.0..=1.0).contains(alpha)).map(|alpha| {
            let what = format!("`divergence_alpha` must lie in [0, 1], not {alpha}");
            ("divergence_alpha", what, "0 is the reverse KL, 1 the forward KL".to_owned())
        });
        let beta = must_be_positive("beta", self.beta, "the paper uses 0.05 to 5");
        let weight = must_not_be_negative("sft_weight", self.sft_weight, "0 leaves the likelihood term out");
        [beta, free, unread, outside, weight].into_iter().flatten().collect()
    }
}
