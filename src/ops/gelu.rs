//! GELU in its tanh form (Hendrycks and Gimpel 2016), `gelu_new` in GPT-2's configuration.

use burn::tensor::Tensor;

/// x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))), element by element.
pub fn gelu(x: Tensor<2>) -> Tensor<2> {
    burn::tensor::activation::gelu_approximate(x)
}
