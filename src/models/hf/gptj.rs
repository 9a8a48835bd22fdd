//! GPT-J (Wang and Komatsuzaki 2021): neighbours in a head turn together, one norm a block, a head with a bias.

use super::{Family, Fields, Stored};
use crate::models::config::{Biases, DecoderConfig, Norm, Part, Place, Positions, Residual};
use crate::ops::{Heads, Pairing, Rotary};

pub(super) const FAMILY: Family = Family {
    model_type: "gptj",
    language_model: "GPTJForCausalLM",
    classifier: "GPTJForSequenceClassification",
    prefix: "transformer.",
    read,
    stored,
};

fn read(fields: &Fields) -> Result<DecoderConfig, String> {
    fields.refuse(&[("tie_word_embeddings", false)])?;
    let (width, heads) = (fields.size("n_embd")?, fields.size("n_head")?);
    if heads == 0 || !width.is_multiple_of(heads) {
        return Err(format!("{heads} heads do not divide a width of {width}"));
    }
    let (head_width, turning) = (width / heads, fields.size("rotary_dim")?);
    if turning > head_width || !turning.is_multiple_of(2) {
        return Err(format!("`rotary_dim` is {turning}; a head has {head_width} elements, and they turn in pairs"));
    }
    Ok(DecoderConfig {
        vocabulary: fields.size("vocab_size")?,
        context: fields.size("n_positions")?,
        width,
        layers: fields.size("n_layer")?,
        heads: Heads::equal(heads),
        head_width,
        inner: fields.size_if_there("n_inner")?.unwrap_or(4 * width),
        norm: Norm::Layer,
        norm_epsilon: fields.number_or("layer_norm_epsilon", 1e-5)?,
        positions: Positions::Rotary(Rotary::new(10_000.0, turning, Pairing::Interleaved)),
        residual: Residual::ParallelOneNorm,
        activation: fields.activation("activation_function", false)?,
        biases: Biases { qkv: false, mix: false, feed_forward: true, head: true },
        query_key_norm: false,
        tied: false,
        scores: 0,
        value: false,
    })
}

fn stored(config: &DecoderConfig, place: Place) -> Stored {
    let (width, inner) = (config.width, config.inner);
    let body = |rest: &str| Stored::AsIs(format!("transformer.{rest}"));
    let Place::Block(layer, part) = place else {
        return match place {
            Place::Embedding => body("wte.weight"),
            Place::Positions => body("wpe.weight"),
            Place::FinalGain => body("ln_f.weight"),
            Place::FinalBias => body("ln_f.bias"),
            Place::Score => Stored::AsIs("score.weight".to_owned()),
            _ => Stored::WithBias("lm_head.weight".to_owned(), "lm_head.bias".to_owned()),
        };
    };
    let name = |rest: &str| format!("transformer.h.{layer}.{rest}");
    let projections = |kind: &str| {
        let of = |which| (name(&format!("attn.{which}_proj.{kind}")), width);
        Stored::Linear(vec![of("q"), of("k"), of("v")])
    };
    match part {
        Part::FirstGain => Stored::AsIs(name("ln_1.weight")),
        Part::FirstBias => Stored::AsIs(name("ln_1.bias")),
        Part::Qkv => projections("weight"),
        Part::QkvBias => projections("bias"),
        Part::Mix => Stored::linear(name("attn.out_proj.weight"), width),
        Part::MixBias => Stored::AsIs(name("attn.out_proj.bias")),
        Part::Widen => Stored::linear(name("mlp.fc_in.weight"), inner),
        Part::WidenBias => Stored::AsIs(name("mlp.fc_in.bias")),
        Part::Narrow => Stored::linear(name("mlp.fc_out.weight"), width),
        Part::NarrowBias => Stored::AsIs(name("mlp.fc_out.bias")),
        // The family has no such norms.
        Part::SecondGain => Stored::AsIs(name("ln_2.weight")),
        Part::SecondBias => Stored::AsIs(name("ln_2.bias")),
        Part::QueryGain => Stored::AsIs(name("attn.q_norm.weight")),
        Part::KeyGain => Stored::AsIs(name("attn.k_norm.weight")),
    }
}
