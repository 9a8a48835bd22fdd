//! Llama (Touvron et al. 2023): RMS norms, rotary embedding, gated feed-forward layers, grouped heads. Mistral and Qwen keep its
//! names.

use super::rope::{self, Defaults};
use super::{Family, Fields, Stored};
use crate::models::config::{Biases, DecoderConfig, Norm, Part, Place, Positions, Residual};
use crate::ops::Heads;

pub(super) const FAMILY: Family = Family {
    model_type: "llama",
    language_model: "LlamaForCausalLM",
    classifier: "LlamaForSequenceClassification",
    prefix: "model.",
    read,
    stored,
};

fn read(fields: &Fields) -> Result<DecoderConfig, String> {
    fields.refuse(&[])?;
    let attention = fields.flag_or("attention_bias", false)?;
    let biases = Biases { qkv: attention, mix: attention, feed_forward: fields.flag_or("mlp_bias", false)?, head: false };
    sizes(fields, biases)
}

/// What Llama and its relatives have in common.
pub(super) fn sizes(fields: &Fields, biases: Biases) -> Result<DecoderConfig, String> {
    let (width, queries) = (fields.size("hidden_size")?, fields.size("num_attention_heads")?);
    let head_width = match fields.size_if_there("head_dim")? {
        Some(head_width) => head_width,
        None if queries > 0 && width.is_multiple_of(queries) => width / queries,
        None => return Err(format!("{queries} heads do not divide a width of {width}, and there is no `head_dim`")),
    };
    const ROPE: Defaults =
        Defaults { base_keys: &["rope_theta"], base: 10_000.0, share_keys: &["partial_rotary_factor"], share: 1.0 };
    Ok(DecoderConfig {
        vocabulary: fields.size("vocab_size")?,
        context: fields.size("max_position_embeddings")?,
        width,
        layers: fields.size("num_hidden_layers")?,
        heads: Heads { queries, keys: fields.size_if_there("num_key_value_heads")?.unwrap_or(queries) },
        head_width,
        inner: fields.size("intermediate_size")?,
        norm: Norm::Rms,
        norm_epsilon: fields.number_or("rms_norm_eps", 1e-6)?,
        positions: Positions::Rotary(rope::rotary(fields, head_width, &ROPE)?),
        residual: Residual::Serial,
        activation: fields.activation("hidden_act", true)?,
        biases,
        query_key_norm: false,
        tied: fields.flag_or("tie_word_embeddings", false)?,
        scores: 0,
        value: false,
    })
}

/// Llama's names and those of its relatives.
pub(super) fn stored(config: &DecoderConfig, place: Place) -> Stored {
    let (width, inner) = (config.width, config.inner);
    let [queries, keys] = config.query_and_key_widths();
    let Place::Block(layer, part) = place else {
        return Stored::AsIs(
            match place {
                Place::Embedding => "model.embed_tokens.weight",
                Place::FinalGain => "model.norm.weight",
                Place::FinalBias => "model.norm.bias",
                Place::Score => "score.weight",
                _ => "lm_head.weight",
            }
            .to_owned(),
        );
    };
    let name = |rest: &str| format!("model.layers.{layer}.{rest}");
    let projections = |kind: &str| {
        let of = |which, outputs| (name(&format!("self_attn.{which}_proj.{kind}")), outputs);
        Stored::Linear(vec![of("q", queries), of("k", keys), of("v", keys)])
    };
    let gate_and_up = |kind: &str| {
        let of = |which| (name(&format!("mlp.{which}_proj.{kind}")), inner);
        Stored::Linear(vec![of("gate"), of("up")])
    };
    match part {
        Part::FirstGain => Stored::AsIs(name("input_layernorm.weight")),
        Part::FirstBias => Stored::AsIs(name("input_layernorm.bias")),
        Part::Qkv => projections("weight"),
        Part::QkvBias => projections("bias"),
        Part::QueryGain => Stored::AsIs(name("self_attn.q_norm.weight")),
        Part::KeyGain => Stored::AsIs(name("self_attn.k_norm.weight")),
        Part::Mix => Stored::linear(name("self_attn.o_proj.weight"), width),
        Part::MixBias => Stored::AsIs(name("self_attn.o_proj.bias")),
        Part::SecondGain => Stored::AsIs(name("post_attention_layernorm.weight")),
        Part::SecondBias => Stored::AsIs(name("post_attention_layernorm.bias")),
        Part::Widen => gate_and_up("weight"),
        Part::WidenBias => gate_and_up("bias"),
        Part::Narrow => Stored::linear(name("mlp.down_proj.weight"), width),
        Part::NarrowBias => Stored::AsIs(name("mlp.down_proj.bias")),
    }
}
