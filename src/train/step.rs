//! One optimiser step: forward and backward in shards, clip, update. The same for every loss.
//!
//! The model maps sequences to numbers, the loss maps numbers to a scalar, and only the former costs anything. So a batch's
//! sequences are cut into shards that run side by side, each with a gradient tape of its own; the loss reads the numbers of
//! all of them and hands back its gradient. The cut depends on the batch alone, never on the number of threads.

use super::optimizer::{OptimizerState, clip_factor, global_norm, learning_rate};
use super::pass::{Pass, Slopes, sum};
use super::sequences::{Batch, Output, Sequence};
use crate::error::{Error, Result};
use crate::models::{Decoder, Parameter, give_back, settled};
use crate::ops;
use crate::spec::Optimisation;
use burn::tensor::{Device, Tensor};

/// A model that is being trained, with its optimiser.
pub struct Trainer {
    /// The model, outside of any gradient tape.
    pub model: Decoder,
    /// The optimiser's state.
    pub optimizer: OptimizerState,
    settings: Optimisation,
    steps: u64,
    device: Device,
    /// Loss and gradients since the last step.
    loss: f64,
    gradients: Slopes,
}

/// What a step was like.
#[derive(Clone, Copy, Debug)]
pub struct StepResult {
    /// The loss before the update.
    pub loss: f64,
    /// Global gradient norm before clipping.
    pub grad_norm: f64,
    /// Learning rate used.
    pub learning_rate: f64,
}

impl Trainer {
    /// Starts from `model`, whose weights are written over unless somebody else holds them, with a fresh optimiser; `steps` is the length that a decaying schedule ends at.
    pub fn new(model: Decoder, settings: &Optimisation, steps: u64, device: &Device) -> Self {
        let optimizer = OptimizerState::new(settings, &model.parameters);
        Trainer::resume(model, optimizer, settings, steps, device)
    }

    /// Goes on with a saved optimiser.
    pub fn resume(mut model: Decoder, optimizer: OptimizerState, settings: &Optimisation, steps: u64, device: &Device) -> Self {
        let (settings, device) = (settings.clone(), device.clone());
        for parameter in model.parameters.trainable_mut() {
            parameter.value = settled(&parameter.value);
        }
        give_back(&device);
        Trainer { model, optimizer, settings, steps, device, loss: 0.0, gradients: Vec::new() }
    }

    /// How it trains.
    pub fn settings(&self) -> &Optimisation {
        &self.settings
    }

