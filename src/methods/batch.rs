//! Log-probs of a batch: distinct completions, and the pairs that compare them.

use burn::tensor::{Device, Int, Tensor, TensorData};

/// Log-probs of completion tokens, one row a completion.
#[derive(Clone, Debug)]
pub struct TokenLogProbs {
    /// `[completions, tokens]` in nats; 0 where a row has ended.
    pub values: Tensor<2>,
    /// `[completions, tokens]`: 1 at the completion's tokens, its end token included, else 0.
    pub mask: Tensor<2>,
}

impl TokenLogProbs {
    /// log p(completion | prompt) = sum over its tokens, `[completions]`.
    pub fn sums(&self) -> Tensor<1> {
        (self.values.clone() * self.mask.clone()).sum_dim(1).squeeze_dim(1)
    }

    /// sum over tokens of log(1 - p(token)), `[completions]`; each probability is kept 1e-6 away from 1, where the
    /// logarithm and its gradient end.
    pub fn complement_sums(&self) -> Tensor<1> {
        let complement = self.values.clone().clamp_max(-1e-6).exp().neg().add_scalar(1.0).log();
        (complement * self.mask.clone()).sum_dim(1).squeeze_dim(1)
    }
}

/// Everything that a preference loss may read. Distinct completions are run once; pairs point at them.
pub struct PreferenceBatch {
    /// Log-probs of the distinct completions under the policy; they carry the gradient.
    pub policy: TokenLogProbs,
    /// log p(completion | prompt) under the reference, `[completions]`, for methods that need it.
    pub reference: Option<Tensor<1>>,
    /// Row of each pair's chosen completion, `[pairs]`.
    pub chosen: Tensor<1, Int>,
    /// Row of each pair's rejected completion, `[pairs]`; absent for methods that do not read it.
    pub rejected: Option<Tensor<1, Int>>,
}

/// Policy and reference log-probs of the two completions of each pair, `[pairs]`.
pub struct PairLogProbs {
    /// log pi(chosen | prompt)
    pub chosen: Tensor<1>,
    /// log pi(rejected | prompt)
    pub rejected: Tensor<1>,
    /// log ref(chosen | prompt)
    pub reference_chosen: Tensor<1>,
    /// log ref(rejected | prompt)
    pub reference_rejected: Tensor<1>,
}

impl PreferenceBatch {
    /// Rows of `values` for the chosen completions.
    pub fn of_chosen(&self, values: Tensor<1>) -> Tensor<1> {
        values.select(0, self.chosen.clone())
    }

    /// Rows of `values` for the rejected completions; zeros for a method that does not read them.
    pub fn of_rejected(&self, values: Tensor<1>) -> Tensor<1> {
        match &self.rejected {
            Some(rows) => values.select(0, rows.clone()),
            None => self.of_chosen(values).zeros_like(),
        }
    }

    /// The four log-probs of every pair. Without a reference its side is 0, as in reference-free DPO.
    pub fn pairs(&self) -> PairLogProbs {
        let policy = self.policy.sums();
        let reference = self.reference.clone().unwrap_or_else(|| policy.clone().detach().zeros_like());
        PairLogProbs {
            chosen: self.of_chosen(policy.clone()),
            rejected: self.of_rejected(policy),
            reference_chosen: self.of_chosen(reference.clone()),
            reference_rejected: self.of_rejected(reference),
        }
    }

    /// A batch of pairs given by their sums, one token each: what a loss needs when only sums are known.
    pub fn from_sums(chosen: &[f64], rejected: &[f64], reference: Option<(&[f64], &[f64])>, device: &Device) -> Self {
        let pairs = chosen.len();
        let column = |left: &[f64], right: &[f64]| [left, right].concat();
        let rows = |from: usize| -> Tensor<1, Int> {
            Tensor::from_data(TensorData::new((from..from + pairs).map(|row| row as i32).collect(), [pairs]), device)
        };
        let values = Tensor::from_data(TensorData::new(column(chosen, rejected), [2 * pairs, 1]), device);
        PreferenceBatch {
            policy: TokenLogProbs { mask: values.clone().ones_like(), values },
            reference: reference
                .map(|(chosen, rejected)| Tensor::from_data(TensorData::new(column(chosen, rejected), [2 * pairs]), device)),
            chosen: rows(0),
            rejected: Some(rows(pairs)),
        }
    }
}
