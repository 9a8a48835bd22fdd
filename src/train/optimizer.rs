//! PyTorch's optimisers to the digit, the clipping of the global norm, and the learning-rate schedule.

use crate::error::{Error, Result};
use crate::models::{Parameter, Parameters, tensor};
use crate::ops::{Rule, Step, sum_of_squares, update};
use crate::spec::{Optimisation, Optimizer, Schedule};
use burn::tensor::{Device, Tensor};
use std::path::Path;

/// An optimiser with its state.
pub struct OptimizerState {
    settings: Optimisation,
    step: u64,
    /// Of every state of the update rule a vector for every weight that is trained.
    states: Vec<Vec<Tensor<1>>>,
}

/// Learning rate of step `step` (from 0) of `steps`: warm-up factor min(1, (step + 1) / (warmup_steps + 1)) as in the
/// authors' code, then constant or linear to 0.
pub fn learning_rate(settings: &Optimisation, step: u64, steps: u64) -> f64 {
    let warmup = ((step + 1) as f64 / (settings.warmup_steps + 1) as f64).min(1.0);
    let decay = match settings.schedule {
        Schedule::Constant => 1.0,
        Schedule::Linear if step < settings.warmup_steps => 1.0,
        Schedule::Linear => {
            let length = steps.saturating_sub(settings.warmup_steps).max(1) as f64;
            (1.0 - (step - settings.warmup_steps) as f64 / length).max(0.0)
        }
    };
    settings.learning_rate * warmup * decay
}

/// Euclidean norm over all gradients together, in f64.
pub fn global_norm(gradients: &[Tensor<1>]) -> f64 {
    sum_of_squares(gradients).sqrt()
}

/// The factor of torch.nn.utils.clip_grad_norm_: min(1, max / (norm + 1e-6)).
pub fn clip_factor(norm: f64, max: f64) -> f64 {
    (max / (norm + 1e-6)).min(1.0)
}

impl OptimizerState {
    /// A fresh state for those of these weights that are trained.
    pub fn new(settings: &Optimisation, parameters: &Parameters) -> Self {
        let zeros = |_| parameters.trainable().map(|p| p.value.clone().inner().zeros_like()).collect();
        let states = |count: usize| (0..count).map(zeros).collect();
        let count = rule(settings, 1).states();
        // A GPU keeps room for vectors of these sizes, which gradients and new weights have, too, and does not cut it up.
        let states = match parameters.trainable().next() {
            Some(first) => first.value.device().memory_persistent_allocations(count, states),
            None => states(count),
        };
        OptimizerState { settings: settings.clone(), step: 0, states }
    }

    /// The new value of every weight after one step at this learning rate, down `scale` times the gradients. `values` and
    /// `gradients` are outside the gradient tape and in the order of the weights.
    pub fn update(&mut self, values: Vec<Tensor<1>>, gradients: Vec<Tensor<1>>, rate: f64, scale: f64) -> Vec<Tensor<1>> {
        self.step += 1;
        let step = Step { rule: rule(&self.settings, self.step), rate, scale };
        let kinds = self.states.len();
        let mut before: Vec<_> =
            std::mem::replace(&mut self.states, vec![Vec::new(); kinds]).into_iter().map(Vec::into_iter).collect();
        let update = |(value, gradient): (Tensor<1>, Tensor<1>)| {
            let own = before.iter_mut().filter_map(Iterator::next).collect();
            let (value, own) = update(step, value, gradient, own);
            self.states.iter_mut().zip(own).for_each(|(states, own)| states.push(own));
            value
        };
        values.into_iter().zip(gradients).map(update).collect()
    }

    /// Writes the state as safetensors, in the order of the weights.
    pub fn save(&self, path: &Path) -> Result<()> {
        let named = |(state, tensors): (usize, &Vec<Tensor<1>>)| -> Vec<Parameter> {
            let parameter = |(index, value): (usize, &Tensor<1>)| Parameter {
                name: name(state, index),
                shape: value.dims().to_vec(),
                value: value.clone(),
                trainable: true,
            };
            tensors.iter().enumerate().map(parameter).collect()
        };
        let mut all: Vec<Parameter> = self.states.iter().enumerate().flat_map(named).collect();
        let step = Parameter {
            name: "step".into(),
            shape: vec![1],
            // Exact in f32 up to 16 million steps.
            value: tensor(vec![self.step as f32], &Device::flex()),
            trainable: true,
        };
        all.push(step);
        Parameters(all).save(path)
    }

    /// Reads what [`save`](Self::save) wrote for the same weights.
    pub fn load(settings: &Optimisation, parameters: &Parameters, path: &Path, device: &Device) -> Result<Self> {
        let states = rule(settings, 1).states();
        let shape = |p: &Parameter| vec![p.shape.iter().product::<usize>()];
        let named = |state: usize| parameters.trainable().enumerate().map(move |(index, p)| (name(state, index), shape(p)));
        let mut expected: Vec<(String, Vec<usize>)> = (0..states).flat_map(named).collect();
        expected.push(("step".to_owned(), vec![1]));
        let mut values: Vec<Tensor<1>> = Parameters::load(path, &expected, device)?.0.into_iter().map(|p| p.value).collect();
        let step = values.pop().map(|step| crate::models::values(&step)[0] as u64);
        let step = step.ok_or_else(|| Error::Other(format!("{} has no step", path.display())))?;
        let states = (0..states).map(|_| values.drain(..parameters.trainable().count()).collect()).collect();
        Ok(OptimizerState { settings: settings.clone(), step, states })
    }
}

/// Name of a weight's state in the file.
fn name(state: usize, index: usize) -> String {
    format!("{}.{index:04}", ["first", "second"][state])
}

