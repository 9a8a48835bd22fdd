//! The output head, and log-probs of given tokens under it.
//!
//! The kernel makes logits for some rows at a time and keeps one log-sum-exp a row; the backward makes them again. With
//! g the gradient of a log-prob, that of its logits is g (onehot(token) - softmax(logits)).

use super::kernel::{Kernel, contiguous, floats, for_chunk_pairs, for_chunks, is_on_cpu, new, record, sizes, worth_threads};
use super::product::{Matrix, add_product, set_product};
use super::simd::{LANES, exp, greatest, padded, sum, vectorised};
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Int, Tensor, TensorData, activation::log_softmax};

/// Logits `[rows, vocabulary]` of hidden states `[rows, width]` under an embedding matrix `[vocabulary, width]`.
pub fn head_logits(hidden: Tensor<2>, embedding: Tensor<2>) -> Tensor<2> {
    hidden.matmul(embedding.transpose())
}

/// A token, and the row of the hidden states that predicts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prediction {
    /// Row of the hidden states.
    pub row: usize,
    /// The token that follows.
    pub token: u32,
}

/// log p of each predicted token, `[predictions]`, for hidden states `[rows, width]` and an embedding matrix `[vocabulary, width]`.
/// On the CPU `[predictions, vocabulary]` is never held whole. No row may be used twice.
pub fn token_log_probs(hidden: Tensor<2>, embedding: Tensor<2>, predictions: &[Prediction]) -> Tensor<1> {
    if !is_on_cpu(&hidden) {
        return token_log_probs_plain(hidden, embedding, predictions);
    }
    let (hidden, embedding) = (hidden.into_dispatch(), embedding.into_dispatch());
    Tensor::from_dispatch(Dispatch::fused_token_log_probs(hidden, embedding, predictions.to_vec()))
}

