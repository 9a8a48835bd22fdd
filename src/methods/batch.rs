//! Log-probs of a batch: distinct completions, and the pairs, judgements or rankings that point at them.

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

    /// Tokens of every completion, `[completions]`; at least 1, so that a mean over them is a number.
    pub fn counts(&self) -> Tensor<1> {
        self.mask.clone().sum_dim(1).squeeze_dim::<1>(1).clamp_min(1.0)
    }

    /// log p(completion | prompt) / |completion|, `[completions]`.
    pub fn means(&self) -> Tensor<1> {
        self.sums() / self.counts()
    }

    /// sum over tokens of log(1 - p(token)), `[completions]`; each probability is kept 1e-6 away from 1, where the
    /// logarithm and its gradient end.
    pub fn complement_sums(&self) -> Tensor<1> {
        let complement = self.values.clone().clamp_max(-1e-6).exp().neg().add_scalar(1.0).log();
        (complement * self.mask.clone()).sum_dim(1).squeeze_dim(1)
    }
}

/// Everything that a preference loss may read. Distinct completions are run once; examples point at them.
pub struct PreferenceBatch {
    /// Log-probs of the distinct completions under the policy; they carry the gradient.
    pub policy: TokenLogProbs,
    /// log p(completion | prompt) under the reference, `[completions]`, for methods that need it.
    pub reference: Option<Tensor<1>>,
    /// Row of each better completion: a pair's chosen one, a desirable one, a ranking's first. May be empty for judgements.
    pub chosen: Vec<usize>,
    /// Row of each worse completion: a pair's rejected one, an undesirable one, a ranking's last. Empty for methods that do
    /// not read it.
    pub rejected: Vec<usize>,
    /// Rows of every ranking, the best first; of any lengths >= 2. Empty for losses that do not learn from rankings.
    pub rankings: Vec<Vec<usize>>,
    /// Mean of log pi - log ref over mismatched prompt-completion pairs of the batch, without gradient; 0 for losses that do
    /// not read it.
    pub mismatched: f64,
}

impl PreferenceBatch {
    /// Rows of `values` for the better completions, `[chosen]`.
    pub fn of_chosen(&self, values: Tensor<1>) -> Tensor<1> {
        select(values, &self.chosen)
    }

    /// Rows of `values` for the worse completions, `[rejected]`: empty for a method that does not read them.
    pub fn of_rejected(&self, values: Tensor<1>) -> Tensor<1> {
        select(values, &self.rejected)
    }

    /// How much larger `values` is for each pair's chosen completion than for its rejected one, `[pairs]`.
    pub fn margins(&self, values: Tensor<1>) -> Tensor<1> {
        self.of_chosen(values.clone()) - self.of_rejected(values)
    }

    /// log pi - log ref of every completion, `[completions]`. Without a reference its side is 0, as in reference-free DPO.
    pub fn log_ratios(&self) -> Tensor<1> {
        match &self.reference {
            Some(reference) => self.policy.sums() - reference.clone(),
            None => self.policy.sums(),
        }
    }

    /// (log pi - log ref) / |completion| of every completion, `[completions]`.
    pub fn mean_log_ratios(&self) -> Tensor<1> {
        self.log_ratios() / self.policy.counts()
    }

    /// A batch of pairs given by their sums, one token each: what a loss needs when only sums are known.
    pub fn from_sums(chosen: &[f64], rejected: &[f64], reference: Option<(&[f64], &[f64])>, device: &Device) -> Self {
        let pairs = chosen.len();
        let column = |left: &[f64], right: &[f64]| [left, right].concat();
        let values = Tensor::from_data(TensorData::new(column(chosen, rejected), [2 * pairs, 1]), device);
        PreferenceBatch {
            policy: TokenLogProbs { mask: values.clone().ones_like(), values },
            reference: reference
                .map(|(chosen, rejected)| Tensor::from_data(TensorData::new(column(chosen, rejected), [2 * pairs]), device)),
            chosen: (0..pairs).collect(),
            rejected: (pairs..2 * pairs).collect(),
            rankings: Vec::new(),
            mismatched: 0.0,
        }
    }
}

/// `values` at `rows`, `[rows]`, with their gradient.
pub(super) fn select(values: Tensor<1>, rows: &[usize]) -> Tensor<1> {
    if rows.is_empty() {
        // Not every backend selects nothing.
        return constants(&[], &values);
    }
    let index: Vec<i32> = rows.iter().map(|row| *row as i32).collect();
    let index: Tensor<1, Int> = Tensor::from_data(TensorData::new(index, [rows.len()]), &values.device());
    values.select(0, index)
}

/// Numbers as a tensor of `like`'s device and float type, `[numbers]`.
pub(super) fn constants(numbers: &[f64], like: &Tensor<1>) -> Tensor<1> {
    Tensor::from_data(TensorData::new(numbers.to_vec(), [numbers.len()]), (&like.device(), like.dtype()))
}
