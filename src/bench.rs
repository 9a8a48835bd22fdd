//! What `dpo-lab bench` measures: the study's own training step and sampling, on random tokens, for models of known size.

use crate::error::{Error, Result};
use crate::methods::Dpo;
use crate::models::generate::generate;
use crate::models::{BUILTIN_SIZES, Decoder, DecoderConfig, Policy, Sampling};
use crate::random::Stream;
use crate::spec::{Optimisation, Optimizer, Schedule, Shuffle, TrainingSize};
use crate::train::{Output, PairData, PreferenceRun, Sequence, Trainer, completion_log_probs, train_preference};
use burn::tensor::Device;
use serde::Serialize;
use std::path::Path;
use std::time::Instant;

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
    /// The training batch.
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
            let model = Policy::load(folder, device)?.decoder;
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
        let config = DecoderConfig {
            vocabulary: *vocabulary,
            context: *context,
            width: *width,
            layers: *layers,
            heads: *heads,
            scalar_head: false,
        };
        let model = Decoder::new(config, &mut Stream::new(0, 0, "bench weights", 0), device);
        Ok(Subject { name: name.to_owned(), model, shape: *shape })
    }
}

/// What a measurement of training gives.
#[derive(Clone, Debug, Serialize)]
pub struct Training {
    /// The batch.
    pub shape: Shape,
    /// Seconds of the median step: batch, forward, backward, clipping, update, and the numbers of train.csv.
    pub step_s: f64,
    /// Tokens of a step's sequences, their last ones included, over the median step.
    pub tokens_per_s: f64,
    /// The process's greatest memory so far, in bytes, where the system says.
    pub peak_memory: Option<u64>,
}

/// Random sequences of a batch.
fn sequences(subject: &Subject) -> Vec<Vec<u32>> {
    let Shape { sequences, tokens } = subject.shape;
    let mut stream = Stream::new(0, 0, "bench tokens", 0);
    (0..sequences).map(|_| (0..=tokens).map(|_| stream.below(subject.model.config.vocabulary) as u32).collect()).collect()
}

fn split(sequence: &[u32]) -> Sequence<'_> {
    let (prompt, completion) = sequence.split_at((sequence.len() - 1) / 4 + 1);
    Sequence { prompt, completion }
}

fn optimisation() -> Optimisation {
    Optimisation {
        optimizer: Optimizer::Adamw,
        learning_rate: 1e-4,
        warmup_steps: 0,
        schedule: Schedule::Constant,
        gradient_accumulation_steps: 1,
        max_grad_norm: 10.0,
        weight_decay: 0.01,
        momentum: 0.0,
        smoothing: 0.99,
        epsilon: 1e-8,
        adam_beta1: 0.9,
        adam_beta2: 0.999,
    }
}

/// Takes `steps` steps of DPO with AdamW, all on the same batch.
pub fn training(subject: &Subject, steps: u64, device: &Device) -> Result<Training> {
    let tokens = sequences(subject);
    let half = tokens.len() / 2;
    let mut data = PairData {
        sequences: tokens.iter().map(|tokens| split(tokens)).collect(),
        prompt_of: vec![0; tokens.len()],
        pairs: (0..half).map(|pair| (pair, half + pair)).collect(),
        reference: None,
    };
    data.reference = Some(completion_log_probs(&subject.model, &data.sequences, device, |_| ()));
    let objective = Dpo { beta: 0.1 };
    let run = PreferenceRun {
        objective: &objective,
        optimisation: &optimisation(),
        size: &TrainingSize { steps, batch_pairs: half, shuffle: Shuffle::Prompts, checkpoint_every: steps },
        first: 0,
        last: steps,
        seeds: (0, 0),
        tokens: 0,
    };
    let (_, _, rows) = train_preference(&subject.model, None, &data, &run, device, |_| ())?;
    let used: usize = data.sequences.iter().map(Sequence::len).sum();
    let step_s = median(after_warm_up(rows.iter().map(|row| used as f64 / row.tokens_per_s).collect()));
    Ok(Training { shape: subject.shape, step_s, tokens_per_s: used as f64 / step_s, peak_memory: peak_memory() })
}

