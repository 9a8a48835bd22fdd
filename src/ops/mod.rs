//! The differentiable operations of a decoder, one file each.
//!
//! Each has a plain version of Burn's own operations, which runs on every device, and a fused kernel for the CPU with a
//! backward of its own.

mod activation;
mod attention;
mod divergence;
mod embedding;
mod formula;
mod head;
mod kernel;
mod layer_norm;
mod linear;
mod product;
mod profile;
mod rms_norm;
mod rotary;
mod sampling;
mod simd;
#[cfg(test)]
pub(crate) mod testing;
mod tile;
mod update;

pub use activation::{Activation, activate};
pub use attention::{Family, Heads, cached_attention, causal_attention, split_heads};
pub use divergence::divergence;
pub use embedding::embedding;
pub use head::{HELD, Prediction, head_logits, token_log_probs};
pub use kernel::{alone, at_once, is_cpu, is_on_cpu, side_by_side};
pub use layer_norm::layer_norm;
pub use linear::{linear, linear_onto, linear_then};
pub use profile::profiled;
pub use rms_norm::rms_norm;
pub use rotary::{Pairing, Rotary, rotary};
pub use sampling::{draw, shares};
pub use update::{Rule, Step, sum_of_squares, update};
