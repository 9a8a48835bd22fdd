//! GPT-2 (Radford et al. 2019): learned positions, tied head, matrices `[in, out]`.

use super::{Family, Fields, Stored};
use crate::models::END;
use crate::models::config::{DecoderConfig, Part, Place};
use serde_json::{Map, Value, json};

pub(super) const FAMILY: Family = Family {
    model_type: "gpt2",
    language_model: "GPT2LMHeadModel",
    classifier: "GPT2ForSequenceClassification",
    prefix: "transformer.",
    read,
    stored,
};

fn read(fields: &Fields) -> Result<DecoderConfig, String> {
    fields.refuse(&[("scale_attn_weights", true), ("scale_attn_by_inverse_layer_idx", false), ("add_cross_attention", false)])?;
    let (width, heads) = (fields.size("n_embd")?, fields.size("n_head")?);
    if heads == 0 || !width.is_multiple_of(heads) {
        return Err(format!("{heads} heads do not divide a width of {width}"));
    }
    let sizes =
        DecoderConfig::gpt2(fields.size("vocab_size")?, fields.size("n_positions")?, width, fields.size("n_layer")?, heads);
    Ok(DecoderConfig {
        inner: fields.size_if_there("n_inner")?.unwrap_or(4 * width),
        norm_epsilon: fields.number_or("layer_norm_epsilon", 1e-5)?,
        activation: fields.activation("activation_function", false)?,
        tied: fields.flag_or("tie_word_embeddings", true)?,
        ..sizes
    })
}

fn stored(_: &DecoderConfig, place: Place) -> Stored {
    let name = match place {
        Place::Embedding => "transformer.wte.weight".to_owned(),
        Place::Positions => "transformer.wpe.weight".to_owned(),
        Place::FinalGain => "transformer.ln_f.weight".to_owned(),
        Place::FinalBias => "transformer.ln_f.bias".to_owned(),
        Place::Head => "lm_head.weight".to_owned(),
        Place::Score => "score.weight".to_owned(),
        // A value head never gets into files.
        Place::Value => "value.weight".to_owned(),
        Place::Block(layer, part) => format!("transformer.h.{layer}.{}", of_block(part)),
    };
    Stored::AsIs(name)
}

fn of_block(part: Part) -> &'static str {
    match part {
        Part::FirstGain => "ln_1.weight",
        Part::FirstBias => "ln_1.bias",
        Part::Qkv => "attn.c_attn.weight",
        Part::QkvBias => "attn.c_attn.bias",
        Part::Mix => "attn.c_proj.weight",
        Part::MixBias => "attn.c_proj.bias",
        Part::SecondGain => "ln_2.weight",
        Part::SecondBias => "ln_2.bias",
        Part::Widen => "mlp.c_fc.weight",
        Part::WidenBias => "mlp.c_fc.bias",
        Part::Narrow => "mlp.c_proj.weight",
        Part::NarrowBias => "mlp.c_proj.bias",
        // The family has no such norms.
        Part::QueryGain => "attn.q_norm.weight",
        Part::KeyGain => "attn.k_norm.weight",
    }
}

/// config.json of a model that no file describes.
pub(super) fn describe(config: &DecoderConfig) -> Map<String, Value> {
    let json = json!({
        "architectures": [FAMILY.language_model],
        "model_type": FAMILY.model_type,
        "vocab_size": config.vocabulary,
        "n_positions": config.context,
        "n_embd": config.width,
        "n_layer": config.layers,
        "n_head": config.heads.queries,
        "activation_function": "gelu_new",
        "layer_norm_epsilon": config.norm_epsilon,
        "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0, "summary_first_dropout": 0.0,
        "bos_token_id": END, "eos_token_id": END, "pad_token_id": END,
        "tie_word_embeddings": true,
        "torch_dtype": "float32",
    });
    if let Value::Object(map) = json { map } else { Map::new() }
}
