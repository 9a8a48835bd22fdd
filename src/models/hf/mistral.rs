//! Mistral (Jiang et al. 2023): Llama without biases; its sliding window is refused where it would have an effect.

use super::{Family, Fields, llama};
use crate::models::config::{Biases, DecoderConfig};

pub(super) const FAMILY: Family = Family {
    model_type: "mistral",
    language_model: "MistralForCausalLM",
    classifier: "MistralForSequenceClassification",
    prefix: "model.",
    read,
    stored: llama::stored,
};

fn read(fields: &Fields) -> Result<DecoderConfig, String> {
    fields.refuse(&[])?;
    let config = llama::sizes(fields, Biases { qkv: false, mix: false, feed_forward: false, head: false })?;
    fields.refuse_sliding_window(config.context, false)?;
    Ok(config)
}