/// Shares of a training step, in seconds of the median step.
#[derive(Clone, Debug, Serialize)]
pub struct Breakdown {
    /// From tokens to the loss.
    pub forward_s: f64,
    /// Gradients, their norm, clipping and the update.
    pub backward_and_update_s: f64,
    /// The forward pass of a batch without a gradient tape, as evaluation and reference log-probs run it.
    pub inference_s: f64,
}

/// Where a step's time goes.
pub fn breakdown(subject: &Subject, steps: u64, device: &Device) -> Result<Breakdown> {
    let tokens = sequences(subject);
    let sequences: Vec<Sequence<'_>> = tokens.iter().map(|tokens| split(tokens)).collect();
    let mut trainer = Trainer::new(&subject.model, &optimisation(), steps, device);
    let (mut forward, mut rest, mut inference) = (Vec::new(), Vec::new(), Vec::new());
    for step in 0..steps {
        let began = Instant::now();
        trainer.add(&sequences, Output::TokenLogProbs, |values| {
            forward.push(began.elapsed().as_secs_f64());
            Ok(values.mean().neg())
        })?;
        trainer.step(step)?;
        rest.push(began.elapsed().as_secs_f64() - forward.last().copied().unwrap_or_default());
        let began = Instant::now();
        let _ = completion_log_probs(&subject.model, &sequences, device, |_| ());
        inference.push(began.elapsed().as_secs_f64());
    }
    let [forward_s, backward_and_update_s, inference_s] = [forward, rest, inference].map(|times| median(after_warm_up(times)));
    Ok(Breakdown { forward_s, backward_and_update_s, inference_s })
}

/// What a measurement of sampling gives.
#[derive(Clone, Debug, Serialize)]
pub struct Generation {
    /// Prompts that are continued together.
    pub batch: usize,
    /// Tokens of a prompt.
    pub prompt_tokens: usize,
    /// Tokens drawn after each, at most.
    pub new_tokens: usize,
    /// Seconds of the median batch.
    pub seconds: f64,
    /// Tokens that were drawn, over these seconds.
    pub tokens_per_s: f64,
    /// The process's greatest memory so far, in bytes, where the system says.
    pub peak_memory: Option<u64>,
}

/// Rows of a batch of generation.
const ROWS: usize = 16;

/// Draws completions at temperature 1, `repeats` times.
pub fn generation(subject: &Subject, repeats: usize, device: &Device) -> Generation {
    let config = &subject.model.config;
    let new_tokens = (config.context / 2).min(64);
    let prompt_tokens = (config.context - new_tokens).min(32);
    let mut stream = Stream::new(0, 0, "bench prompts", 0);
    // Token 0 ends a text, so no prompt has it.
    let prompts: Vec<Vec<u32>> =
        (0..ROWS).map(|_| (0..prompt_tokens).map(|_| 1 + stream.below(config.vocabulary - 1) as u32).collect()).collect();
    let sampling = Sampling { temperature: 1.0, top_k: 0, top_p: 1.0, max_new_tokens: new_tokens, samples: 1 };
    let (mut times, mut rates) = (Vec::new(), Vec::new());
    for _ in 0..repeats {
        let began = Instant::now();
        let drawn = generate(
            &subject.model,
            &prompts,
            sampling,
            device,
            |prompt, _| Stream::new(0, 0, "bench samples", prompt as u64),
            |_| (),
        );
        let seconds = began.elapsed().as_secs_f64();
        let count: usize = drawn.iter().flatten().map(|completion| completion.tokens.len()).sum();
        times.push(seconds);
        rates.push(count as f64 / seconds);
    }
    let (seconds, tokens_per_s) = (median(after_warm_up(times)), median(after_warm_up(rates)));
    Generation { batch: ROWS, prompt_tokens, new_tokens, seconds, tokens_per_s, peak_memory: peak_memory() }
}

/// Everything but the first few, which warm caches up.
fn after_warm_up(mut times: Vec<f64>) -> Vec<f64> {
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

/// Greatest resident memory of this process, in bytes, where the system keeps count.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix("kB")?;
    Some(kib.trim().parse::<u64>().ok()? * 1024)
}
