//! The encoder families that classify: what their config.json means, and the names of their weights.

use super::Fields;
use crate::ops::Activation;

/// An encoder's architecture.
#[derive(Clone, Debug, PartialEq)]
pub struct EncoderConfig {
    /// Entries of the embedding.
    pub vocabulary: usize,
    /// Rows of position embeddings.
    pub context: usize,
    /// Row of the first token.
    pub first_position: usize,
    /// Rows of token types, of which only the first is used; 0 where there are none.
    pub token_types: usize,
    /// Width of the residual stream.
    pub width: usize,
    /// Number of layers.
    pub layers: usize,
    /// Heads of a layer.
    pub heads: usize,
    /// Width between the two maps of a feed-forward layer.
    pub inner: usize,
    /// Added to the variance.
    pub norm_epsilon: f64,
    /// Between the two maps.
    pub activation: Activation,
    /// Between the two maps of the classifier.
    pub head: Head,
    /// Names of the labels.
    pub labels: Vec<String>,
}

/// What stands between the two maps of a classifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// The hyperbolic tangent.
    Tanh,
    /// max(x, 0)
    Relu,
}

/// A weight, or the common name of a weight and its bias.
#[derive(Clone, Copy, Debug)]
pub enum EncoderPart {
    /// Vectors of tokens.
    Words,
    /// Vectors of positions.
    Positions,
    /// Vectors of token types.
    TokenTypes,
    /// Norm of their sum.
    Norm,
    /// Of a layer: query, key, value, mix, attention norm, widen, narrow, norm.
    Layer(usize, &'static str),
    /// First map of the classifier.
    Dense,
    /// Its second map.
    Out,
}

/// A family of encoders.
pub struct EncoderFamily {
    /// What config.json calls it.
    pub model_type: &'static str,
    read: fn(&Fields) -> Result<EncoderConfig, String>,
    /// A weight's name in files.
    pub name: fn(EncoderPart) -> String,
}

/// Every family of encoders.
pub const ENCODERS: [EncoderFamily; 3] = [
    EncoderFamily {
        model_type: "bert",
        read: read_bert,
        name: |part| bert_name("bert", part, ["bert.pooler.dense", "classifier"]),
    },
    EncoderFamily {
        model_type: "roberta",
        read: read_roberta,
        name: |part| bert_name("roberta", part, ["classifier.dense", "classifier.out_proj"]),
    },
    EncoderFamily { model_type: "distilbert", read: read_distilbert, name: distilbert_name },
];

impl EncoderFamily {
    /// Whether a config.json is of one of these families.
    pub fn knows(fields: &Fields) -> bool {
        fields.text("model_type").is_ok_and(|name| ENCODERS.iter().any(|family| family.model_type == name))
    }

