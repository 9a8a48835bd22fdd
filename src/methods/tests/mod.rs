//! What the losses promise: golden values, PyTorch's gradients, finite differences, limits, and extreme inputs.

mod golden;
mod limits;
mod parity;
mod settings;

use super::{Method, Objective, PreferenceBatch, TokenLogProbs};
use burn::tensor::{DType, Device, Tensor, TensorData};
use serde_json::{Value, json};

/// One batch on the host.
#[derive(Clone, Default)]
struct Example {
    /// Token log-probs of every completion.
    tokens: Vec<Vec<f64>>,
    reference: Option<Vec<f64>>,
    chosen: Vec<usize>,
    rejected: Vec<usize>,
    rankings: Vec<Vec<usize>>,
    mismatched: f64,
}

impl Example {
    /// A pair of completions, by their tokens, and log ref of both.
    fn pair(chosen: &[f64], rejected: &[f64], reference: [f64; 2]) -> Self {
        let tokens = vec![chosen.to_vec(), rejected.to_vec()];
        Example { tokens, reference: Some(reference.to_vec()), chosen: vec![0], rejected: vec![1], ..Example::default() }
    }

    /// Completions of one token each, the best first, and their log ref.
    fn ranking(policy: &[f64], reference: &[f64]) -> Self {
        Example {
            tokens: policy.iter().map(|sum| vec![*sum]).collect(),
            reference: Some(reference.to_vec()),
            chosen: vec![0],
            rejected: vec![policy.len() - 1],
            rankings: vec![(0..policy.len()).collect()],
            mismatched: 0.0,
        }
    }

    fn without_reference(self) -> Self {
        Example { reference: None, ..self }
    }

    /// The batch on `device`, its rows filled up to `width` tokens.
    fn batch(&self, width: usize, device: &Device, precision: DType) -> PreferenceBatch {
        let rows = self.tokens.len();
        let filled = |value: fn(f64) -> f64| -> Vec<f64> {
            let row = |tokens: &Vec<f64>| -> Vec<f64> {
                (0..width).map(|place| tokens.get(place).map_or(0.0, |token| value(*token))).collect()
            };
            self.tokens.iter().flat_map(row).collect()
        };
        let matrix = |values| Tensor::from_data(TensorData::new(values, [rows, width]), (device, precision));
        PreferenceBatch {
            policy: TokenLogProbs { values: matrix(filled(|token| token)), mask: matrix(filled(|_| 1.0)) },
            reference: self
                .reference
                .clone()
                .map(|reference| Tensor::from_data(TensorData::new(reference, [rows]), (device, precision))),
            chosen: self.chosen.clone(),
            rejected: self.rejected.clone(),
            rankings: self.rankings.clone(),
            mismatched: self.mismatched,
        }
    }

    fn width(&self) -> usize {
        self.tokens.iter().map(Vec::len).max().unwrap_or(0)
    }

    /// The loss of every example in f64.
    fn losses(&self, objective: &dyn Objective) -> Vec<f64> {
        host(objective.loss(&self.batch(self.width(), &Device::flex(), DType::F64)))
    }

    /// The mean loss in f64.
    fn loss(&self, objective: &dyn Objective) -> f64 {
        let losses = self.losses(objective);
        losses.iter().sum::<f64>() / losses.len() as f64
    }

    /// The mean loss and its gradient with respect to every token, computed in `precision`.
    fn gradient(&self, objective: &dyn Objective, precision: DType) -> (f64, Vec<Vec<f64>>) {
        let device = Device::flex().autodiff();
        let mut batch = self.batch(self.width(), &device, precision);
        let leaf = batch.policy.values.clone().require_grad();
        batch.policy.values = leaf.clone();
        let loss = objective.loss(&batch).mean();
        let mut tape = loss.backward();
        let gradient = leaf.grad_remove(&mut tape).expect("a gradient").to_data().convert::<f64>();
        let gradient: Vec<f64> = gradient.iter::<f64>().collect();
        let rows = gradient.chunks(self.width()).zip(&self.tokens).map(|(row, tokens)| row[..tokens.len()].to_vec());
        (host(loss.inner())[0], rows.collect())
    }
}

fn host(values: Tensor<1>) -> Vec<f64> {
    values.to_data().convert::<f64>().iter::<f64>().collect()
}

/// The method with these settings.
fn method(name: &str, settings: Value) -> Method {
    serde_json::from_value(json!({ name: settings })).expect("known settings")
}

fn objective(method: &Method) -> &dyn Objective {
    method.objective().expect("a method that trains")
}

#[track_caller]
fn close(got: f64, wanted: f64, tolerance: f64) {
    assert!((got - wanted).abs() <= tolerance * wanted.abs().max(1.0), "{got} is not {wanted}");
}
