//! Supervised fine-tuning: the loss of the stages `base` and `sft`, and the method `sft`, which is the reference as it is.

use super::{Parameters, Role};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// `[method.sft]`: evaluates the reference policy itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sft {}

/// -log p(sequence), `[sequences]`: the sum over a sequence's tokens, whose mean over sequences is the loss, as in the
/// authors' code.
pub fn sft_loss(log_probs: Tensor<1>) -> Tensor<1> {
    log_probs.neg()
}

impl Parameters for Sft {
    fn role(&self) -> Role<'_> {
        Role::Reference
    }

    fn problems(&self) -> Vec<(&'static str, String, String)> {
        Vec::new()
    }
}
