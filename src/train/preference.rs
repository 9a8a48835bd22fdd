//! Preference training: one segment of a run, from one checkpoint to the next.

use super::optimizer::OptimizerState;
use super::sequences::{Batch, Sequence};
use super::step::Trainer;
use crate::error::{Error, Result};
use crate::methods::{Objective, PreferenceBatch};
use crate::models::Decoder;
use crate::random::Stream;
use crate::report::rows::TrainRow;
use crate::spec::{Optimisation, Shuffle, TrainingSize};
use burn::tensor::{Device, Int, Tensor, TensorData};
use std::collections::HashMap;
use std::time::Instant;

/// Completions, and pairs (chosen, rejected) of their indices, sorted by prompt.
pub struct PairData<'a> {
    /// Every completion with its prompt.
    pub sequences: Vec<Sequence<'a>>,
    /// Prompt of every completion.
    pub prompt_of: Vec<usize>,
    /// (chosen, rejected)
    pub pairs: Vec<(usize, usize)>,
    /// log ref(completion | prompt) of every completion, for methods that need it.
    pub reference: Option<Vec<f64>>,
}

/// Where a segment starts and ends, and how it trains.
pub struct PreferenceRun<'a> {
    /// The method's loss.
    pub objective: &'a dyn Objective,
    /// Optimiser and schedule.
    pub optimisation: &'a Optimisation,
    /// Steps and sizes of the whole run.
    pub size: &'a TrainingSize,
    /// First step of the segment, from 0.
    pub first: u64,
    /// Step that the segment ends before.
    pub last: u64,
    /// (study seed, run seed): all runs with these seeds see the same batches.
    pub seeds: (u64, u64),
    /// Tokens processed by the segments before.
    pub tokens: u64,
}

/// Runs one segment and returns the policy, the optimiser and one row a step.
pub fn train_preference(
    model: &Decoder,
    optimizer: Option<OptimizerState>,
    data: &PairData<'_>,
    run: &PreferenceRun<'_>,
    device: &Device,
    mut progress: impl FnMut(&TrainRow),
) -> Result<(Decoder, OptimizerState, Vec<TrainRow>)> {
    let mut trainer = match optimizer {
        Some(optimizer) => Trainer::resume(model, optimizer, run.optimisation, run.size.steps, device),
        None => Trainer::new(model, run.optimisation, run.size.steps, device),
    };
    let taped = device.clone().autodiff();
    let mut batches = Batches::new(data, run);
    let mut rows = Vec::new();
    let mut tokens = run.tokens;
    for step in run.first..run.last {
        let began = Instant::now();
        let pairs = batches.batch(step);
        let (batch, used) = assemble(&trainer.model, data, &pairs, run.objective, &taped)?;
        let loss = run.objective.loss(&batch).mean();
        let mut row = rewards(&batch, run.objective);
        let result = trainer.step(step, &loss)?;
        if step == 0 && run.objective.starts_at_ln2() && (result.loss - std::f64::consts::LN_2).abs() > 1e-3 {
            return Err(Error::Other(format!(
                "the first loss is {:.6}, not ln 2 = 0.693147: policy and reference differ before the first step, so the reference \
                 log-probs are not those of the policy that training starts from",
                result.loss
            )));
        }
        tokens += used as u64;
        row.step = step + 1;
        row.loss = result.loss;
        row.grad_norm = result.grad_norm;
        row.learning_rate = result.learning_rate;
        row.tokens = tokens;
        row.tokens_per_s = used as f64 / began.elapsed().as_secs_f64();
        progress(&row);
        rows.push(row);
    }
    Ok((trainer.model.untracked(), trainer.optimizer, rows))
}

/// The pairs of every step: epochs in a shuffled order that depends on the seeds and the epoch only, so that a segment
/// finds its place without its predecessors.
struct Batches<'a> {
    data: &'a PairData<'a>,
    seeds: (u64, u64),
    shuffle: Shuffle,
    size: usize,
    epoch: Option<(u64, Vec<usize>)>,
}

impl<'a> Batches<'a> {
    fn new(data: &'a PairData<'a>, run: &PreferenceRun<'_>) -> Self {
        Batches { data, seeds: run.seeds, shuffle: run.size.shuffle, size: run.size.batch_pairs, epoch: None }
    }

    fn batch(&mut self, step: u64) -> Vec<(usize, usize)> {
        let count = self.data.pairs.len() as u64;
        let first = step * self.size as u64;
        (first..first + self.size as u64).map(|draw| self.pair(draw / count, (draw % count) as usize)).collect()
    }

