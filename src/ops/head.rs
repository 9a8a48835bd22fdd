//! The output head, and log-probs of given tokens under it.
//!
//! The kernel makes logits for some rows at a time and keeps one log-sum-exp a row; the backward makes them again. With
//! g the gradient of a log-prob, that of its logits is g (onehot(token) - softmax(logits)).

use super::kernel::{Kernel, contiguous, floats, for_chunk_pairs, for_chunks, is_on_cpu, new, record, sizes, worth_threads};
use super::product::{Matrix, add_product, set_product};
use super::simd::{LANES, exp, greatest, padded, sum, vectorised};
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Int, Tensor, activation::log_softmax};

/// Logits `[rows, vocabulary]` of hidden states `[rows, width]` under an embedding matrix `[vocabulary, width]`.
pub fn head_logits(hidden: Tensor<2>, embedding: Tensor<2>) -> Tensor<2> {
    hidden.matmul(embedding.transpose())
}

/// log p(token) of each row, `[rows]`, for hidden states `[rows, width]`, an embedding matrix `[vocabulary, width]` and
/// tokens `[rows]`. On the CPU `[rows, vocabulary]` is never held whole.
pub fn token_log_probs(hidden: Tensor<2>, embedding: Tensor<2>, tokens: Tensor<1, Int>) -> Tensor<1> {
    if !is_on_cpu(&hidden) {
        return token_log_probs_plain(hidden, embedding, tokens);
    }
    let (hidden, embedding) = (hidden.into_dispatch(), embedding.into_dispatch());
    Tensor::from_dispatch(Dispatch::fused_token_log_probs(hidden, embedding, tokens.into_dispatch()))
}

/// [`token_log_probs`] of Burn's own operations.
pub(crate) fn token_log_probs_plain(hidden: Tensor<2>, embedding: Tensor<2>, tokens: Tensor<1, Int>) -> Tensor<1> {
    let log_probs = log_softmax(head_logits(hidden, embedding), 1);
    log_probs.gather(1, tokens.unsqueeze_dim(1)).squeeze_dim(1)
}

/// Head, log-softmax and choice of tokens as one operation.
#[backend_extension(Autodiff, Flex)]
pub(crate) trait FusedHead: Backend {
    fn fused_token_log_probs(
        hidden: FloatTensor<Self>,
        embedding: FloatTensor<Self>,
        tokens: IntTensor<Self>,
    ) -> FloatTensor<Self>;
}

impl FusedHead for Flex {
    fn fused_token_log_probs(hidden: FlexTensor, embedding: FlexTensor, tokens: FlexTensor) -> FlexTensor {
        TokenLogProbs::new(tokens).forward([hidden, embedding]).0
    }
}

impl<C: CheckpointStrategy> FusedHead for Autodiff<Flex, C> {
    fn fused_token_log_probs(hidden: FloatTensor<Self>, embedding: FloatTensor<Self>, tokens: FlexTensor) -> FloatTensor<Self> {
        record::<C, _, _>(TokenLogProbs::new(tokens), [hidden, embedding])
    }
}

#[derive(Debug)]
struct TokenLogProbs {
    tokens: Vec<usize>,
}

/// Logits made at once: 512 KiB, which stay in a core's cache.
const AT_ONCE: usize = 1 << 17;
/// Rows that a thread takes at once.
const CHUNK: usize = 16;
/// Elementary operations a logit.
const COST: usize = 12;

impl TokenLogProbs {
    fn new(tokens: FlexTensor) -> Self {
        TokenLogProbs { tokens: tokens.into_data().iter::<i64>().map(|token| token as usize).collect() }
    }
}

/// Rows whose logits are made at once; at least 64, so that products stay worth their preparation.
fn rows_at_once(vocabulary: usize) -> usize {
    (AT_ONCE / vocabulary.max(1)).clamp(64, 512)
}

impl Kernel<2> for TokenLogProbs {
    /// Hidden states, embedding, log-sum-exp of every row.
    type Saved = (FlexTensor, FlexTensor, Vec<f32>);

