//! GPT-NeoX (Black et al. 2022), and so Pythia: a part of each head turns, attention and feed-forward layer side by side.

use super::rope::{self, Defaults};
use super::{Family, Fields, Stored};
use crate::models::config::{Biases, DecoderConfig, Norm, Part, Place, Positions, Residual};
use crate::ops::Heads;

pub(super) const FAMILY: Family = Family {
    model_type: "gpt_neox",
    language_model: "GPTNeoXForCausalLM",
    classifier: "GPTNeoXForSequenceClassification",
    prefix: "gpt_neox.",
    read,
    stored,
};

const ROPE: Defaults = Defaults {
    base_keys: &["rotary_emb_base", "rope_theta"],
    base: 10_000.0,
    share_keys: &["rotary_pct", "partial_rotary_factor"],
    share: 0.25,
};

fn read(fields: &Fields) -> Result<DecoderConfig, String> {
    fields.refuse(&[])?;
    let (width, heads) = (fields.size("hidden_size")?, fields.size("num_attention_heads")?);
    if heads == 0 || !width.is_multiple_of(heads) {
        return Err(format!("{heads} heads do not divide a width of {width}"));
    }
    let head_width = width / heads;
    let parallel = fields.flag_or("use_parallel_residual", true)?;
    let attention_bias = fields.flag_or("attention_bias", true)?;
    Ok(DecoderConfig {
        vocabulary: fields.size("vocab_size")?,
        context: fields.size("max_position_embeddings")?,
        width,
        layers: fields.size("num_hidden_layers")?,
        heads: Heads::equal(heads),
        head_width,
        inner: fields.size("intermediate_size")?,
        norm: Norm::Layer,
        norm_epsilon: fields.number_or("layer_norm_eps", 1e-5)?,
        positions: Positions::Rotary(rope::rotary(fields, head_width, &ROPE)?),
        residual: if parallel { Residual::Parallel } else { Residual::Serial },
        activation: fields.activation("hidden_act", false)?,
        biases: Biases { qkv: attention_bias, mix: attention_bias, feed_forward: true, head: false },
        query_key_norm: false,
        tied: fields.flag_or("tie_word_embeddings", false)?,
        scores: 0,
        value: false,
    })
}

fn stored(config: &DecoderConfig, place: Place) -> Stored {
    let (width, inner) = (config.width, config.inner);
    let Place::Block(layer, part) = place else {
        return Stored::AsIs(
            match place {
                Place::Embedding => "gpt_neox.embed_in.weight",
                Place::FinalGain => "gpt_neox.final_layer_norm.weight",
                Place::FinalBias => "gpt_neox.final_layer_norm.bias",
                Place::Score => "score.weight",
                _ => "embed_out.weight",
            }
            .to_owned(),
        );
    };
    let name = |rest: &str| format!("gpt_neox.layers.{layer}.{rest}");
    match part {
        Part::FirstGain => Stored::AsIs(name("input_layernorm.weight")),
        Part::FirstBias => Stored::AsIs(name("input_layernorm.bias")),
        Part::Qkv => Stored::LinearByHead(name("attention.query_key_value.weight")),
        Part::QkvBias => Stored::LinearByHead(name("attention.query_key_value.bias")),
        Part::Mix => Stored::linear(name("attention.dense.weight"), width),
        Part::MixBias => Stored::AsIs(name("attention.dense.bias")),
        Part::SecondGain => Stored::AsIs(name("post_attention_layernorm.weight")),
        Part::SecondBias => Stored::AsIs(name("post_attention_layernorm.bias")),
        Part::Widen => Stored::linear(name("mlp.dense_h_to_4h.weight"), inner),
        Part::WidenBias => Stored::AsIs(name("mlp.dense_h_to_4h.bias")),
        Part::Narrow => Stored::linear(name("mlp.dense_4h_to_h.weight"), width),
        Part::NarrowBias => Stored::AsIs(name("mlp.dense_4h_to_h.bias")),
        // The family has no such norms.
        Part::QueryGain => Stored::AsIs(name("attention.q_norm.weight")),
        Part::KeyGain => Stored::AsIs(name("attention.k_norm.weight")),
    }
}
