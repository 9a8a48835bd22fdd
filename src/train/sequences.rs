//! From token lists to tensors: right-padded batches, and log-probs of their completions.

use crate::methods::TokenLogProbs;
use crate::models::{Decoder, END};
use burn::tensor::{Device, Int, Tensor, TensorData, activation::log_softmax};

/// A prompt (its start token included) and what follows it.
#[derive(Clone, Copy, Debug)]
pub struct Sequence<'a> {
    /// Tokens that are given.
    pub prompt: &'a [u32],
    /// Tokens whose log-probs count.
    pub completion: &'a [u32],
}

impl Sequence<'_> {
    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.prompt.len() + self.completion.len()
    }

    /// Whether there is no token at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn token(&self, index: usize) -> u32 {
        let outside = || self.completion.get(index - self.prompt.len()).copied().unwrap_or(END);
        self.prompt.get(index).copied().unwrap_or_else(outside)
    }
}

/// A padded batch. `rows` sequences of up to `tokens` inputs; completions of up to `longest` tokens.
pub struct Padded {
    ids: Tensor<2, Int>,
    /// Row of the hidden states that predicts each completion token, `[rows * longest]`.
    positions: Tensor<1, Int>,
    targets: Tensor<1, Int>,
    mask: Tensor<2>,
    /// Row of the hidden states at each sequence's last token, `[rows]`.
    last: Tensor<1, Int>,
    rows: usize,
    longest: usize,
}