    fn forward(&self, inputs: [FlexTensor; 2]) -> (FlexTensor, Self::Saved) {
        let [hidden, embedding] = inputs.map(contiguous);
        let ([rows, width], [vocabulary, _]) = (sizes(&hidden), sizes(&embedding));
        assert_eq!(self.tokens.len(), rows, "one token a row");
        let head = Matrix::new(floats(&embedding), vocabulary, width).transposed();
        let (mut log_probs, mut log_sums) = (vec![0.0; rows], vec![0.0; rows]);
        let some = rows_at_once(vocabulary).min(rows);
        let mut logits = vec![0.0; some * vocabulary];
        for first in (0..rows).step_by(some.max(1)) {
            let count = some.min(rows - first);
            let logits = &mut logits[..count * vocabulary];
            set_product(logits, Matrix::new(&floats(&hidden)[first * width..][..count * width], count, width), head);
            let (logits, tokens) = (&*logits, &self.tokens[first..first + count]);
            let out = ((&mut log_probs[first..first + count], CHUNK), (&mut log_sums[first..first + count], CHUNK));
            for_chunk_pairs(worth_threads(COST * logits.len()), out.0, out.1, |index, log_probs, log_sums| {
                let rows = logits[index * CHUNK * vocabulary..].chunks_exact(vocabulary).zip(&tokens[index * CHUNK..]);
                for ((logits, &token), (log_prob, log_sum)) in rows.zip(log_probs.iter_mut().zip(log_sums)) {
                    *log_sum = log_sum_exp(logits);
                    *log_prob = logits[token] - *log_sum;
                }
            });
        }
        (new(log_probs, [rows]), (hidden, embedding, log_sums))
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
        // Padding has no part in the loss, so its gradient is exactly 0.
        let used: Vec<usize> = (0..rows).filter(|&row| gradient[row] != 0.0).collect();
        let some = rows_at_once(vocabulary).min(used.len());
        let (mut logits, mut states, mut to_states) =
            (vec![0.0; some * vocabulary], vec![0.0; some * width], vec![0.0; some * width]);
        for used in used.chunks(some.max(1)) {
            let count = used.len();
            let (logits, states) = (&mut logits[..count * vocabulary], &mut states[..count * width]);
            for (state, &row) in states.chunks_exact_mut(width).zip(used) {
                state.copy_from_slice(&floats(&hidden)[row * width..][..width]);
            }
            let states = Matrix::new(states, count, width);
            set_product(logits, states, head.transposed());
            for_chunks(worth_threads(COST * logits.len()), (&mut *logits, CHUNK * vocabulary), |index, logits| {
                for (logits, &row) in logits.chunks_exact_mut(vocabulary).zip(&used[index * CHUNK..]) {
                    slopes(logits, log_sums[row], gradient[row]);
                    logits[self.tokens[row]] += gradient[row];
                }
            });
            let slopes = Matrix::new(logits, count, vocabulary);
            let to_states = &mut to_states[..count * width];
            set_product(to_states, slopes, head);
            for (state, &row) in to_states.chunks_exact(width).zip(used) {
                to_hidden[row * width..][..width].copy_from_slice(state);
            }
            add_product(&mut to_embedding, slopes.transposed(), states);
        }
        [Some(new(to_hidden, [rows, width])), Some(new(to_embedding, [vocabulary, width]))]
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
    use burn::tensor::{Device, TensorData};

    type Op = fn(Tensor<2>, Tensor<2>, Tensor<1, Int>) -> Tensor<1>;

    fn tokens(rows: usize, vocabulary: usize) -> Tensor<1, Int> {
        let tokens: Vec<i64> = (0..rows).map(|row| (row * 7 % vocabulary) as i64).collect();
        Tensor::from_data(TensorData::new(tokens, [rows]), &Device::flex())
    }

    #[test]
    fn fused_is_plain() {
        for [rows, width, vocabulary] in [[1, 1, 1], [3, 5, 7], [130, 16, 50], [70, 9, 2049], [600, 64, 300]] {
            let case = Case::new(&[&[rows, width], &[vocabulary, width]], 0.7);
            let run = |op: Op| {
                move |x: &[Tensor<1>]| {
                    let tokens = tokens(rows, vocabulary).to_device(&x[0].device());
                    op(x[0].clone().reshape([rows, width]), x[1].clone().reshape([vocabulary, width]), tokens)
                }
            };
            case.agrees(run(token_log_probs), run(token_log_probs_plain));
            case.ignores_threads(run(token_log_probs));
            if rows == 3 {
                case.differentiates(run(token_log_probs));
            }
        }
    }

    #[test]
    fn rows_without_gradient_cost_nothing_and_change_nothing() {
        let [rows, width, vocabulary] = [150, 4, 9];
        let case = Case::new(&[&[rows, width], &[vocabulary, width]], 0.7);
        let run = |op: Op| {
            move |x: &[Tensor<1>]| {
                let tokens = tokens(rows, vocabulary).to_device(&x[0].device());
                let log_probs = op(x[0].clone().reshape([rows, width]), x[1].clone().reshape([vocabulary, width]), tokens);
                let kept: Vec<f32> = (0..rows).map(|row| if row % 3 == 0 { 1.0 } else { 0.0 }).collect();
                log_probs * Tensor::from_data(TensorData::new(kept, [rows]), &x[0].device())
            }
        };
        case.agrees(run(token_log_probs), run(token_log_probs_plain));
    }
}
