//! Qwen 2 and 2.5 (Yang et al. 2024): Llama with biases of queries, keys and values.

use super::{Family, Fields, llama};
use crate::models::config::{Biases, DecoderConfig};

pub(super) const FAMILY: Family = Family {
    model_type: "qwen2",
    language_model: "Qwen2ForCausalLM",
    classifier: "Qwen2ForSequenceClassification",
    prefix: "model.",
    read,
    stored: llama::stored,
};

fn read(fields: &Fields) -> Result<DecoderConfig, String> {
    fields.refuse(&[])?;
    let config = llama::sizes(fields, Biases { qkv: true, mix: false, feed_forward: false, head: false })?;
    fields.refuse_sliding_window(config.context, true)?;
    Ok(config)
}
