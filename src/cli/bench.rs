//! `dpo-lab bench`

use crate::bench::{self, Subject, Workload};
use crate::error::{Error, Exit, Result};
use crate::machine::device;
use crate::models::Precision;
use crate::spec::{Optimisation, Optimizer};
use clap::Args;
use serde::Deserialize;
use serde::de::IntoDeserializer;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(super) struct Bench {
    /// A known size (bench-tiny, gpt2-small, gpt2-large, pythia-2.8b, tiny, mini, small) or a folder in Hugging Face layout
    #[arg(long, default_value = "bench-tiny", value_name = "SIZE|DIR")]
    model: String,
    /// Where tensors live
    #[arg(long, env = "DPO_LAB_DEVICE", value_name = "DEVICE")]
    device: Option<String>,
    /// Training steps to time
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    steps: u64,
    /// Measure one part only, so that its memory is its own
    #[arg(long, value_name = "PART")]
    only: Option<Part>,
    /// Train on these pairs, in JSONL with `prompt_ids`, `chosen_ids` and `rejected_ids`, instead of random tokens
    #[arg(long, value_name = "FILE")]
    pairs: Option<PathBuf>,
    /// Pairs of a batch
    #[arg(long, default_value_t = 16, value_parser = at_least_one, requires = "pairs", value_name = "N")]
    batch: usize,
    /// Sequences of a training batch of random tokens, half of them chosen
    #[arg(long, value_parser = at_least_two, conflicts_with = "pairs", value_name = "N")]
    sequences: Option<usize>,
    /// Tokens of each
    #[arg(long, value_parser = at_least_four, conflicts_with = "pairs", value_name = "N")]
    tokens: Option<usize>,
    /// What products of training are computed in
    #[arg(long, value_parser = precision, default_value = "f32", value_name = "f32|bf16")]
    precision: Precision,
    /// Keep each block's input only, and run the block again in the backward
    #[arg(long)]
    gradient_checkpointing: bool,
    /// Optimiser of training
    #[arg(long, value_parser = optimizer, default_value = "adamw", value_name = "adamw|rmsprop|sgd")]
    optimizer: Optimizer,
    /// Parts that a batch is run in, one after another
    #[arg(long, default_value_t = 1, value_parser = at_least_one, value_name = "N")]
    parts: usize,
    /// Prompts that are continued together
    #[arg(long, default_value_t = 16, value_parser = at_least_one, value_name = "N")]
    rows: usize,
    /// Also say how fast matrices of the model's shapes are multiplied
    #[arg(long)]
    products: bool,
    /// Also say where a training step's time goes
    #[arg(long)]
    breakdown: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    Training,
    Generation,
}

impl Bench {
    pub(super) fn run(self) -> Result<Exit> {
        let (name, device) = device::one(self.device.as_deref())?;
        self.precision.check(&device)?;
        let mut subject = Subject::find(&self.model, &device)?;
        subject.shape.sequences = self.sequences.unwrap_or(subject.shape.sequences) / 2 * 2;
        subject.shape.tokens = self.tokens.unwrap_or(subject.shape.tokens);
        let context = subject.model.config.context;
        if subject.shape.tokens > context {
            return Err(Error::Usage(format!(
                "error: {} tokens exceed the {context} positions that {} knows\nhelp: lower --tokens",
                subject.shape.tokens, subject.name
            )));
        }
        subject.optimisation = Optimisation {
            gradient_checkpointing: self.gradient_checkpointing,
            precision: self.precision,
            optimizer: self.optimizer,
            gradient_accumulation_steps: self.parts,
            ..subject.optimisation
        };
        let products = self.products.then(|| bench::products(&subject, 8, &device));
        let wants = |part| self.only.is_none_or(|only| only == part);
        let workload = match &self.pairs {
            Some(path) => Workload::read(path, self.batch, &subject)?,
            None => Workload::random(&subject),
        };
        let breakdown = self.breakdown.then(|| bench::breakdown(&subject, &workload, self.steps, &device)).transpose()?;
        let generation = wants(Part::Generation).then(|| bench::generation(&subject, self.rows, 5, &device)).transpose()?;
        let (parameters, threads) = (subject.model.parameters.count(), rayon::current_num_threads());
        let model = subject.name.clone();
        let training = wants(Part::Training).then(|| bench::training(subject, &workload, self.steps, &device)).transpose()?;
        if self.json {
            let json = serde_json::json!({
                "model": model, "parameters": parameters, "device": name, "threads": threads,
                "training": training, "breakdown": breakdown, "generation": generation, "products": products,
            });
            say!("{}", serde_json::to_string_pretty(&json).map_err(Error::other)?);
            return Ok(Exit::Done);
        }
        say!("{model}: {parameters} parameters, {name}, {threads} threads");
        if let Some(it) = training {
            let (step, memory) = (it.step_s * 1e3, mebibytes(it.peak_memory));
            let batch = format!("{} x {:.0}", 2 * it.batch_pairs, it.tokens);
            say!("  DPO step, {batch:<8} {step:9.1} ms  {:9.0} tokens/s  {memory}", it.tokens_per_s);
        }
        if let Some(it) = breakdown {
            say!("  on one thread        {:9.1} ms, of which", it.step_s * 1e3);
            for part in it.parts {
                say!("    {:<32} {:5.1} %", part.name, part.share * 100.0);
            }
        }
        if let Some(it) = generation {
            let (batch, memory) = (format!("{} x {}", it.batch, it.new_tokens), mebibytes(it.peak_memory));
            say!("  generation, {batch:<8}{:8.1} ms  {:9.0} tokens/s  {memory}", it.seconds * 1e3, it.tokens_per_s);
        }
        for it in products.into_iter().flatten() {
            let [m, k, n] = it.shape;
            let (shape, rate) = (format!("{m} x {k} x {n}"), it.flops / 1e12);
            say!("  {:<34} {shape:<22} {:9.3} ms  {rate:8.2} TFLOP/s", it.what, it.seconds * 1e3);
        }
        Ok(Exit::Done)
    }
}

fn precision(text: &str) -> Result<Precision, String> {
    Precision::deserialize(text.into_deserializer()).map_err(|error: serde::de::value::Error| error.to_string())
}

fn optimizer(text: &str) -> Result<Optimizer, String> {
    Optimizer::deserialize(text.into_deserializer()).map_err(|error: serde::de::value::Error| error.to_string())
}

fn at_least_two(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 1).ok_or_else(|| "must be a whole number from 2".to_owned())
}

fn at_least_four(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 3).ok_or_else(|| "must be a whole number from 4".to_owned())
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "must be a whole number from 1".to_owned())
}

fn mebibytes(bytes: Option<u64>) -> String {
    bytes.map_or_else(String::new, |bytes| format!("peak {} MiB", bytes >> 20))
}
