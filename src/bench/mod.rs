//! What `dpo-lab bench` measures: the study's own training step and sampling, for models of known size on random tokens, or
//! for any model on pairs from a file.

mod generation;
mod training;

pub use generation::{Generation, generation};
pub use training::{Breakdown, Part, Training, Workload, breakdown, training};

use crate::error::{Error, Result};
use crate::models::{BUILTIN_SIZES, Decoder, DecoderConfig};
use crate::random::Stream;
use burn::tensor::Device;
use serde::Serialize;
use std::path::Path;

/// Sequences of a training batch, half of them chosen, and input tokens of each.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Shape {
    /// Sequences.
    pub sequences: usize,
    /// Tokens of each that go in; its first quarter is prompt.
    pub tokens: usize,
}

/// A model to measure, and the batch it is measured with.
pub struct Subject {
    /// As it was asked for.
    pub name: String,
    /// Its sizes and weights.
    pub model: Decoder,
    /// The training batch, where no pairs are given.
    pub shape: Shape,
}

/// Width, blocks, heads, context, vocabulary, and the batch.
type Known = (&'static str, [usize; 5], Shape);

/// Models that need no file, besides the built-in ones.
const KNOWN: [Known; 2] = [
    ("bench-tiny", [128, 4, 4, 256, 2048], Shape { sequences: 32, tokens: 64 }),
    ("gpt2-small", [768, 12, 12, 1024, 50_257], Shape { sequences: 4, tokens: 128 }),
];

/// Vocabulary of a built-in size where no tokenizer says otherwise.
const VOCABULARY: usize = 2048;

impl Subject {
    /// The model of this name with random weights, or the one in this folder.
    pub fn find(name: &str, device: &Device) -> Result<Self> {
        let folder = Path::new(name);
        if folder.join("config.json").is_file() {
            let model = Decoder::load(folder, device)?;
            let shape = Shape { sequences: 8, tokens: model.config.context.min(128) - 1 };
            return Ok(Subject { name: name.to_owned(), model, shape });
        }
        let builtin = BUILTIN_SIZES.iter().map(|size| {
            let sizes = [size.width, size.layers, size.heads, size.context, VOCABULARY];
            (size.name, sizes, Shape { sequences: 64, tokens: size.context / 2 })
        });
        let known: Vec<Known> = KNOWN.into_iter().chain(builtin).collect();
        let Some((_, [width, layers, heads, context, vocabulary], shape)) = known.iter().find(|(known, ..)| *known == name)
        else {
            let names: Vec<&str> = known.iter().map(|(name, ..)| *name).collect();
            return Err(Error::Usage(format!(
                "error: there is no model `{name}`\nhelp: give a folder with config.json, or one of {}",
                names.join(", ")
            )));
        };
        let config = DecoderConfig::gpt2(*vocabulary, *context, *width, *layers, *heads);
        let model = Decoder::new(config, &mut Stream::new(0, 0, "bench weights", 0), device);
        Ok(Subject { name: name.to_owned(), model, shape: *shape })
    }
}

/// Everything but the first few, which warm caches up.
fn after_warm_up<T>(mut times: Vec<T>) -> Vec<T> {
    times.split_off((times.len() / 3).min(3))
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    match times.len() {
        0 => f64::NAN,
        count if count.is_multiple_of(2) => (times[count / 2 - 1] + times[count / 2]) / 2.0,
        count => times[count / 2],
    }
}
