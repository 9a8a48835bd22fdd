//! Preferred-FT: maximum likelihood on the chosen completions (Rafailov et al. 2023, section 6).

use super::{Objective, Parameters, PreferenceBatch, Role, sft::sft_loss};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// `[method.preferred_ft]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreferredFt {}

impl Objective for PreferredFt {
    fn needs_reference(&self) -> bool {
        false
    }

    fn needs_rejected(&self) -> bool {
        false
    }

    fn loss(&self, batch: &PreferenceBatch) -> Tensor<1> {
        sft_loss(batch.of_chosen(batch.policy.sums()))
    }
}

impl Parameters for PreferredFt {
    fn role(&self) -> Role<'_> {
        Role::Train(self)
    }

    fn problems(&self) -> Vec<(&'static str, String, String)> {
        Vec::new()
    }
}
