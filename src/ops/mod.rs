//! The differentiable operations of a decoder, one file each.
//!
//! Each has a plain version of Burn's own operations, which runs on every device, and a fused kernel for the CPU with a
//! backward of its own.

mod activation;
mod attention;
mod cached_attention;
mod embedding;
mod head;
mod kernel;
mod layer_norm;
mod linear;
mod product;
mod simd;
#[cfg(test)]
mod testing;
mod tile;
mod update;

pub use activation::Activation;
pub use attention::{causal_attention, split_heads};
pub use cached_attention::cached_attention;
pub use embedding::embedding;
pub use head::{Prediction, head_logits, token_log_probs};
pub use kernel::{is_on_cpu, side_by_side, threads};
pub use layer_norm::layer_norm;
pub use linear::{linear, linear_onto, linear_then};
pub use update::{Rule, sum_of_squares, update};