    fn pair(&mut self, epoch: u64, index: usize) -> (usize, usize) {
        if self.epoch.as_ref().is_none_or(|(current, _)| *current != epoch) {
            self.epoch = Some((epoch, self.order(epoch)));
        }
        let order = self.epoch.as_ref().map_or(&[][..], |(_, order)| order);
        self.data.pairs[order[index]]
    }

    fn order(&self, epoch: u64) -> Vec<usize> {
        let mut stream = Stream::new(self.seeds.0, self.seeds.1, "batches", epoch);
        match self.shuffle {
            Shuffle::Pairs => stream.permutation(self.data.pairs.len()),
            Shuffle::Prompts => {
                let mut groups: Vec<Vec<usize>> = Vec::new();
                let mut previous = None;
                for (index, (chosen, _)) in self.data.pairs.iter().enumerate() {
                    let prompt = self.data.prompt_of[*chosen];
                    if previous != Some(prompt) {
                        groups.push(Vec::new());
                        previous = Some(prompt);
                    }
                    if let Some(group) = groups.last_mut() {
                        group.push(index);
                    }
                }
                stream.permutation(groups.len()).into_iter().flat_map(|group| groups[group].clone()).collect()
            }
        }
    }
}

/// Runs a batch's distinct completions once and points the pairs at them. Returns the tokens that were run, too.
fn assemble(
    model: &Decoder,
    data: &PairData<'_>,
    pairs: &[(usize, usize)],
    objective: &dyn Objective,
    device: &Device,
) -> Result<(PreferenceBatch, usize)> {
    let mut row_of: HashMap<usize, usize> = HashMap::new();
    let mut distinct: Vec<usize> = Vec::new();
    let mut row = |completion: usize| -> i32 {
        *row_of.entry(completion).or_insert_with(|| {
            distinct.push(completion);
            distinct.len() - 1
        }) as i32
    };
    let chosen: Vec<i32> = pairs.iter().map(|(chosen, _)| row(*chosen)).collect();
    let rejected: Option<Vec<i32>> =
        objective.needs_rejected().then(|| pairs.iter().map(|(_, rejected)| row(*rejected)).collect());
    let sequences: Vec<Sequence<'_>> = distinct.iter().map(|completion| data.sequences[*completion]).collect();
    let tokens = sequences.iter().map(Sequence::len).sum();
    let reference = match (objective.needs_reference(), &data.reference) {
        (false, _) => None,
        (true, Some(values)) => {
            let rows: Vec<f32> = distinct.iter().map(|completion| values[*completion] as f32).collect();
            Some(Tensor::from_data(TensorData::new(rows, [distinct.len()]), device))
        }
        (true, None) => return Err(Error::Other("this method needs reference log-probs, and the plan gave none".into())),
    };
    let index = |rows: Vec<i32>| -> Tensor<1, Int> {
        let length = rows.len();
        Tensor::from_data(TensorData::new(rows, [length]), device)
    };
    let policy = Batch::new(&sequences, false, device).log_probs(model);
    Ok((PreferenceBatch { policy, reference, chosen: index(chosen), rejected: rejected.map(index) }, tokens))
}

/// The columns of train.csv that describe the pairs.
fn rewards(batch: &PreferenceBatch, objective: &dyn Objective) -> TrainRow {
    let host = |values: Tensor<1>| -> Vec<f64> { values.to_data().iter::<f32>().map(f64::from).collect() };
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    let sums = batch.policy.sums();
    let chosen = host(batch.of_chosen(sums.clone()));
    let mut row = TrainRow { logps_chosen: Some(mean(&chosen)), ..TrainRow::default() };
    if batch.rejected.is_none() {
        return row;
    }
    let rejected = host(batch.of_rejected(sums));
    row.logps_rejected = Some(mean(&rejected));
    if let Some(reference) = &batch.reference {
        let beta = objective.beta();
        let reward = |policy: &[f64], reference: Vec<f64>| -> Vec<f64> {
            policy.iter().zip(reference).map(|(policy, reference)| beta * (policy - reference)).collect()
        };
        let chosen = reward(&chosen, host(batch.of_chosen(reference.clone())));
        let rejected = reward(&rejected, host(batch.of_rejected(reference.clone())));
        let margins: Vec<f64> = chosen.iter().zip(&rejected).map(|(chosen, rejected)| chosen - rejected).collect();
        let right = margins.iter().filter(|margin| **margin > 0.0).count();
        row.rewards_chosen = Some(mean(&chosen));
        row.rewards_rejected = Some(mean(&rejected));
        row.rewards_accuracies = Some(right as f64 / margins.len().max(1) as f64);
        row.rewards_margins = Some(mean(&margins));
    }
    row
}
