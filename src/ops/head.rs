//! The output head, and log-probs of given tokens under it.
//!
//! The kernel makes logits for some rows and words at a time and keeps one log-sum-exp a row; the backward makes them again, unless they are few.
//! With g the gradient of a log-prob, that of its logits is g (onehot(token) - softmax(logits)). A part of the vocabulary has
//! its own rows of the embedding's gradient, and every embedding is read once for all rows.

use super::formula::{self, Formula, Operand, kept, operand, tensor};
use super::kernel::{
    Kernel, contiguous, floats, for_chunk_pairs, for_each, is_on_cpu, new, record, sizes, widened, worth_threads,
};
use super::product::{Matrix, add_product, product_into};
use super::simd::{LANES, exp, greatest, padded, sum, vectorised};
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::activation::{log_softmax, softmax};
use burn::tensor::{Device, IndexingUpdateOp, Int, Tensor, TensorData};
use std::sync::Arc;

/// Logits `[rows, vocabulary]` of hidden states `[rows, width]` under an embedding matrix `[vocabulary, width]`, computed in what the
/// matrix is in, and then at least in f32.
pub fn head_logits(hidden: Tensor<2>, embedding: Tensor<2>) -> Tensor<2> {
    widened(hidden.cast(embedding.dtype()).matmul(embedding.transpose()))
}

/// Predictions whose logits are held at once, on every device without a kernel.
pub const HELD: usize = 1024;

/// A token, and the row of the hidden states that predicts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prediction {
    /// Row of the hidden states.
    pub row: usize,
    /// The token that follows.
    pub token: u32,
}

/// log p of each predicted token, `[predictions]`, for hidden states `[rows, width]` and an embedding matrix `[vocabulary, width]`.
/// `[predictions, vocabulary]` is never held whole. A row may predict several tokens.
pub fn token_log_probs(hidden: Tensor<2>, embedding: Tensor<2>, predictions: &[Prediction]) -> Tensor<1> {
    if !is_on_cpu(&hidden) || !is_on_cpu(&embedding) {
        return formula::of_two(TokenLogProbs { predictions: predictions.to_vec() }, hidden, embedding);
    }
    let (hidden, embedding) = (hidden.into_dispatch(), embedding.into_dispatch());
    Tensor::from_dispatch(Dispatch::fused_token_log_probs(hidden, embedding, predictions.to_vec()))
}

/// [`token_log_probs`] of Burn's own operations.
pub(crate) fn token_log_probs_plain(hidden: Tensor<2>, embedding: Tensor<2>, predictions: &[Prediction]) -> Tensor<1> {
    let [rows, tokens] = rows_and_tokens(predictions, &hidden.device());
    let log_probs = log_softmax(head_logits(hidden.select(0, rows), embedding), 1);
    log_probs.gather(1, tokens.unsqueeze_dim(1)).squeeze_dim(1)
}

/// Where predictions read, and what.
fn rows_and_tokens(predictions: &[Prediction], device: &Device) -> [Tensor<1, Int>; 2] {
    let indices = |index: fn(&Prediction) -> i32| {
        let values: Vec<i32> = predictions.iter().map(index).collect();
        Tensor::from_data(TensorData::new(values, [predictions.len()]), device)
    };
    [indices(|one| one.row as i32), indices(|one| one.token as i32)]
}

/// What `of` makes of [`HELD`] predictions at a time, one after another.
pub(super) fn in_parts<const D: usize>(predictions: &[Prediction], of: impl Fn(&[Prediction]) -> Tensor<D>) -> Tensor<D> {
    if predictions.len() <= HELD {
        return of(predictions);
    }
    Tensor::cat(predictions.chunks(HELD).map(of).collect(), 0)
}

/// Head, log-softmax and choice of tokens as one operation.
#[backend_extension(Autodiff, Flex)]
pub(crate) trait FusedHead: Backend {
    fn fused_token_log_probs(
        hidden: FloatTensor<Self>,
        embedding: FloatTensor<Self>,
        predictions: Vec<Prediction>,
    ) -> FloatTensor<Self>;
}

impl FusedHead for Flex {
    fn fused_token_log_probs(hidden: FlexTensor, embedding: FlexTensor, predictions: Vec<Prediction>) -> FlexTensor {
        TokenLogProbs { predictions }.forward([hidden, embedding]).0
    }
}

