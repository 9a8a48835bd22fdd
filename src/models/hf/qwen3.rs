//! Qwen 3 (Yang et al. 2025): Llama with queries and keys normalised head by head.

use super::{Family, Fields, llama};
use crate::models::config::{Biases, DecoderConfig};

pub(super) const FAMILY: Family = Family {
    model_type: "qwen3",
    language_model: "Qwen3ForCausalLM",
    classifier: "Qwen3ForSequenceClassification",
    prefix: "model.",
    read,
    stored: llama::stored,
};

fn read(fields: &Fields) -> Result<DecoderConfig, String> {
    fields.refuse(&[])?;
    let attention = fields.flag_or("attention_bias", false)?;
    let config = llama::sizes(fields, Biases { qkv: attention, mix: attention, feed_forward: false, head: false })?;
    fields.refuse_sliding_window(config.context, true)?;
    // What transformers assumes of this family where config.json says nothing.
    let head_width =
        if fields.get("head_dim").is_none() { return Err("`head_dim` is missing".into()) } else { config.head_width };
    Ok(DecoderConfig { head_width, query_key_norm: true, ..config })
}
