//! Maximum likelihood on sequences: the base model, the reference policy, and the held-out judge of fluency.

use super::checkpoint::Checkpoints;
use super::sequences::{Output, Sequence, rows_of_completions};
use super::step::Trainer;
use crate::error::Result;
use crate::methods::sft::sft_loss;
use crate::models::Decoder;
use crate::random::Stream;
use crate::report::rows::TrainRow;
use crate::spec::LanguageModelTraining;
use burn::tensor::Device;
use std::time::Instant;

/// Trains `model` on the completions of `sequences` and returns it with one row a step. The loss is the sum over a sequence's tokens, averaged over the batch; train.csv shows it per token.
pub fn train_language_model(
    model: Decoder,
    sequences: &[Sequence<'_>],
    training: &LanguageModelTraining,
    mut shuffle: Stream,
    device: &Device,
    checkpoints: &mut Checkpoints,
    mut progress: impl FnMut(&TrainRow),
) -> Result<(Decoder, Vec<TrainRow>)> {
    let steps = training.size.steps;
    let mut trainer = Trainer::new(model, &training.optimisation, steps, device);
    let mut rows = checkpoints.resume::<()>(&mut trainer).map_or_else(Vec::new, |left| left.rows);
    let mut queue: Vec<usize> = Vec::new();
    let mut tokens = rows.last().map_or(0, |row: &TrainRow| row.tokens);
    for step in 0..steps {
        let began = Instant::now();
        let batch: Vec<Sequence<'_>> = (0..training.size.batch_sequences)
            .map(|_| {
                if queue.is_empty() {
                    queue = shuffle.permutation(sequences.len());
                }
                sequences[queue.pop().unwrap_or(0)]
            })
            .collect();
        // Steps that are done only take their batches from the queue.
        if step < rows.len() as u64 {
            continue;
        }
        let predicted: usize = batch.iter().map(|sequence| sequence.completion.len()).sum();
        let per_token = batch.len() as f64 / predicted.max(1) as f64;
        for part in batch.chunks(batch.len().div_ceil(training.optimisation.gradient_accumulation_steps)) {
            let share = part.len() as f64 / batch.len() as f64;
            let loss = |values| sft_loss(rows_of_completions(values, part).sums()).mean().mul_scalar(share);
            trainer.add(part, Output::TokenLogProbs, |values| Ok(loss(values)))?;
        }
        let result = trainer.step(step)?;
        tokens += predicted as u64;
        let row = TrainRow {
            step: step + 1,
            loss: result.loss * per_token,
            grad_norm: result.grad_norm,
            learning_rate: result.learning_rate,
            tokens,
            tokens_per_s: predicted as f64 / began.elapsed().as_secs_f64(),
            ..TrainRow::default()
        };
        progress(&row);
        rows.push(row);
        if step + 1 < steps {
            checkpoints.after(&trainer, &rows, &(), None)?;
        }
    }
    Ok((trainer.model, rows))
}
