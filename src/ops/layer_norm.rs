//! Layer normalisation (Ba et al. 2016), with PyTorch's biased variance.

use burn::tensor::Tensor;

/// (x - mean) / sqrt(var + epsilon) * gain + bias over the last axis of x `[rows, width]`.
pub fn layer_norm(x: Tensor<2>, gain: Tensor<1>, bias: Tensor<1>, epsilon: f64) -> Tensor<2> {
    let centred = x.clone() - x.mean_dim(1);
    let variance = (centred.clone() * centred.clone()).mean_dim(1);
    centred / variance.add_scalar(epsilon).sqrt() * gain.unsqueeze() + bias.unsqueeze()
}
