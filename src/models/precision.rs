//! What a model computes in.

use burn::tensor::DType;
use serde::{Deserialize, Serialize};

/// What matrix products of a model's blocks and head are computed in. Weights, the residual stream, norms, softmaxes, losses and
/// everything that an optimiser keeps stay in f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// f32; a GPU may round what goes into a product to TF32.
    #[default]
    F32,
    /// bfloat16, with sums in f32 where the device has them.
    Bf16,
}

impl Precision {
    /// Burn's name of it.
    pub fn dtype(self) -> DType {
        match self {
            Precision::F32 => DType::F32,
            Precision::Bf16 => DType::BF16,
        }
    }
}
