//! Training steps.

use super::{Subject, after_warm_up, median};
use crate::error::{Doing, Error, Result};
use crate::machine::peak_memory;
use crate::methods::Dpo;
use crate::ops;
use crate::random::Stream;
use crate::spec::{Shuffle, TrainingSize};
use crate::train::{
    Checkpoints, Example, Output, PreferenceData, PreferenceRun, Sequence, Trainer, completion_log_probs, train_preference,
};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::Instant;

/// Token ids of prompts with completions, chosen and rejected in turn, and how many pairs make a batch.
pub struct Workload {
    /// (prompt, completion)
    sequences: Vec<[Vec<u32>; 2]>,
    batch_pairs: usize,
}

/// A line of a file of pairs, in the names of TRL's tokenised data sets.
#[derive(Deserialize)]
struct Line {
    prompt_ids: Vec<u32>,
    chosen_ids: Vec<u32>,
    rejected_ids: Vec<u32>,
}

impl Workload {
    /// One batch of random tokens, of which the first quarter are prompts; each sequence has a prompt of its own.
    pub fn random(subject: &Subject) -> Self {
        let (count, tokens) = (subject.shape.sequences, subject.shape.tokens);
        let mut stream = Stream::new(0, 0, "bench tokens", 0);
        let mut random =
            |count: usize| -> Vec<u32> { (0..count).map(|_| stream.below(subject.model.config.vocabulary) as u32).collect() };
        let prompt = tokens / 4 + 1;
        let sequences = (0..count).map(|_| [random(prompt), random(tokens + 1 - prompt)]).collect();
        Workload { sequences, batch_pairs: count / 2 }
    }

    /// Whole batches from a JSONL file with `prompt_ids`, `chosen_ids` and `rejected_ids`.
    pub fn read(path: &Path, batch_pairs: usize, subject: &Subject) -> Result<Self> {
        let text = std::fs::read_to_string(path).doing("read", path)?;
        let config = &subject.model.config;
        let mut sequences = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let wrong = |what: String| Error::Other(format!("{}, line {}: {what}", path.display(), index + 1));
            let line: Line = serde_json::from_str(line).map_err(|error| wrong(error.to_string()))?;
            let pair = [line.prompt_ids, line.chosen_ids, line.rejected_ids];
            if pair.iter().any(Vec::is_empty) {
                return Err(wrong("a prompt or completion is empty".into()));
            }
            if let Some(id) = pair.iter().flatten().find(|id| **id as usize >= config.vocabulary) {
                return Err(wrong(format!("token {id} is not in the model's vocabulary of {}", config.vocabulary)));
            }
            let longest = pair[0].len() + pair[1].len().max(pair[2].len());
            if longest > config.context {
                return Err(wrong(format!("{longest} tokens exceed the model's context of {}", config.context)));
            }
            let [prompt, chosen, rejected] = pair;
            sequences.extend([[prompt.clone(), chosen], [prompt, rejected]]);
        }
        sequences.truncate(sequences.len() / (2 * batch_pairs) * 2 * batch_pairs);
        if sequences.is_empty() {
            return Err(Error::Other(format!("{} has less than one batch of {batch_pairs} pairs", path.display())));
        }
        Ok(Workload { sequences, batch_pairs })
    }

    fn data(&self) -> PreferenceData<'_> {
        let count = self.sequences.len();
        PreferenceData {
            sequences: self.sequences.iter().map(|[prompt, completion]| Sequence { prompt, completion }).collect(),
            prompt_of: (0..count).map(|index| index / 2).collect(),
            examples: (0..count).step_by(2).map(|chosen| Example::Pair(chosen, chosen + 1)).collect(),
            ..PreferenceData::default()
        }
    }
}

/// What a measurement of training gives.
#[derive(Clone, Debug, Serialize)]
pub struct Training {
    /// Pairs of a batch.
    pub batch_pairs: usize,
    /// Tokens of the average sequence: prompt and completion.
    pub tokens: f64,
    /// Seconds of the median step: batch, forward, backward, clipping, update, and the numbers of train.csv.
    pub step_s: f64,
    /// Tokens of all steps but the first few, over their time.
    pub tokens_per_s: f64,
    /// The process's greatest memory so far, in bytes, where the system says.
    pub peak_memory: Option<u64>,
}

