//! The learned reward: Bradley-Terry maximum likelihood on scalar scores (Rafailov et al. 2023, equation 2).

use burn::tensor::{Tensor, activation::log_sigmoid};

/// -log sigma(r_w - r_l - margin), `[pairs]`.
pub fn bradley_terry_loss(chosen: Tensor<1>, rejected: Tensor<1>, margin: f64) -> Tensor<1> {
    log_sigmoid((chosen - rejected).sub_scalar(margin)).neg()
}
