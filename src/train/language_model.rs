//! Maximum likelihood on sequences: the base model, the reference policy, and the held-out judge of fluency.

use super::sequences::{Sequence, rows_of_completions};
use super::step::{Output, Trainer};
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
    model: &Decoder,
    sequences: &[Sequence<'_>],
    training: &LanguageModelTraining,
    mut shuffle: Stream,
    device: &Device,
    mut progress: impl FnMut(&TrainRow),
) -> Result<(Decoder, Vec<TrainRow>)> {
    let steps = training.size.steps;
    let mut trainer = Trainer::new(model, &training.optimisation, steps, device);
    let mut rows = Vec::new();
    let mut queue: Vec<usize> = Vec::new();
    let mut tokens = 0;
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
    }
    Ok((trainer.model, rows))
}