/// Losses of so many steps of DPO, going through the workload again and again.
pub fn losses(subject: &Subject, workload: &Workload, steps: u64, device: &Device) -> Result<Vec<f64>> {
    let (_, rows) = run(subject.clone(), workload, steps, device)?;
    Ok(rows.into_iter().map(|row| row.loss).collect())
}

/// What a step was like.
struct Step {
    loss: f64,
    /// Tokens of it and of all before it.
    tokens: u64,
    tokens_per_s: f64,
}

/// The mean length of a sequence, and every step.
fn run(subject: Subject, workload: &Workload, steps: u64, device: &Device) -> Result<(f64, Vec<Step>)> {
    let mut data = workload.data();
    data.reference = Some(completion_log_probs(&subject.model, &data.sequences, device, |_| ()));
    let batch_pairs = workload.batch_pairs;
    let run = PreferenceRun {
        objective: &Dpo::default(),
        optimisation: &subject.optimisation,
        size: &TrainingSize { steps, batch_pairs, shuffle: Shuffle::Prompts, checkpoint_every: steps, evaluate_every: 0 },
        first: 0,
        last: steps,
        seeds: (0, 0),
        tokens: 0,
    };
    let (_, _, rows) = train_preference(subject.model, None, &data, &run, device, &mut Checkpoints::none(), |_| ())?;
    let tokens = data.sequences.iter().map(Sequence::len).sum::<usize>() as f64 / data.sequences.len() as f64;
    let rows = rows.into_iter().map(|row| Step { loss: row.loss, tokens: row.tokens, tokens_per_s: row.tokens_per_s });
    Ok((tokens, rows.collect()))
}

/// Takes `steps` steps of DPO, going through the workload again and again, and writes over the subject's weights as a stage would.
pub fn training(subject: Subject, workload: &Workload, steps: u64, device: &Device) -> Result<Training> {
    let (length, rows) = run(subject, workload, steps, device)?;
    let before = std::iter::once(0).chain(rows.iter().map(|row| row.tokens));
    let steps: Vec<(f64, f64)> = rows
        .iter()
        .zip(before)
        .map(|(row, before)| {
            let tokens = (row.tokens - before) as f64;
            (tokens, tokens / row.tokens_per_s)
        })
        .collect();
    let (tokens, times): (Vec<f64>, Vec<f64>) = after_warm_up(steps).into_iter().unzip();
    Ok(Training {
        batch_pairs: workload.batch_pairs,
        tokens: length,
        tokens_per_s: tokens.iter().sum::<f64>() / times.iter().sum::<f64>(),
        step_s: median(times),
        peak_memory: peak_memory(),
    })
}

/// Where a training step's time goes, on one thread, so that the parts add up.
#[derive(Clone, Debug, Serialize)]
pub struct Breakdown {
    /// Seconds of the average step on one thread.
    pub step_s: f64,
    /// Kernels, forward and backward, the update, and everything else.
    pub parts: Vec<Part>,
}

/// A part of a step.
#[derive(Clone, Debug, Serialize)]
pub struct Part {
    /// What it is.
    pub name: String,
    /// Its share of the step.
    pub share: f64,
}

/// Takes `steps` steps on one thread, after one that warms up, with a clock on every kernel.
pub fn breakdown(subject: &Subject, workload: &Workload, steps: u64, device: &Device) -> Result<Breakdown> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().map_err(Error::other)?;
    pool.install(|| {
        let data = workload.data();
        let sequences = &data.sequences[..2 * workload.batch_pairs];
        let mut trainer = Trainer::new(subject.model.clone(), &subject.optimisation, steps, device);
        let mut step = |index: u64| {
            trainer.add(sequences, Output::TokenLogProbs, |values| Ok(values.mean().neg()))?;
            trainer.step(index).map(drop)
        };
        step(0)?;
        let began = Instant::now();
        let (result, times) = ops::profiled(|| (1..=steps).try_for_each(&mut step));
        result?;
        let whole = began.elapsed().as_secs_f64();
        let mut parts: Vec<Part> =
            times.iter().map(|(name, seconds)| Part { name: name.clone(), share: seconds / whole }).collect();
        parts.sort_by(|a, b| b.share.total_cmp(&a.share));
        let rest = 1.0 - parts.iter().map(|part| part.share).sum::<f64>();
        parts.push(Part { name: "everything else".into(), share: rest });
        Ok(Breakdown { step_s: whole / steps as f64, parts })
    })
}