    /// Adds the gradient of a loss, which gets the model's numbers for `sequences`, `[numbers]`, and returns a scalar. What is
    /// added up before a [`step`](Self::step) counts as one batch.
    pub fn add(
        &mut self,
        sequences: &[Sequence<'_>],
        output: Output,
        loss: impl FnOnce(Tensor<1>) -> Result<Tensor<1>>,
    ) -> Result<()> {
        let taped = self.device.clone().autodiff();
        let cut = self.model.is_small() && ops::is_on_cpu(&self.model.parameters.vector(0));
        let shards = split(sequences, if cut { shards(sequences) } else { 1 });
        let forward = |shard: &[Sequence<'_>]| {
            let batch = Batch::new(shard, output == Output::Scores, &self.model, &taped);
            Pass::forward(&self.model, batch, output, &self.settings, &self.device)
        };
        let passes = ops::side_by_side(&self.device, shards, forward);
        let numbers = Tensor::cat(passes.iter().map(|pass| pass.numbers.clone()).collect(), 0);
        let numbers = Tensor::from_inner(numbers).require_grad();
        let loss = loss(numbers.clone())?;
        self.loss += f64::from(loss.clone().into_scalar::<f32>());
        let slopes = numbers.grad_remove(&mut loss.backward());
        let slopes = slopes.ok_or_else(|| Error::Other("the loss does not depend on the policy".into()))?;
        let mut first = 0;
        let passes = passes.into_iter().map(|pass| {
            let [count] = pass.numbers.dims();
            first += count;
            (pass, slopes.clone().slice_dim(0, first - count..first))
        });
        let mut passes: Vec<(Pass, Tensor<1>)> = passes.collect();
        if passes.len() == 1 {
            passes.drain(..).for_each(|(pass, slopes)| pass.backward(&slopes, &mut self.gradients));
        }
        // Side by side each has gradients of its own.
        let backward = |(pass, slopes): (Pass, Tensor<1>)| {
            let mut gradients = Slopes::new();
            pass.backward(&slopes, &mut gradients);
            gradients
        };
        for gradients in ops::side_by_side(&self.device, passes, backward) {
            self.gradients.resize(gradients.len(), None);
            for (all, own) in self.gradients.iter_mut().zip(gradients) {
                *all = sum(all.take(), own);
            }
        }
        Ok(())
    }

    /// Takes step `step` (from 0) down the gradients that were added. A loss or gradient that is not finite changes nothing.
    pub fn step(&mut self, step: u64) -> Result<StepResult> {
        let (loss, gradients) = (std::mem::take(&mut self.loss), std::mem::take(&mut self.gradients));
        let whole =
            |(gradient, parameter): (Option<Tensor<1>>, &Parameter)| gradient.unwrap_or_else(|| parameter.value.zeros_like());
        let gradients: Vec<Tensor<1>> = gradients.into_iter().zip(self.model.parameters.trainable()).map(whole).collect();
        let diverged = |what: &str, value: f64| {
            Err(Error::Other(format!(
                "the {what} became {value} at step {}; the last checkpoint is kept: lower learning_rate, or raise warmup_steps",
                step + 1
            )))
        };
        if !loss.is_finite() {
            return diverged("loss", loss);
        }
        let grad_norm = global_norm(&gradients);
        if !grad_norm.is_finite() {
            return diverged("gradient's norm", grad_norm);
        }
        let learning_rate = learning_rate(&self.settings, step, self.steps);
        // Taken out, so that the update may write over them.
        let nothing = Tensor::zeros([0], &self.device);
        let taken = |p: &mut Parameter| std::mem::replace(&mut p.value, nothing.clone());
        let values = self.model.parameters.trainable_mut().map(taken).collect();
        let updated =
            self.optimizer.update(values, gradients, learning_rate, clip_factor(grad_norm, self.settings.max_grad_norm));
        for (parameter, value) in self.model.parameters.trainable_mut().zip(updated) {
            parameter.value = value;
        }
        Ok(StepResult { loss, grad_norm, learning_rate })
    }
}

/// Tokens of a shard, at most: enough that its matrix products stay efficient.
const SHARD_TOKENS: usize = 512;

/// Number of shards, a power of two, so that they fill any usual number of threads.
fn shards(sequences: &[Sequence<'_>]) -> usize {
    let tokens: usize = sequences.iter().map(Sequence::len).sum();
    1 << tokens.div_ceil(SHARD_TOKENS).max(1).ilog2()
}

/// Sequences in their order, in `count` parts of about as many tokens; none is empty.
fn split<'a, 'b>(mut sequences: &'a [Sequence<'b>], count: usize) -> Vec<&'a [Sequence<'b>]> {
    let mut left: usize = sequences.iter().map(Sequence::len).sum();
    let mut parts = Vec::with_capacity(count);
    for parts_left in (1..=count).rev() {
        let (mut taken, mut tokens) = (0, 0);
        while taken < sequences.len() && (parts_left == 1 || tokens + sequences[taken].len() / 2 < left / parts_left) {
            tokens += sequences[taken].len();
            taken += 1;
        }
        let (part, rest) = sequences.split_at(taken);
        if !part.is_empty() {
            parts.push(part);
        }
        (sequences, left) = (rest, left - tokens);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn shards_hold_every_sequence_once_and_like_amounts(lengths in prop::collection::vec(1usize..60, 1..80), power in 0u32..4) {
            let ids = vec![1_u32; 60];
            let sequences: Vec<Sequence<'_>> =
                lengths.iter().map(|length| Sequence { prompt: &ids[..1], completion: &ids[1..*length] }).collect();
            let parts = split(&sequences, 1 << power);
            prop_assert!(parts.len() <= 1 << power && parts.iter().all(|part| !part.is_empty()));
            let joined: Vec<usize> = parts.iter().flat_map(|part| part.iter().map(Sequence::len)).collect();
            prop_assert_eq!(&joined, &lengths);
            let fair = lengths.iter().sum::<usize>() / (1 << power);
            for part in parts {
                let tokens: usize = part.iter().map(Sequence::len).sum();
                prop_assert!(tokens <= fair + 2 * 60, "{tokens} tokens where {fair} would be fair");
            }
        }
    }
}
