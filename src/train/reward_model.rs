//! The learned reward: a scalar head on the reference policy, Bradley-Terry loss, the best epoch on validation pairs.

use super::checkpoint::Checkpoints;
use super::examples::{Distinct, Example, PreferenceData, index};
use super::inference::scores;
use super::sequences::{Output, Sequence};
use super::step::Trainer;
use crate::error::Result;
use crate::methods::reward_model::bradley_terry_loss;
use crate::models::Decoder;
use crate::random::Stream;
use crate::report::rows::TrainRow;
use crate::spec::RewardModelTraining;
use burn::tensor::{Device, Tensor};
use std::time::Instant;

/// A trained reward model.
pub struct RewardModelResult {
    /// The model of the best epoch.
    pub model: Decoder,
    /// Accuracy on the validation pairs after each epoch.
    pub validation_accuracy: Vec<f64>,
    /// Mean score of all completions: subtracted, so that rewards have mean 0.
    pub mean: f64,
    /// One row a step.
    pub rows: Vec<TrainRow>,
}

/// Trains a reward model from `reference`. Prompts, not pairs, are split, so that no completion is on both sides.
pub fn train_reward_model(
    reference: Decoder,
    data: &PreferenceData<'_>,
    training: &RewardModelTraining,
    seed: u64,
    device: &Device,
    checkpoints: &mut Checkpoints,
    mut progress: impl FnMut(&TrainRow, u64),
) -> Result<RewardModelResult> {
    let prompts = data.prompt_of.iter().max().map_or(0, |last| last + 1);
    let mut split = Stream::new(seed, 0, "reward model split", 0);
    let held: Vec<bool> = (0..prompts).map(|_| split.uniform() < training.size.validation_share).collect();
    let prompt = |example: &Example| data.prompt_of[example.completion()];
    let (validation, pairs): (Vec<Example>, Vec<Example>) =
        data.examples.iter().cloned().partition(|example| held[prompt(example)]);
    let batch_pairs = training.size.batch_pairs;
    let per_epoch = pairs.len().div_ceil(batch_pairs) as u64;
    let steps = per_epoch * training.size.epochs;
    // The reference itself is let go of.
    let model = { reference }.with_scalar_head(device);
    let mut trainer = Trainer::new(model, &training.optimisation, steps, device);
    let (mut rows, mut validation_accuracy) = (Vec::new(), Vec::new());
    let mut best: Option<(f64, Decoder)> = None;
    if let Some(left) = checkpoints.resume::<Vec<f64>>(&mut trainer) {
        (rows, validation_accuracy) = (left.rows, left.carried);
        best = validation_accuracy.iter().copied().max_by(f64::total_cmp).zip(left.beside);
    }
    let mut tokens = rows.last().map_or(0, |row: &TrainRow| row.tokens);
    // Epochs that are done were validated, and the next one may be done in part.
    for epoch in validation_accuracy.len() as u64..training.size.epochs {
        let done = (rows.len() as u64 - epoch * per_epoch) as usize;
        // Prompts are shuffled and their pairs stay together: 6 pairs of 4 completions cost 4 forward passes.
        let mut groups: Vec<Vec<Example>> = pairs.chunk_by(|a, b| prompt(a) == prompt(b)).map(<[_]>::to_vec).collect();
        let order = Stream::new(seed, 0, "reward model batches", epoch).permutation(groups.len());
        let shuffled: Vec<Example> = order.into_iter().flat_map(|group| std::mem::take(&mut groups[group])).collect();
        for batch in shuffled.chunks(batch_pairs).skip(done) {
            let began = Instant::now();
            let (mut chosen, mut rejected, mut used) = (Vec::new(), Vec::new(), 0);
            for part in batch.chunks(batch.len().div_ceil(training.optimisation.gradient_accumulation_steps)) {
                let distinct = Distinct::of(part, true);
                let sequences = distinct.sequences(data);
                used += sequences.iter().map(Sequence::len).sum::<usize>();
                trainer.add(&sequences, Output::Scores, |scores| {
                    let of = |rows: &[usize]| scores.clone().select(0, index(rows, &scores.device()));
                    let (better, worse) = (of(&distinct.chosen), of(&distinct.rejected));
                    let host = |values: &Tensor<1>| -> Vec<f64> { values.to_data().iter::<f32>().map(f64::from).collect() };
                    chosen.extend(host(&better));
                    rejected.extend(host(&worse));
                    let share = part.len() as f64 / batch.len() as f64;
                    Ok(bradley_terry_loss(better, worse, 0.0).mean().mul_scalar(share))
                })?;
            }
            let step = rows.len() as u64;
            let result = trainer.step(step)?;
            tokens += used as u64;
            let count = chosen.len() as f64;
            let right = chosen.iter().zip(&rejected).filter(|(chosen, rejected)| chosen > rejected).count();
            let (mean_chosen, mean_rejected) = (chosen.iter().sum::<f64>() / count, rejected.iter().sum::<f64>() / count);
            let row = TrainRow {
                step: step + 1,
                loss: result.loss,
                rewards_chosen: Some(mean_chosen),
                rewards_rejected: Some(mean_rejected),
                rewards_margins: Some(mean_chosen - mean_rejected),
                rewards_accuracies: Some(right as f64 / count),
                grad_norm: result.grad_norm,
                learning_rate: result.learning_rate,
                tokens,
                tokens_per_s: used as f64 / began.elapsed().as_secs_f64(),
                ..TrainRow::default()
            };
            progress(&row, steps);
            rows.push(row);
            if step + 1 < steps {
                checkpoints.after(&trainer, &rows, &validation_accuracy, best.as_ref().map(|(_, model)| model))?;
            }
        }
        let model = trainer.model.clone();
        let accuracy = accuracy(&model, data, if validation.is_empty() { &pairs } else { &validation }, device);
        validation_accuracy.push(accuracy);
        if best.as_ref().is_none_or(|(before, _)| accuracy > *before) {
            best = Some((accuracy, model));
        }
    }
    let model = best.map_or(trainer.model, |(_, model)| model);
    let all = scores(&model, &data.sequences, device, |_| ());
    let mean = all.iter().sum::<f64>() / all.len().max(1) as f64;
    Ok(RewardModelResult { model, validation_accuracy, mean, rows })
}

fn accuracy(model: &Decoder, data: &PreferenceData<'_>, pairs: &[Example], device: &Device) -> f64 {
    let scores = scores(model, &data.sequences, device, |_| ());
    let is_right = |pair: &&Example| matches!(pair, Example::Pair(chosen, rejected) if scores[*chosen] > scores[*rejected]);
    pairs.iter().filter(is_right).count() as f64 / pairs.len().max(1) as f64
}