impl<C: CheckpointStrategy> FusedHead for Autodiff<Flex, C> {
    fn fused_token_log_probs(
        hidden: FloatTensor<Self>,
        embedding: FloatTensor<Self>,
        predictions: Vec<Prediction>,
    ) -> FloatTensor<Self> {
        record::<C, _, _>(TokenLogProbs { predictions }, [hidden, embedding])
    }
}

#[derive(Debug)]
struct TokenLogProbs {
    predictions: Vec<Prediction>,
}

impl Formula<2> for TokenLogProbs {
    fn value(&self, [hidden, embedding]: [Operand; 2]) -> Operand {
        let (hidden, embedding) = (tensor::<2>(hidden), tensor::<2>(embedding));
        operand(in_parts(&self.predictions, |some| token_log_probs_plain(hidden.clone(), embedding.clone(), some)))
    }

    fn derivative(&self, inputs: Vec<Operand>, gradient: Operand, wanted: [bool; 2]) -> [Option<Operand>; 2] {
        let [hidden, embedding] = kept(inputs);
        let (hidden, embedding, gradient) = (tensor::<2>(hidden), tensor::<2>(embedding), tensor::<1>(gradient));
        let (device, computed) = (hidden.device(), embedding.dtype());
        let [vocabulary, _] = embedding.dims();
        let words: Tensor<2, Int> = Tensor::arange(0..vocabulary as i64, &device).unsqueeze();
        let mut to_hidden = hidden.zeros_like();
        // Summed in what the hidden states are in, which may have more digits.
        let mut to_embedding: Option<Tensor<2>> = None;
        for (index, some) in self.predictions.chunks(HELD).enumerate() {
            let [rows, tokens] = rows_and_tokens(some, &device);
            let states = hidden.clone().select(0, rows.clone());
            let shares = softmax(head_logits(states.clone(), embedding.clone()), 1);
            let own =
                gradient.clone().slice_dim(0, index * HELD..index * HELD + some.len()).unsqueeze_dim::<2>(1).cast(shares.dtype());
            let is_token = words.clone().equal(tokens.unsqueeze_dim::<2>(1)).float().cast(shares.dtype());
            let slopes = ((is_token - shares) * own).cast(computed);
            if wanted[1] {
                let more = slopes.clone().transpose().matmul(states.cast(computed)).cast(hidden.dtype());
                to_embedding = Some(to_embedding.map_or(more.clone(), |sum| sum + more));
            }
            let to_states = slopes.matmul(embedding.clone()).cast(hidden.dtype());
            to_hidden = to_hidden.select_assign(0, rows, to_states, IndexingUpdateOp::Add);
        }
        let to_embedding = wanted[1].then(|| to_embedding.unwrap_or_else(|| embedding.zeros_like()).cast(computed));
        [Some(operand(to_hidden)), to_embedding.map(operand)]
    }
}

/// Words of the vocabulary whose logits are made at once.
const WORDS: usize = 512;
/// Rows whose logits are made at once: with [`WORDS`] a mebibyte.
const ROWS: usize = 512;
/// Logits that are kept for the backward, at most: making these 4 MiB again would cost a small model more than they do.
const KEPT: usize = 1 << 20;
/// Parts of the vocabulary whose shares of the hidden states' gradient are summed on their own.
const PARTS: usize = 8;
/// Elementary operations of a multiplication in a product, or so, as [`worth_threads`] counts.
const COST: f32 = 0.125;

fn operations(rows: usize, vocabulary: usize, width: usize) -> usize {
    ((rows * vocabulary * width) as f32 * COST) as usize
}

impl Kernel<2> for TokenLogProbs {
    const NAME: &'static str = "head and log-probs";

    /// Hidden states, embedding, log-sum-exp of every row, and each group's logits where they are few.
    type Saved = (FlexTensor, FlexTensor, Vec<f32>, Arc<Vec<Vec<f32>>>);