    /// The family of a config.json, and what it means.
    pub fn of(fields: &Fields) -> Result<(&'static Self, EncoderConfig), String> {
        let name = fields.text("model_type")?;
        let family = ENCODERS.iter().find(|family| family.model_type == name);
        let family = family.ok_or_else(|| {
            let names: Vec<&str> = ENCODERS.iter().map(|family| family.model_type).collect();
            format!("model type \"{name}\" does not classify here; {} do", names.join(", "))
        })?;
        if let Some(class) = fields.architecture().filter(|class| !class.ends_with("ForSequenceClassification")) {
            return Err(format!("{class} does not classify sequences; name a ...ForSequenceClassification"));
        }
        fields.refuse(&[("is_decoder", false), ("add_cross_attention", false)])?;
        let config = (family.read)(fields)?;
        if config.heads == 0 || !config.width.is_multiple_of(config.heads) {
            return Err(format!("{} heads do not divide a width of {}", config.heads, config.width));
        }
        let empty = [config.vocabulary, config.width, config.inner].contains(&0);
        if empty || config.context <= config.first_position + 2 || config.labels.is_empty() || config.layers > super::MOST_LAYERS
        {
            return Err("a size makes no sense".into());
        }
        Ok((family, config))
    }
}

fn read_bert(fields: &Fields) -> Result<EncoderConfig, String> {
    if let Some(kind) = fields.get("position_embedding_type").filter(|kind| *kind != "absolute") {
        return Err(format!("position embeddings of type {kind} are not supported; absolute ones are"));
    }
    Ok(EncoderConfig {
        vocabulary: fields.size("vocab_size")?,
        context: fields.size("max_position_embeddings")?,
        first_position: 0,
        token_types: fields.size("type_vocab_size")?,
        width: fields.size("hidden_size")?,
        layers: fields.size("num_hidden_layers")?,
        heads: fields.size("num_attention_heads")?,
        inner: fields.size("intermediate_size")?,
        norm_epsilon: fields.number_or("layer_norm_eps", 1e-12)?,
        activation: fields.activation("hidden_act", false)?,
        head: Head::Tanh,
        labels: fields.labels()?,
    })
}

fn read_roberta(fields: &Fields) -> Result<EncoderConfig, String> {
    // Positions are counted from behind the padding token's id.
    let padding = fields.size_if_there("pad_token_id")?.unwrap_or(1);
    Ok(EncoderConfig { first_position: padding + 1, ..read_bert(fields)? })
}

fn read_distilbert(fields: &Fields) -> Result<EncoderConfig, String> {
    Ok(EncoderConfig {
        vocabulary: fields.size("vocab_size")?,
        context: fields.size("max_position_embeddings")?,
        first_position: 0,
        token_types: 0,
        width: fields.size("dim")?,
        layers: fields.size("n_layers")?,
        heads: fields.size("n_heads")?,
        inner: fields.size("hidden_dim")?,
        norm_epsilon: 1e-12,
        activation: fields.activation("activation", false)?,
        head: Head::Relu,
        labels: fields.labels()?,
    })
}

fn bert_name(prefix: &str, part: EncoderPart, [dense, out]: [&str; 2]) -> String {
    let of_layer = |part| match part {
        "query" => "attention.self.query",
        "key" => "attention.self.key",
        "value" => "attention.self.value",
        "mix" => "attention.output.dense",
        "attention norm" => "attention.output.LayerNorm",
        "widen" => "intermediate.dense",
        "narrow" => "output.dense",
        _ => "output.LayerNorm",
    };
    match part {
        EncoderPart::Words => format!("{prefix}.embeddings.word_embeddings.weight"),
        EncoderPart::Positions => format!("{prefix}.embeddings.position_embeddings.weight"),
        EncoderPart::TokenTypes => format!("{prefix}.embeddings.token_type_embeddings.weight"),
        EncoderPart::Norm => format!("{prefix}.embeddings.LayerNorm"),
        EncoderPart::Layer(layer, part) => format!("{prefix}.encoder.layer.{layer}.{}", of_layer(part)),
        EncoderPart::Dense => dense.to_owned(),
        EncoderPart::Out => out.to_owned(),
    }
}

fn distilbert_name(part: EncoderPart) -> String {
    let of_layer = |part| match part {
        "query" => "attention.q_lin",
        "key" => "attention.k_lin",
        "value" => "attention.v_lin",
        "mix" => "attention.out_lin",
        "attention norm" => "sa_layer_norm",
        "widen" => "ffn.lin1",
        "narrow" => "ffn.lin2",
        _ => "output_layer_norm",
    };
    match part {
        EncoderPart::Words => "distilbert.embeddings.word_embeddings.weight".to_owned(),
        EncoderPart::Positions => "distilbert.embeddings.position_embeddings.weight".to_owned(),
        EncoderPart::TokenTypes => "distilbert.embeddings.token_type_embeddings.weight".to_owned(),
        EncoderPart::Norm => "distilbert.embeddings.LayerNorm".to_owned(),
        EncoderPart::Layer(layer, part) => format!("distilbert.transformer.layer.{layer}.{}", of_layer(part)),
        EncoderPart::Dense => "pre_classifier".to_owned(),
        EncoderPart::Out => "classifier".to_owned(),
    }
}
