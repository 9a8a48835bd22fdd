//! Kahneman-Tversky Optimization: learns from single completions that are desirable or not (Ethayarajh et al. 2024).

use super::batch::{constants, select};
use super::{Examples, Objective, Parameters, PreferenceBatch, Role, dpo, is_default, is_one, must_be_positive, one};
use burn::tensor::{Tensor, activation::sigmoid};
use serde::{Deserialize, Serialize};

/// `[method.kto]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kto {
    /// Strength of the KL constraint: the reward is beta * log(pi / ref).
    #[serde(default = "dpo::default_beta")]
    pub beta: f64,
    /// The paper's lambda_D.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub desirable_weight: f64,
    /// The paper's lambda_U.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub undesirable_weight: f64,
    /// What becomes of the pairs of the data.
    #[serde(default, skip_serializing_if = "is_default")]
    pub data: JudgementData,
}

/// How pairs become judgements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JudgementData {
    /// A pair is one desirable and one undesirable completion.
    #[default]
    Paired,
    /// Only one completion of each pair is kept, so that no prompt has both kinds.
    OneOfPair,
}

impl Objective for Kto {
    fn examples(&self) -> Examples {
        match self.data {
            JudgementData::Paired => Examples::Judgements,
            JudgementData::OneOfPair => Examples::OneOfPair,
        }
    }

    fn needs_reference(&self) -> bool {
        true
    }

    fn needs_mismatched(&self) -> bool {
        true
    }

    fn beta(&self) -> f64 {
        self.beta
    }

    /// lambda_D (1 - sigma(beta (a - z))) of every desirable completion, then lambda_U (1 - sigma(beta (z - c))) of every
    /// undesirable one, `[completions]`; a and c are log(pi / ref), and z = max(0, mismatched).
    fn loss(&self, batch: &PreferenceBatch) -> Tensor<1> {
        let rows = [&batch.chosen[..], &batch.rejected].concat();
        // 1 - sigma(x) is sigma(-x): both kinds are one expression with a sign, and either may be absent.
        let of_kind = |desirable: f64, undesirable: f64| {
            [vec![desirable; batch.chosen.len()], vec![undesirable; batch.rejected.len()]].concat()
        };
        let above = select(batch.log_ratios(), &rows).sub_scalar(batch.mismatched.max(0.0));
        let slopes = constants(&of_kind(-self.beta, self.beta), &above);
        let weights = constants(&of_kind(self.desirable_weight, self.undesirable_weight), &above);
        sigmoid(above * slopes) * weights
    }
}

impl Parameters for Kto {
    fn role(&self) -> Role<'_> {
        Role::Train(self)
    }

    fn problems(&self) -> Vec<(&'static str, String, String)> {
        let weight = "1 for both kinds is the default; a rarer kind may weigh more";
        let beta = must_be_positive("beta", self.beta, "0.1 is a common choice");
        let desirable = must_be_positive("desirable_weight", self.desirable_weight, weight);
        let undesirable = must_be_positive("undesirable_weight", self.undesirable_weight, weight);
        [beta, desirable, undesirable].into_iter().flatten().collect()
    }
}