    fn forward(&self, inputs: [FlexTensor; 2]) -> (FlexTensor, Self::Saved) {
        let [hidden, embedding] = inputs.map(contiguous);
        let [vocabulary, width] = sizes(&embedding);
        let count = self.predictions.len();
        let mut states = Vec::new();
        let states = gather(&mut states, floats(&hidden), width, self.predictions.iter().map(|one| one.row));
        // Of each group of words every row's log-sum-exp, then its token's logit if that is in the group.
        let groups = vocabulary.div_ceil(WORDS);
        let mut found = vec![0.0; groups * 2 * count];
        let mut kept = vec![Vec::new(); if count * vocabulary <= KEPT { groups } else { 0 }];
        let mut all_kept = kept.iter_mut();
        let mut outputs: Vec<_> =
            found.chunks_mut((2 * count).max(1)).enumerate().map(|(group, found)| (group, found, all_kept.next())).collect();
        for_each(worth_threads(operations(count, vocabulary, width)), &mut outputs, |(group, found, kept)| {
            let mut logits = Vec::new();
            let words = &floats(&embedding)[*group * WORDS * width..];
            let words = &words[..words.len().min(WORDS * width)];
            let size = words.len() / width;
            let (log_sums, chosen) = found.split_at_mut(count);
            let rows = self.predictions.chunks(ROWS).zip(log_sums.chunks_mut(ROWS).zip(chosen.chunks_mut(ROWS)));
            for (block, (predictions, (log_sums, chosen))) in rows.enumerate() {
                let states = states.rows(block * ROWS, block * ROWS + predictions.len());
                product_into(&mut logits, states, Matrix::new(words, size, width).transposed());
                let rows = logits.chunks_exact(size).zip(predictions);
                for ((logits, one), (log_sum, chosen)) in rows.zip(log_sums.iter_mut().zip(chosen)) {
                    *log_sum = log_sum_exp(logits);
                    let word = (one.token as usize).checked_sub(*group * WORDS).and_then(|word| logits.get(word));
                    *chosen = word.copied().unwrap_or(0.0);
                }
                if let Some(kept) = kept {
                    kept.extend_from_slice(&logits);
                }
            }
        });
        let mut row = vec![0.0; vocabulary.div_ceil(WORDS)];
        let (mut log_probs, mut log_sums) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for (index, one) in self.predictions.iter().enumerate() {
            for (part, found) in row.iter_mut().zip(found.chunks_exact(2 * count)) {
                *part = found[index];
            }
            let log_sum = log_sum_exp(&row);
            log_probs.push(found[one.token as usize / WORDS * 2 * count + count + index] - log_sum);
            log_sums.push(log_sum);
        }
        (new(log_probs, [count]), (hidden, embedding, log_sums, Arc::new(kept)))
    }

    fn backward(
        &self,
        (hidden, embedding, log_sums, kept): Self::Saved,
        gradient: FlexTensor,
        wanted: [bool; 2],
    ) -> [Option<FlexTensor>; 2] {
        let gradient = contiguous(gradient);
        let gradient = floats(&gradient);
        let ([rows, width], [vocabulary, _]) = (sizes(&hidden), sizes(&embedding));
        let (mut to_hidden, mut to_embedding) = (vec![0.0; rows * width], vec![0.0; vocabulary * width]);
        // A method that has no use for the rejected completions gives them no gradient.
        let used: Vec<usize> = (0..gradient.len()).filter(|&index| gradient[index] != 0.0).collect();
        let row = |index: &usize| self.predictions[*index].row;
        let groups_of_part = vocabulary.div_ceil(WORDS).div_ceil(PARTS);
        let (mut states, mut shares) = (Vec::new(), Vec::new());
        for used in used.chunks(ROWS) {
            let states = gather(&mut states, floats(&hidden), width, used.iter().map(row));
            shares.clear();
            shares.resize(vocabulary.div_ceil(groups_of_part * WORDS) * used.len() * width, 0.0);
            for_chunk_pairs(
                worth_threads(2 * operations(used.len(), vocabulary, width)),
                (&mut to_embedding, groups_of_part * WORDS * width),
                (&mut shares, used.len() * width),
                |part, to_embedding, share| {
                    let mut logits = Vec::new();
                    for (group, to_words) in to_embedding.chunks_mut(WORDS * width).enumerate() {
                        let first = (part * groups_of_part + group) * WORDS;
                        let size = to_words.len() / width;
                        let words = Matrix::new(&floats(&embedding)[first * width..][..to_words.len()], size, width);
                        if let Some(kept) = kept.get(first / WORDS) {
                            logits.clear();
                            for &index in used {
                                logits.extend_from_slice(&kept[index * size..][..size]);
                            }
                        } else {
                            product_into(&mut logits, states, words.transposed());
                        }
                        for (logits, &index) in logits.chunks_exact_mut(size).zip(used) {
                            slopes(logits, log_sums[index], gradient[index]);
                            let word = (self.predictions[index].token as usize).checked_sub(first);
                            if let Some(logit) = word.and_then(|word| logits.get_mut(word)) {
                                *logit += gradient[index];
                            }
                        }
                        let slopes = Matrix::new(&logits, used.len(), size);
                        add_product(share, slopes, words);
                        if wanted[1] {
                            add_product(to_words, slopes.transposed(), states);
                        }
                    }
                },
            );
            for share in shares.chunks_exact(used.len() * width) {
                for (share, row) in share.chunks_exact(width).zip(used.iter().map(row)) {
                    for (sum, share) in to_hidden[row * width..].iter_mut().zip(share) {
                        *sum += share;
                    }
                }
            }
        }
        [Some(new(to_hidden, [rows, width])), wanted[1].then(|| new(to_embedding, [vocabulary, width]))]
    }
}

