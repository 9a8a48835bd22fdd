//! Preference training: one segment of a run, from one checkpoint to the next.

use super::optimizer::OptimizerState;
use super::pairs::{Batches, Distinct, PairData, index};
use super::sequences::{Sequence, rows_of_completions};
use super::step::{Output, Trainer};
use crate::error::{Error, Result};
use crate::methods::{Objective, PreferenceBatch, TokenLogProbs};
use crate::models::Decoder;
use crate::report::rows::TrainRow;
use crate::spec::{Optimisation, TrainingSize};
use burn::tensor::{Device, Tensor, TensorData};
use std::time::Instant;

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
    let mut batches = Batches::new(data, run);
    let mut rows = Vec::new();
    let mut tokens = run.tokens;
    for step in run.first..run.last {
        let began = Instant::now();
        let pairs = batches.batch(step);
        let (mut rewards, mut used) = (Rewards::default(), 0);
        for part in pairs.chunks(pairs.len().div_ceil(run.optimisation.gradient_accumulation_steps)) {
            let distinct = Distinct::of(part, run.objective.needs_rejected());
            let sequences = distinct.sequences(data);
            used += sequences.iter().map(Sequence::len).sum::<usize>();
            trainer.add(&sequences, Output::TokenLogProbs, |values| {
                let batch = batch(rows_of_completions(values, &sequences), &distinct, data, run.objective)?;
                rewards.add(&batch);
                Ok(run.objective.loss(&batch).mean().mul_scalar(part.len() as f64 / pairs.len() as f64))
            })?;
        }
        let mut row = rewards.row(run.objective.beta());
        let result = trainer.step(step)?;
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
    Ok((trainer.model, trainer.optimizer, rows))
}

/// What a loss reads of distinct completions whose log-probs under the policy are `policy`.
fn batch(policy: TokenLogProbs, distinct: &Distinct, data: &PairData<'_>, objective: &dyn Objective) -> Result<PreferenceBatch> {
    let device = policy.values.device();
    let reference = match (objective.needs_reference(), &data.reference) {
        (false, _) => None,
        (true, Some(values)) => {
            let rows: Vec<f32> = distinct.completions.iter().map(|completion| values[*completion] as f32).collect();
            Some(Tensor::from_data(TensorData::new(rows, [distinct.completions.len()]), &device))
        }
        (true, None) => return Err(Error::Other("this method needs reference log-probs, and the plan gave none".into())),
    };
    let rejected = objective.needs_rejected().then(|| index(&distinct.rejected, &device));
    Ok(PreferenceBatch { policy, reference, chosen: index(&distinct.chosen, &device), rejected })
}

/// log p of every pair's completions, from which train.csv describes a step.
#[derive(Default)]
struct Rewards {
    chosen: Vec<f64>,
    rejected: Vec<f64>,
    /// log pi - log ref, where the method has a reference.
    chosen_ratios: Vec<f64>,
    rejected_ratios: Vec<f64>,
}

impl Rewards {
    fn add(&mut self, batch: &PreferenceBatch) {
        let host = |values: Tensor<1>| -> Vec<f64> { values.to_data().iter::<f32>().map(f64::from).collect() };
        let sums = batch.policy.sums().inner();
        let (chosen, rejected) = (host(batch.of_chosen(sums.clone())), host(batch.of_rejected(sums)));
        if let Some(reference) = &batch.reference {
            let ratios = |policy: &[f64], reference: Tensor<1>| -> Vec<f64> {
                policy.iter().zip(host(reference)).map(|(policy, reference)| policy - reference).collect()
            };
            self.chosen_ratios.extend(ratios(&chosen, batch.of_chosen(reference.clone())));
            self.rejected_ratios.extend(ratios(&rejected, batch.of_rejected(reference.clone())));
        }
        self.chosen.extend(chosen);
        if batch.rejected.is_some() {
            self.rejected.extend(rejected);
        }
    }

    /// The columns of train.csv that describe the pairs.
    fn row(&self, beta: f64) -> TrainRow {
        let mean = |values: &[f64]| (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64);
        let mut row = TrainRow { logps_chosen: mean(&self.chosen), logps_rejected: mean(&self.rejected), ..TrainRow::default() };
        if !self.rejected.is_empty() && !self.chosen_ratios.is_empty() {
            let [chosen, rejected] =
                [&self.chosen_ratios, &self.rejected_ratios].map(|ratios| ratios.iter().map(|r| beta * r).collect::<Vec<_>>());
            let margins: Vec<f64> = chosen.iter().zip(&rejected).map(|(chosen, rejected)| chosen - rejected).collect();
            let right = margins.iter().filter(|margin| **margin > 0.0).count();
            row.rewards_chosen = mean(&chosen);
            row.rewards_rejected = mean(&rejected);
            row.rewards_accuracies = Some(right as f64 / margins.len() as f64);
            row.rewards_margins = mean(&margins);
        }
        row
    }
}
