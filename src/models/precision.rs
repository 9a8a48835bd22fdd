//! What a model computes in.

use crate::error::{Error, Result};
use burn::tensor::{DType, Device};
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

    /// Fails where a device does not know it.
    pub fn check(self, device: &Device) -> Result<()> {
        if self.is_known_to(device) {
            return Ok(());
        }
        Err(Error::Usage("error: this device does not compute in bfloat16\nhelp: set precision = \"f32\"".into()))
    }

    /// Whether a device computes in it.
    pub fn is_known_to(self, device: &Device) -> bool {
        device.supports_dtype(self.dtype())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_knows_every_precision() {
        for precision in [Precision::F32, Precision::Bf16] {
            assert!(precision.check(&Device::flex()).is_ok(), "{precision:?}");
        }
    }
}
