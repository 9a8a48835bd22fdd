//! Models: one transformer, its weights and tokenizer in Hugging Face's layout, sampling, and a linear classifier.

pub mod chat;
mod config;
mod decoder;
#[cfg(test)]
mod decoder_tests;
mod decoding;
pub mod encoder;
mod folder;
pub mod generate;
pub mod gpu;
mod growth;
pub mod hf;
pub mod linear;
pub mod lora;
mod parameters;
mod precision;
mod sampling;
mod special_tokens;
mod tokenizer;

pub use config::DecoderConfig;
pub use decoder::{Decoder, INITIAL_DEVIATION, Start};
pub use decoding::Cache;
pub use folder::{Beside, Policy};
pub use lora::Lora;
pub use parameters::{Parameter, Parameters, give_back, settled, tensor, values};
pub use precision::Precision;
pub use sampling::Sampling;
pub use tokenizer::{END, SpecialTokens, TextStream, Tokenizer};

/// A model that a study trains from random weights.
pub struct BuiltinSize {
    /// `builtin:NAME`
    pub name: &'static str,
    /// Width of the residual stream.
    pub width: usize,
    /// Number of blocks.
    pub layers: usize,
    /// Attention heads of a block.
    pub heads: usize,
    /// Greatest number of positions.
    pub context: usize,
    /// Standard deviation of its initial weights.
    pub deviation: f64,
}

/// Every built-in size.
pub const BUILTIN_SIZES: &[BuiltinSize] = &[
    BuiltinSize { name: "tiny", width: 64, layers: 3, heads: 4, context: 40, deviation: INITIAL_DEVIATION },
    // Copying from a post and recalling facts are learnt sooner from larger weights.
    BuiltinSize { name: "mini", width: 64, layers: 3, heads: 4, context: 96, deviation: 0.08 },
    BuiltinSize { name: "small", width: 128, layers: 4, heads: 4, context: 64, deviation: INITIAL_DEVIATION },
    // For a GPU: heads of 64, as its kernels like them, and few blocks, since each is launches.
    BuiltinSize { name: "medium", width: 512, layers: 6, heads: 8, context: 128, deviation: INITIAL_DEVIATION },
];