/// [`token_log_probs`] of Burn's own operations.
pub(crate) fn token_log_probs_plain(hidden: Tensor<2>, embedding: Tensor<2>, predictions: &[Prediction]) -> Tensor<1> {
    let indices = |index: fn(&Prediction) -> i32| -> Tensor<1, Int> {
        let values: Vec<i32> = predictions.iter().map(index).collect();
        Tensor::from_data(TensorData::new(values, [predictions.len()]), &hidden.device())
    };
    let (rows, tokens) = (indices(|one| one.row as i32), indices(|one| one.token as i32));
    let log_probs = log_softmax(head_logits(hidden.select(0, rows), embedding), 1);
    log_probs.gather(1, tokens.unsqueeze_dim(1)).squeeze_dim(1)
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

/// Logits made at once: 512 KiB, which stay in a core's cache.
const AT_ONCE: usize = 1 << 17;
/// Rows that a thread takes at once.
const CHUNK: usize = 16;
/// Elementary operations a logit.
const COST: usize = 12;

/// Rows whose logits are made at once; at least 64, so that products stay worth their preparation.
fn rows_at_once(vocabulary: usize) -> usize {
    (AT_ONCE / vocabulary.max(1)).clamp(64, 512)
}

impl Kernel<2> for TokenLogProbs {
    /// Hidden states, embedding, log-sum-exp of every row.
    type Saved = (FlexTensor, FlexTensor, Vec<f32>);

    fn forward(&self, inputs: [FlexTensor; 2]) -> (FlexTensor, Self::Saved) {
        let [hidden, embedding] = inputs.map(contiguous);
        let [vocabulary, width] = sizes(&embedding);
        let head = Matrix::new(floats(&embedding), vocabulary, width).transposed();
        let count = self.predictions.len();
        let (mut log_probs, mut log_sums) = (vec![0.0; count], vec![0.0; count]);
        let some = rows_at_once(vocabulary).min(count).max(1);
        let mut buffers = Buffers::new(some, width, vocabulary);
        let outputs = log_probs.chunks_mut(some).zip(log_sums.chunks_mut(some));
        for (predictions, (log_probs, log_sums)) in self.predictions.chunks(some).zip(outputs) {
            let (states, logits) = buffers.states(floats(&hidden), predictions.iter().map(|one| one.row));
            set_product(logits, states, head);
            let logits = &*logits;
            for_chunk_pairs(
                worth_threads(COST * logits.len()),
                (log_probs, CHUNK),
                (log_sums, CHUNK),
                |index, log_probs, log_sums| {
                    let rows = logits[index * CHUNK * vocabulary..].chunks_exact(vocabulary).zip(&predictions[index * CHUNK..]);
                    for ((logits, one), (log_prob, log_sum)) in rows.zip(log_probs.iter_mut().zip(log_sums)) {
                        *log_sum = log_sum_exp(logits);
                        *log_prob = logits[one.token as usize] - *log_sum;
                    }
                },
            );
        }
        (new(log_probs, [count]), (hidden, embedding, log_sums))
    }

    fn backward(
        &self,
        (hidden, embedding, log_sums): Self::Saved,
        gradient: FlexTensor,
        _: [bool; 2],
    ) -> [Option<FlexTensor>; 2] {
        let gradient = contiguous(gradient);
        let gradient = floats(&gradient);
        let ([rows, width], [vocabulary, _]) = (sizes(&hidden), sizes(&embedding));
        let head = Matrix::new(floats(&embedding), vocabulary, width);
        let (mut to_hidden, mut to_embedding) = (vec![0.0; rows * width], vec![0.0; vocabulary * width]);
        // A method that has no use for the rejected completions gives them no gradient.
        let used: Vec<usize> = (0..gradient.len()).filter(|&index| gradient[index] != 0.0).collect();
        let some = rows_at_once(vocabulary).min(used.len()).max(1);
        let (mut buffers, mut to_states) = (Buffers::new(some, width, vocabulary), vec![0.0; some * width]);
        for used in used.chunks(some) {
            let row = |index: &usize| self.predictions[*index].row;
            let (states, logits) = buffers.states(floats(&hidden), used.iter().map(row));
            set_product(logits, states, head.transposed());
            for_chunks(worth_threads(COST * logits.len()), (&mut *logits, CHUNK * vocabulary), |index, logits| {
                for (logits, &index) in logits.chunks_exact_mut(vocabulary).zip(&used[index * CHUNK..]) {
                    slopes(logits, log_sums[index], gradient[index]);
                    logits[self.predictions[index].token as usize] += gradient[index];
                }
            });
            let slopes = Matrix::new(logits, used.len(), vocabulary);
            let to_states = &mut to_states[..used.len() * width];
            set_product(to_states, slopes, head);
            for (state, row) in to_states.chunks_exact(width).zip(used.iter().map(row)) {
                to_hidden[row * width..][..width].copy_from_slice(state);
            }
            add_product(&mut to_embedding, slopes.transposed(), states);
        }
        [Some(new(to_hidden, [rows, width])), Some(new(to_embedding, [vocabulary, width]))]
    }
}

/// Room for some rows of hidden states and their logits.
struct Buffers {
    states: Vec<f32>,
    logits: Vec<f32>,
    width: usize,
    vocabulary: usize,
}

impl Buffers {
    fn new(rows: usize, width: usize, vocabulary: usize) -> Self {
        Buffers { states: vec![0.0; rows * width], logits: vec![0.0; rows * vocabulary], width, vocabulary }
    }

    /// These rows of the hidden states one after another, and room for their logits.
    fn states(&mut self, hidden: &[f32], rows: impl ExactSizeIterator<Item = usize>) -> (Matrix<'_>, &mut [f32]) {
        let (count, width) = (rows.len(), self.width);
        for (state, row) in self.states.chunks_exact_mut(width).zip(rows) {
            state.copy_from_slice(&hidden[row * width..][..width]);
        }
        (Matrix::new(&self.states[..count * width], count, width), &mut self.logits[..count * self.vocabulary])
    }
}

vectorised! {
    /// log of the sum of e^x.
    fn log_sum_exp(row: &[f32]) -> f32 {
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
        for sizes in [[1, 1, 1], [3, 5, 7], [130, 16, 50], [70, 9, 2049], [600, 64, 300]] {
            let [rows, width, vocabulary] = sizes;
            let case = Case::new(&[&[rows, width], &[vocabulary, width]], 0.7);
            case.agrees(run(token_log_probs, sizes), run(token_log_probs_plain, sizes));
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
