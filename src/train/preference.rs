//! Preference training: one segment of a run, from one checkpoint to the next.

use super::checkpoint::Checkpoints;
use super::examples::{Batches, Distinct, Example, PreferenceData};
use super::inference::completion_log_probs;
use super::optimizer::OptimizerState;
use super::sequences::{Output, Sequence, rows_of_completions};
use super::step::Trainer;
use crate::error::{Error, Result};
use crate::methods::{Objective, PreferenceBatch, TokenLogProbs};
use crate::models::{Decoder, Precision};
use crate::report::rows::TrainRow;
use crate::spec::{Optimisation, TrainingSize};
use burn::tensor::{Device, Tensor, TensorData};
use std::collections::BTreeSet;
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
    model: Decoder,
    optimizer: Option<OptimizerState>,
    data: &PreferenceData<'_>,
    run: &PreferenceRun<'_>,
    device: &Device,
    checkpoints: &mut Checkpoints,
    mut progress: impl FnMut(&TrainRow),
) -> Result<(Decoder, OptimizerState, Vec<TrainRow>)> {
    let mut trainer = match optimizer {
        Some(optimizer) => Trainer::resume(model, optimizer, run.optimisation, run.size.steps, device),
        None => Trainer::new(model, run.optimisation, run.size.steps, device),
    };
    let mut batches = Batches::new(data, run);
    let mut rows = checkpoints.resume::<()>(&mut trainer).map_or_else(Vec::new, |left| left.rows);
    let mut tokens = rows.last().map_or(run.tokens, |row: &TrainRow| row.tokens);
    for step in run.first + rows.len() as u64..run.last {
        let began = Instant::now();
        let examples = batches.batch(step);
        let (mut rewards, mut used) = (Rewards::default(), 0);
        let mismatched = mismatched(&trainer.model, &examples, data, run.objective, device)?;
        let size = examples.len().div_ceil(run.optimisation.gradient_accumulation_steps);
        for (index, part) in examples.chunks(size).enumerate() {
            let distinct = Distinct::of(part, run.objective.needs_rejected());
            let sequences = distinct.sequences(data);
            used += sequences.iter().map(Sequence::len).sum::<usize>();
            trainer.add(&sequences, Output::TokenLogProbs, |values| {
                let batch = batch(rows_of_completions(values, &sequences), &distinct, mismatched, data, run.objective)?;
                rewards.add(&batch, distinct.paired);
                let loss = run.objective.loss(&batch);
                Ok(match &data.weights {
                    Some(weights) => weighted_sum(loss, &weights[index * size..][..part.len()]),
                    None => loss.mean().mul_scalar(part.len() as f64 / examples.len() as f64),
                })
            })?;
        }
        let mut row = rewards.row(run.objective.beta());
        let result = trainer.step(step)?;
        if step == 0
            && run.objective.starts_at_ln2()
            && (result.loss - std::f64::consts::LN_2).abs() > off(run.optimisation.precision)
        {
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
        if step + 1 < run.last {
            checkpoints.after(&trainer, &rows, &(), None)?;
        }
    }
    Ok((trainer.model, trainer.optimizer, rows))
}

/// How far from ln 2 the first loss may be. Reference log-probs are computed in f32.
fn off(precision: Precision) -> f64 {
    match precision {
        Precision::F32 => 1e-3,
        Precision::Bf16 => 2e-2,
    }
}

/// sum of weight * loss over examples, of which each has one loss.
fn weighted_sum(loss: Tensor<1>, weights: &[f64]) -> Tensor<1> {
    let weights: Vec<f32> = weights.iter().map(|weight| *weight as f32).collect();
    let weights = Tensor::from_data(TensorData::new(weights, loss.dims()), &loss.device());
    (loss * weights).sum()
}

/// Mean log pi - log ref of completions after prompts that are not theirs, over the prompts of a batch: KTO's estimate of the KL
/// (Ethayarajh et al. 2024, section 4.2). No gradient flows through it.
fn mismatched(
    model: &Decoder,
    examples: &[Example],
    data: &PreferenceData<'_>,
    objective: &dyn Objective,
    device: &Device,
) -> Result<f64> {
    if !objective.needs_mismatched() {
        return Ok(0.0);
    }
    let all = data.mismatched.as_ref();
    let all = all.ok_or_else(|| Error::Other("this method needs mismatched completions, and the plan gave none".into()))?;
    let prompts: BTreeSet<usize> = examples.iter().map(|example| data.prompt_of[example.completion()]).collect();
    let (sequences, references): (Vec<Sequence<'_>>, Vec<f64>) = prompts.into_iter().map(|prompt| all[prompt]).unzip();
    let policy = completion_log_probs(model, &sequences, device, |_| ());
    Ok(policy.iter().zip(&references).map(|(policy, reference)| policy - reference).sum::<f64>() / references.len() as f64)
}

/// What a loss reads of distinct completions whose log-probs under the policy are `policy`.
fn batch(
    policy: TokenLogProbs,
    distinct: &Distinct,
    mismatched: f64,
    data: &PreferenceData<'_>,
    objective: &dyn Objective,
) -> Result<PreferenceBatch> {
    let device = policy.values.device();
    let reference = match (objective.needs_reference(), &data.reference) {
        (false, _) => None,
        (true, Some(values)) => {
            let rows: Vec<f32> = distinct.completions.iter().map(|completion| values[*completion] as f32).collect();
            Some(Tensor::from_data(TensorData::new(rows, [distinct.completions.len()]), &device))
        }
        (true, None) => return Err(Error::Other("this method needs reference log-probs, and the plan gave none".into())),
    };
    let Distinct { chosen, rejected, rankings, .. } = distinct;
    let (chosen, rejected, rankings) = (chosen.clone(), rejected.clone(), rankings.clone());
    Ok(PreferenceBatch { policy, reference, chosen, rejected, rankings, mismatched })
}

/// log p of every example's completions, from which train.csv describes a step.
#[derive(Default)]
struct Rewards {
    chosen: Vec<f64>,
    rejected: Vec<f64>,
    /// log pi - log ref, where the method has a reference.
    chosen_ratios: Vec<f64>,
    rejected_ratios: Vec<f64>,
    /// Whether any of them stand alone.
    single: bool,
}

impl Rewards {
    fn add(&mut self, batch: &PreferenceBatch, paired: bool) {
        let host = |values: Tensor<1>| -> Vec<f64> { values.to_data().iter::<f32>().map(f64::from).collect() };
        let policy = host(batch.policy.sums().inner());
        let reference = batch.reference.clone().map(host);
        for (rows, sums, ratios) in [
            (&batch.chosen, &mut self.chosen, &mut self.chosen_ratios),
            (&batch.rejected, &mut self.rejected, &mut self.rejected_ratios),
        ] {
            sums.extend(rows.iter().map(|row| policy[*row]));
            if let Some(reference) = &reference {
                ratios.extend(rows.iter().map(|row| policy[*row] - reference[*row]));
            }
        }
        self.single |= !paired;
    }

    /// The columns of train.csv that describe the examples.
    fn row(&self, beta: f64) -> TrainRow {
        let mean = |values: &[f64]| (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64);
        let mut row = TrainRow { logps_chosen: mean(&self.chosen), logps_rejected: mean(&self.rejected), ..TrainRow::default() };
        if !self.rejected_ratios.is_empty() && !self.chosen_ratios.is_empty() {
            let [chosen, rejected] =
                [&self.chosen_ratios, &self.rejected_ratios].map(|ratios| ratios.iter().map(|r| beta * r).collect::<Vec<_>>());
            row.rewards_chosen = mean(&chosen);
            row.rewards_rejected = mean(&rejected);
            row.rewards_margins = row.rewards_chosen.zip(row.rewards_rejected).map(|(chosen, rejected)| chosen - rejected);
            if !self.single {
                let right = chosen.iter().zip(&rejected).filter(|(chosen, rejected)| chosen > rejected).count();
                row.rewards_accuracies = Some(right as f64 / chosen.len() as f64);
            }
        }
        row
    }
}