impl Padded {
    /// Pads sequences to the longest of them. With `to_last` the last token is an input too (a reward model reads it).
    pub fn new(sequences: &[Sequence<'_>], to_last: bool, device: &Device) -> Self {
        let rows = sequences.len();
        let inputs = |sequence: &Sequence<'_>| if to_last { sequence.len() } else { sequence.len() - 1 };
        let tokens = sequences.iter().map(inputs).max().unwrap_or(0);
        let longest = sequences.iter().map(|sequence| sequence.completion.len()).max().unwrap_or(0);
        let (mut ids, mut positions, mut targets, mut mask, mut last) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (row, sequence) in sequences.iter().enumerate() {
            let length = inputs(sequence);
            ids.extend((0..tokens).map(|index| if index < length { sequence.token(index) as i32 } else { END as i32 }));
            last.push((row * tokens + length.saturating_sub(1)) as i32);
            for index in 0..longest {
                // Padding reads the row's first position; its log-prob is finite and masked.
                let real = index < sequence.completion.len();
                let position = if real { sequence.prompt.len() + index - 1 } else { 0 };
                positions.push((row * tokens + position) as i32);
                targets.push(if real { sequence.completion[index] as i32 } else { END as i32 });
                mask.push(if real { 1.0f32 } else { 0.0 });
            }
        }
        let vector = |values: Vec<i32>| -> Tensor<1, Int> {
            let length = values.len();
            Tensor::from_data(TensorData::new(values, [length]), device)
        };
        Padded {
            ids: Tensor::from_data(TensorData::new(ids, [rows, tokens]), device),
            positions: vector(positions),
            targets: vector(targets),
            mask: Tensor::from_data(TensorData::new(mask, [rows, longest]), device),
            last: vector(last),
            rows,
            longest,
        }
    }

    /// log p of every completion token under a model.
    pub fn log_probs(&self, model: &Decoder) -> TokenLogProbs {
        let hidden = model.hidden(self.ids.clone()).select(0, self.positions.clone());
        let values = model.token_log_probs(hidden, self.targets.clone()).reshape([self.rows, self.longest]);
        TokenLogProbs { values, mask: self.mask.clone() }
    }

    /// Scores at each sequence's last token, `[rows]`, under a model with a scalar head.
    pub fn scores(&self, model: &Decoder) -> Tensor<1> {
        model.scores(model.hidden(self.ids.clone()).select(0, self.last.clone()))
    }

    /// Log-probs of the whole vocabulary at every completion position, `[rows * longest, vocabulary]`.
    fn distributions(&self, model: &Decoder) -> Tensor<2> {
        let hidden = model.hidden(self.ids.clone()).select(0, self.positions.clone());
        log_softmax(model.logits(hidden), 1)
    }
}

/// Number of sequences that inference runs at once.
const INFERENCE_ROWS: usize = 64;

/// log p(completion | prompt) of every sequence, in order. Sequences of like length are run together.
pub fn completion_log_probs(
    model: &Decoder,
    sequences: &[Sequence<'_>],
    device: &Device,
    progress: impl FnMut(usize),
) -> Vec<f64> {
    in_chunks(sequences, progress, |chunk| {
        let log_probs = Padded::new(chunk, false, device).log_probs(model);
        row_sums(&log_probs.values, &log_probs.mask)
    })
}

/// Scores of every sequence under a reward model, in order.
pub fn scores(model: &Decoder, sequences: &[Sequence<'_>], device: &Device, progress: impl FnMut(usize)) -> Vec<f64> {
    in_chunks(sequences, progress, |chunk| {
        Padded::new(chunk, true, device).scores(model).to_data().iter::<f32>().map(f64::from).collect()
    })
}

/// What an evaluation measures of one completion.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Divergence {
    /// Sum over steps of the exact KL between the next-token distributions, in nats.
    pub kl: f64,
    /// log pi(completion) - log ref(completion).
    pub log_ratio: f64,
    /// Sum over steps of the policy's entropy, in nats.
    pub entropy: f64,
}

/// KL, log-ratio and entropy of every completion, per-step sums in f64.
pub fn divergences(
    policy: &Decoder,
    reference: &Decoder,
    sequences: &[Sequence<'_>],
    device: &Device,
    progress: impl FnMut(usize),
) -> Vec<Divergence> {
    in_chunks(sequences, progress, |chunk| {
        let batch = Padded::new(chunk, false, device);
        let (p, q) = (batch.distributions(policy), batch.distributions(reference));
        let targets: Tensor<2, Int> = batch.targets.clone().unsqueeze_dim(1);
        let at_targets = |of: &Tensor<2>| of.clone().gather(1, targets.clone());
        let probabilities = p.clone().exp();
        let columns = [
            (probabilities.clone() * (p.clone() - q.clone())).sum_dim(1),
            at_targets(&p) - at_targets(&q),
            (probabilities * p).sum_dim(1).neg(),
        ];
        let sums = columns.map(|column| row_sums(&column.reshape([batch.rows, batch.longest]), &batch.mask));
        (0..batch.rows).map(|row| Divergence { kl: sums[0][row], log_ratio: sums[1][row], entropy: sums[2][row] }).collect()
    })
}

/// Sums of each row's unmasked entries, in f64.
fn row_sums(values: &Tensor<2>, mask: &Tensor<2>) -> Vec<f64> {
    let [_, columns] = values.dims();
    let (values, mask) = (values.to_data(), mask.to_data());
    let products: Vec<f64> =
        values.iter::<f32>().zip(mask.iter::<f32>()).map(|(v, m)| if m > 0.0 { f64::from(v) } else { 0.0 }).collect();
    products.chunks(columns.max(1)).map(|row| row.iter().sum()).collect()
}

fn in_chunks<T: Clone + Default>(
    sequences: &[Sequence<'_>],
    mut progress: impl FnMut(usize),
    mut run: impl FnMut(&[Sequence<'_>]) -> Vec<T>,
) -> Vec<T> {
    let mut order: Vec<usize> = (0..sequences.len()).collect();
    order.sort_by_key(|index| sequences[*index].len());
    let mut results = vec![T::default(); sequences.len()];
    let mut done = 0;
    for chunk in order.chunks(INFERENCE_ROWS) {
        let batch: Vec<Sequence<'_>> = chunk.iter().map(|index| sequences[*index]).collect();
        for (index, result) in chunk.iter().zip(run(&batch)) {
            results[*index] = result;
        }
        done += chunk.len();
        progress(done);
    }
    results
}