/// The update rule at step `step`, from 1.
fn rule(settings: &Optimisation, step: u64) -> Rule {
    let s = settings;
    let (epsilon, weight_decay, momentum) = (s.epsilon, s.weight_decay, s.momentum);
    match s.optimizer {
        Optimizer::Rmsprop => Rule::Rmsprop { smoothing: s.smoothing, epsilon, momentum, weight_decay },
        Optimizer::Adamw => {
            let (beta1, beta2) = (s.adam_beta1, s.adam_beta2);
            let bias = |beta: f64| 1.0 - beta.powf(step as f64);
            Rule::Adamw { beta1, beta2, bias1: bias(beta1), bias2: bias(beta2), epsilon, weight_decay }
        }
        Optimizer::Sgd => Rule::Sgd { momentum, weight_decay },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn floats(json: &Value) -> Vec<f32> {
        json.as_array().expect("a list").iter().map(|x| x.as_f64().expect("a number") as f32).collect()
    }

    /// Every case of the fixture that PyTorch made: clipping, warm-up and eight steps of the update rule.
    #[test]
    fn every_step_is_pytorchs() {
        let fixture: Value = serde_json::from_str(include_str!("../../tests/parity/optimizers.json")).expect("JSON");
        let device = Device::flex();
        for case in fixture["cases"].as_array().expect("cases") {
            let name = case["name"].as_str().expect("name");
            let set = |key: &str, default: f64| case["settings"][key].as_f64().unwrap_or(default);
            let settings = Optimisation {
                optimizer: match case["optimizer"].as_str().expect("optimizer") {
                    "RMSprop" => Optimizer::Rmsprop,
                    "AdamW" => Optimizer::Adamw,
                    _ => Optimizer::Sgd,
                },
                learning_rate: set("lr", 0.0),
                warmup_steps: case["warmup_steps"].as_u64().expect("warmup"),
                schedule: Schedule::Constant,
                gradient_accumulation_steps: 1,
                max_grad_norm: case["max_grad_norm"].as_f64().expect("norm"),
                weight_decay: set("weight_decay", 0.0),
                momentum: set("momentum", 0.0),
                smoothing: set("alpha", 0.99),
                epsilon: set("eps", 1e-8),
                adam_beta1: case["settings"]["betas"][0].as_f64().unwrap_or(0.9),
                adam_beta2: case["settings"]["betas"][1].as_f64().unwrap_or(0.999),
                ..Optimisation::constant(Optimizer::Sgd, 0.0)
            };
            let vectors = |json: &Value| -> Vec<Tensor<1>> {
                json.as_array().expect("list").iter().map(|v| tensor(floats(v), &device)).collect()
            };
            let initial = vectors(&case["initial"]);
            let named = |(index, value): (usize, &Tensor<1>)| Parameter {
                name: index.to_string(),
                shape: value.dims().to_vec(),
                value: value.clone(),
                trainable: true,
            };
            let parameters = Parameters(initial.iter().enumerate().map(named).collect());
            let mut state = OptimizerState::new(&settings, &parameters);
            let mut values = initial;
            for (index, step) in case["steps"].as_array().expect("steps").iter().enumerate() {
                let rate = learning_rate(&settings, index as u64, 8);
                assert!((rate - step["lr"].as_f64().expect("lr")).abs() < 1e-12, "{name}: learning rate of step {index}");
                let gradients = vectors(&step["grads"]);
                let norm = global_norm(&gradients);
                assert!((norm - step["total_norm"].as_f64().expect("norm")).abs() < 1e-5, "{name}: norm of step {index}");
                let factor = clip_factor(norm, settings.max_grad_norm);
                values = state.update(values, gradients, rate, factor);
                for (value, wanted) in values.iter().zip(step["params"].as_array().expect("params")) {
                    for (got, wanted) in crate::models::values(value).iter().zip(floats(wanted)) {
                        assert!((got - wanted).abs() < 2e-6, "{name}: step {index}: {got} is not {wanted}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_saved_state_goes_on_as_if_nothing_happened() {
        let device = Device::flex();
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("optimizer.safetensors");
        let parameters = Parameters(vec![Parameter {
            name: "w".into(),
            shape: vec![2],
            value: tensor(vec![1.0, -1.0], &device),
            trainable: true,
        }]);
        let settings = Optimisation { weight_decay: 0.01, ..Optimisation::constant(Optimizer::Adamw, 0.1) };
        let gradient = || vec![tensor(vec![0.3, -0.2], &device)];
        let mut one = OptimizerState::new(&settings, &parameters);
        let middle = one.update(vec![parameters.vector(0)], gradient(), 0.1, 1.0);
        one.save(&path).expect("saved");
        let mut other = OptimizerState::load(&settings, &parameters, &path, &device).expect("loaded");
        let (a, b) = (one.update(middle.clone(), gradient(), 0.1, 1.0), other.update(middle, gradient(), 0.1, 1.0));
        assert_eq!(crate::models::values(&a[0]), crate::models::values(&b[0]));
    }

    #[test]
    fn linear_decay_reaches_zero_after_the_last_step() {
        let settings =
            Optimisation { warmup_steps: 9, schedule: Schedule::Linear, ..Optimisation::constant(Optimizer::Sgd, 1.0) };
        assert!((learning_rate(&settings, 0, 100) - 0.1).abs() < 1e-12);
        assert!((learning_rate(&settings, 9, 100) - 1.0).abs() < 1e-12);
        assert!(learning_rate(&settings, 99, 100) > 0.0);
        assert!(learning_rate(&settings, 100, 100).abs() < 1e-12);
    }
}