/// These rows of the hidden states one after another.
pub(super) fn gather<'a>(
    states: &'a mut Vec<f32>,
    hidden: &[f32],
    width: usize,
    rows: impl ExactSizeIterator<Item = usize>,
) -> Matrix<'a> {
    let count = rows.len();
    states.clear();
    for row in rows {
        states.extend_from_slice(&hidden[row * width..][..width]);
    }
    Matrix::new(states, count, width)
}

vectorised! {
    /// log of the sum of e^x.
    pub(super) fn log_sum_exp(row: &[f32]) -> f32 {
        let (chunks, tail) = row.as_chunks::<LANES>();
        let tail = padded(tail, f32::NEG_INFINITY);
        let mut most = tail;
        for chunk in chunks {
            for lane in 0..LANES {
                most[lane] = if chunk[lane] > most[lane] { chunk[lane] } else { most[lane] };
            }
        }
        let most = greatest(most);
        let mut sums = [0.0; LANES];
        for chunk in chunks.iter().chain(std::slice::from_ref(&tail)) {
            for lane in 0..LANES {
                sums[lane] += exp::<FMA>(chunk[lane] - most);
            }
        }
        most + sum(sums).ln()
    }
}

vectorised! {
    /// Replaces logits by -gradient softmax(logits).
    fn slopes(row: &mut [f32], log_sum: f32, gradient: f32) {
        for logit in row {
            *logit = -gradient * exp::<FMA>(*logit - log_sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Case;
    use super::*;

    type Op = fn(Tensor<2>, Tensor<2>, &[Prediction]) -> Tensor<1>;

    /// Some of the rows, in an order of their own.
    fn predictions(rows: usize, vocabulary: usize) -> Vec<Prediction> {
        let token = |row: usize| (row * 7 % vocabulary) as u32;
        (0..rows).rev().filter(|row| rows < 4 || row % 4 != 1).map(|row| Prediction { row, token: token(row) }).collect()
    }

    fn run(op: Op, [rows, width, vocabulary]: [usize; 3]) -> impl Fn(&[Tensor<1>]) -> Tensor<1> {
        let predictions = predictions(rows, vocabulary);
        move |x| op(x[0].clone().reshape([rows, width]), x[1].clone().reshape([vocabulary, width]), &predictions)
    }

    #[test]
    fn fused_is_plain() {
        for sizes in
            [[1, 1, 1], [3, 5, 7], [130, 16, 50], [70, 9, 2049], [600, 64, 300], [20, 3, 9001], [600, 5, 2100], [2900, 3, 11]]
        {
            let [rows, width, vocabulary] = sizes;
            let case = Case::new(&[&[rows, width], &[vocabulary, width]], 0.7);
            case.agrees(run(token_log_probs, sizes), run(token_log_probs_plain, sizes));
            // Nearly even distributions, and nearly certain ones.
            for scale in [1e-3, 4.0] {
                let case = Case::new(&[&[rows, width], &[vocabulary, width]], scale);
                case.agrees_in_scale(run(token_log_probs, sizes), run(token_log_probs_plain, sizes));
            }
            case.ignores_threads(run(token_log_probs, sizes));
            if rows == 3 {
                case.differentiates(run(token_log_probs, sizes));
            }
        }
    }

    #[test]
    fn predictions_without_gradient_cost_nothing_and_change_nothing() {
        let sizes @ [rows, width, vocabulary] = [150, 4, 9];
        let case = Case::new(&[&[rows, width], &[vocabulary, width]], 0.7);
        let some_of = |op: Op| {
            let run = run(op, sizes);
            move |x: &[Tensor<1>]| {
                let log_probs = run(x);
                let [count] = log_probs.dims();
                let kept: Vec<f32> = (0..count).map(|index| if index % 3 == 0 { 1.0 } else { 0.0 }).collect();
                log_probs * Tensor::from_data(TensorData::new(kept, [count]), &x[0].device())
            }
        };
        case.agrees(some_of(token_log_probs), some_of(token_log_probs_plain));
    }
}
