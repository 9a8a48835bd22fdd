//! `dpo-lab bench`

use crate::bench::{self, Subject, Workload};
use crate::error::{Error, Exit, Result};
use crate::machine::device;
use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(super) struct Bench {
    /// A known size (bench-tiny, gpt2-small, tiny, small) or a folder in Hugging Face layout
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
        let subject = Subject::find(&self.model, &device)?;
        let wants = |part| self.only.is_none_or(|only| only == part);
        let workload = match &self.pairs {
            Some(path) => Workload::read(path, self.batch, &subject)?,
            None => Workload::random(&subject),
        };
        let training = wants(Part::Training).then(|| bench::training(&subject, &workload, self.steps, &device)).transpose()?;
        let breakdown = self.breakdown.then(|| bench::breakdown(&subject, &workload, self.steps, &device)).transpose()?;
        let generation = wants(Part::Generation).then(|| bench::generation(&subject, 5, &device)).transpose()?;
        let (parameters, threads) = (subject.model.parameters.count(), rayon::current_num_threads());
        if self.json {
            let json = serde_json::json!({
                "model": subject.name, "parameters": parameters, "device": name, "threads": threads,
                "training": training, "breakdown": breakdown, "generation": generation,
            });
            say!("{}", serde_json::to_string_pretty(&json).map_err(Error::other)?);
            return Ok(Exit::Done);
        }
        say!("{}: {parameters} parameters, {}, {threads} threads", subject.name, name);
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
        Ok(Exit::Done)
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "must be a whole number from 1".to_owned())
}

fn mebibytes(bytes: Option<u64>) -> String {
    bytes.map_or_else(String::new, |bytes| format!("peak {} MiB", bytes >> 20))
}
