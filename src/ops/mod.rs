//! The differentiable operations of a decoder, one file each.

mod attention;
mod gelu;
mod head;
mod layer_norm;
mod linear;

pub use attention::{cached_attention, causal_attention, split_heads};
pub use gelu::gelu;
pub use head::{head_logits, token_log_probs};
pub use layer_norm::layer_norm;
pub use linear::linear;
