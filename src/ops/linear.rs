//! Affine map.

use burn::tensor::Tensor;

/// x W + b for x `[rows, in]`, W `[in, out]` (GPT-2's layout), b `[out]`.
pub fn linear(x: Tensor<2>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<2> {
    x.matmul(weight) + bias.unsqueeze()
}
