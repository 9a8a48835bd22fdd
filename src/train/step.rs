//! One optimiser step: backward, clip, update. The same for every loss.

use super::optimizer::{OptimizerState, clip_factor, global_norm, learning_rate};
use crate::error::{Error, Result};
use crate::models::{Decoder, Parameter, Parameters};
use crate::spec::Optimisation;
use burn::tensor::{Device, Tensor};

/// A model that is being trained, with its optimiser.
pub struct Trainer {
    /// The model, its weights leaves of the gradient tape.
    pub model: Decoder,
    /// The optimiser's state.
    pub optimizer: OptimizerState,
    settings: Optimisation,
    steps: u64,
    device: Device,
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
    /// Starts from `model` with a fresh optimiser; `steps` is the length that a decaying schedule ends at.
    pub fn new(model: &Decoder, settings: &Optimisation, steps: u64, device: &Device) -> Self {
        let model = model.tracked(device);
        let optimizer = OptimizerState::new(settings, &model.parameters);
        Trainer { model, optimizer, settings: settings.clone(), steps, device: device.clone() }
    }

    /// Goes on with a saved optimiser.
    pub fn resume(model: &Decoder, optimizer: OptimizerState, settings: &Optimisation, steps: u64, device: &Device) -> Self {
        Trainer { model: model.tracked(device), optimizer, settings: settings.clone(), steps, device: device.clone() }
    }

    /// Takes step `step` (from 0) down the gradient of a scalar loss. A loss or gradient that is not finite changes nothing.
    pub fn step(&mut self, step: u64, loss: &Tensor<1>) -> Result<StepResult> {
        let value = f64::from(loss.clone().into_scalar::<f32>());
        let diverged = |what: &str, value: f64| {
            Err(Error::Other(format!(
                "the {what} became {value} at step {}; the last checkpoint is kept: lower learning_rate, or raise warmup_steps",
                step + 1
            )))
        };
        if !value.is_finite() {
            return diverged("loss", value);
        }
        let mut tape = loss.backward();
        let parameters = &self.model.parameters.0;
        let gradients: Vec<Tensor<1>> = parameters
            .iter()
            .map(|p| p.value.grad_remove(&mut tape).unwrap_or_else(|| p.value.clone().inner().zeros_like()))
            .collect();
        let grad_norm = global_norm(&gradients);
        if !grad_norm.is_finite() {
            return diverged("gradient's norm", grad_norm);
        }
        let factor = clip_factor(grad_norm, self.settings.max_grad_norm);
        let gradients = if factor < 1.0 { gradients.into_iter().map(|g| g.mul_scalar(factor)).collect() } else { gradients };
        let learning_rate = learning_rate(&self.settings, step, self.steps);
        let values = parameters.iter().map(|p| p.value.clone().inner()).collect();
        let updated = self.optimizer.update(values, gradients, learning_rate);
        let device = self.device.clone().autodiff();
        let leaves = parameters.iter().zip(updated).map(|(p, value)| Parameter {
            name: p.name.clone(),
            shape: p.shape.clone(),
            value: Tensor::from_inner(value).to_device(&device).require_grad(),
        });
        self.model.parameters = Parameters(leaves.collect());
        Ok(StepResult { loss: value, grad_norm, learning_rate })
    }
}
