//! Models that are measured.

use crate::error::{Error, Result};
use crate::models::{BUILTIN_SIZES, Decoder, Start, tensor};
use crate::random::Stream;
use crate::spec::{Optimisation, Optimizer};
use burn::tensor::{Device, Distribution, Tensor};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::path::Path;

/// Sequences of a training batch, half of them chosen, and input tokens of each.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Shape {
    /// Sequences.
    pub sequences: usize,
    /// Tokens of each that go in; its first quarter is prompt.
    pub tokens: usize,
}

/// A model to measure, and how it is measured.
#[derive(Clone)]
pub struct Subject {
    /// As it was asked for.
    pub name: String,
    /// Its sizes and weights.
    pub model: Decoder,
    /// The training batch, where no pairs are given.
    pub shape: Shape,
    /// How it is trained.
    pub optimisation: Optimisation,
}

/// Vocabulary of a built-in size where no tokenizer says otherwise.
const VOCABULARY: usize = 2048;
/// Matrices beyond this size are drawn by the device: of large models a host would draw for minutes.
const LARGE: usize = 1 << 24;

fn gpt2([width, layers, heads, context, vocabulary]: [usize; 5]) -> Value {
    json!({
        "model_type": "gpt2", "n_embd": width, "n_layer": layers, "n_head": heads, "n_positions": context,
        "vocab_size": vocabulary, "activation_function": "gelu_new",
    })
}

/// Every model that needs no file, with its batch.
fn known() -> Vec<(&'static str, Value, Shape)> {
    let pythia = json!({
        "model_type": "gpt_neox", "hidden_size": 2560, "num_hidden_layers": 32, "num_attention_heads": 32,
        "intermediate_size": 10_240, "max_position_embeddings": 2048, "vocab_size": 50_304, "rotary_pct": 0.25, "hidden_act": "gelu",
    });
    let mut known = vec![
        ("bench-tiny", gpt2([128, 4, 4, 256, 2048]), Shape { sequences: 32, tokens: 64 }),
        ("gpt2-small", gpt2([768, 12, 12, 1024, 50_257]), Shape { sequences: 4, tokens: 128 }),
        ("gpt2-large", gpt2([1280, 36, 20, 1024, 50_257]), Shape { sequences: 16, tokens: 512 }),
        ("pythia-2.8b", pythia, Shape { sequences: 16, tokens: 512 }),
    ];
    known.extend(BUILTIN_SIZES.iter().map(|size| {
        let config = gpt2([size.width, size.layers, size.heads, size.context, VOCABULARY]);
        (size.name, config, Shape { sequences: 64, tokens: size.context / 2 })
    }));
    known
}

impl Subject {
    /// The model of this name with random weights, or the one in this folder.
    pub fn find(name: &str, device: &Device) -> Result<Self> {
        let optimisation =
            Optimisation { max_grad_norm: 10.0, weight_decay: 0.01, ..Optimisation::constant(Optimizer::Adamw, 1e-4) };
        let folder = Path::new(name);
        let (model, shape) = if folder.join("config.json").is_file() {
            let model = Decoder::load(folder, device)?;
            let shape = Shape { sequences: 8, tokens: model.config.context.min(128) - 1 };
            (model, shape)
        } else {
            let Some((_, config, shape)) = known().into_iter().find(|(known, ..)| *known == name) else {
                let names: Vec<&str> = known().iter().map(|(name, ..)| *name).collect();
                return Err(Error::Usage(format!(
                    "error: there is no model `{name}`\nhelp: give a folder with config.json, or one of {}",
                    names.join(", ")
                )));
            };
            (random(&config, device)?, shape)
        };
        Ok(Subject { name: name.to_owned(), model, shape, optimisation })
    }
}

/// A model of these sizes with random weights, the same on every device but for large matrices.
pub(super) fn random(config: &Value, device: &Device) -> Result<Decoder> {
    let mut stream = Stream::new(0, 0, "bench weights", 0);
    let config: Map<String, Value> = config.as_object().cloned().unwrap_or_default();
    Decoder::of_config(config, |start, count| match start {
        Start::Normal(deviation) if count > LARGE => Tensor::random([count], Distribution::Normal(0.0, deviation), device),
        start => tensor(start.values(count, &mut stream), device),
    })
}
