//! How two heads' distributions over the vocabulary differ at predicted tokens, for evaluation: no gradients.

use super::head::{Prediction, gather, head_logits, in_parts, log_sum_exp};
use super::kernel::{contiguous, floats, for_chunks, is_on_cpu, new, sizes, worth_threads};
use super::product::{Matrix, product_into};
use super::simd::{LANES, exp, multiply_add, padded, sum, vectorised};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Int, Tensor, TensorData, activation::log_softmax};

/// For each prediction KL(p || q) in nats, log p - log q of its token, and p's entropy in nats, `[predictions, 3]`. A side is
/// hidden states `[rows, width]` and an embedding matrix `[vocabulary, width]`.
/// `[predictions, vocabulary]` is never held whole.
pub fn divergence(p: [Tensor<2>; 2], q: [Tensor<2>; 2], predictions: &[Prediction]) -> Tensor<2> {
    if !is_on_cpu(&p[0]) || p[0].device().is_autodiff() {
        return in_parts(predictions, |some| divergence_plain(p.clone(), q.clone(), some));
    }
    let ([p, p_words], [q, q_words]) = (p.map(Tensor::into_dispatch), q.map(Tensor::into_dispatch));
    Tensor::from_dispatch(Dispatch::fused_divergence(p, p_words, q, q_words, predictions.to_vec()))
}

/// [`divergence`] of Burn's own operations.
pub(crate) fn divergence_plain(p: [Tensor<2>; 2], q: [Tensor<2>; 2], predictions: &[Prediction]) -> Tensor<2> {
    let indices = |index: fn(&Prediction) -> i32| -> Tensor<1, Int> {
        let values: Vec<i32> = predictions.iter().map(index).collect();
        Tensor::from_data(TensorData::new(values, [predictions.len()]), &p[0].device())
    };
    let (rows, tokens) = (indices(|one| one.row as i32), indices(|one| one.token as i32).unsqueeze_dim::<2>(1));
    let [p, q] = [p.clone(), q].map(|[hidden, words]| log_softmax(head_logits(hidden.select(0, rows.clone()), words), 1));
    let chosen = |of: &Tensor<2>| of.clone().gather(1, tokens.clone());
    let ratio = chosen(&p) - chosen(&q);
    let shares = p.clone().exp();
    let kl = (shares.clone() * (p.clone() - q)).sum_dim(1);
    Tensor::cat(vec![kl, ratio, (shares * p).sum_dim(1).neg()], 1)
}

/// The comparison as one operation.
#[backend_extension(Flex)]
pub(crate) trait FusedDivergence: Backend {
    fn fused_divergence(
        p: FloatTensor<Self>,
        p_words: FloatTensor<Self>,
        q: FloatTensor<Self>,
        q_words: FloatTensor<Self>,
        predictions: Vec<Prediction>,
    ) -> FloatTensor<Self>;
}

/// Rows that a thread takes at once.
const ROWS: usize = 32;

impl FusedDivergence for Flex {
    fn fused_divergence(
        p: FlexTensor,
        p_words: FlexTensor,
        q: FlexTensor,
        q_words: FlexTensor,
        predictions: Vec<Prediction>,
    ) -> FlexTensor {
        let [p, p_words, q, q_words] = [p, p_words, q, q_words].map(contiguous);
        let ([vocabulary, width], [q_vocabulary, _]) = (sizes(&p_words), sizes(&q_words));
        assert_eq!(vocabulary, q_vocabulary, "the two models' vocabularies");
        let mut out = vec![0.0; 3 * predictions.len()];
        let threads = worth_threads(predictions.len() * vocabulary * width / 4);
        for_chunks(threads, (&mut out, 3 * ROWS), |index, out| {
            let predictions = &predictions[index * ROWS..][..out.len() / 3];
            let mut states = Vec::new();
            let mut logits = |hidden: &FlexTensor, words: &FlexTensor| {
                let [vocabulary, width] = sizes(words);
                let states = gather(&mut states, floats(hidden), width, predictions.iter().map(|one| one.row));
                let mut logits = Vec::new();
                product_into(&mut logits, states, Matrix::new(floats(words), vocabulary, width).transposed());
                logits
            };
            let (p, q) = (logits(&p, &p_words), logits(&q, &q_words));
            let rows = p.chunks_exact(vocabulary).zip(q.chunks_exact(vocabulary));
            for (((p, q), one), out) in rows.zip(predictions).zip(out.as_chunks_mut::<3>().0) {
                let (p_log_sum, q_log_sum) = (log_sum_exp(p), log_sum_exp(q));
                let token = one.token as usize;
                let [kl, negative_entropy] = expectations(p, q, p_log_sum, q_log_sum);
                *out = [kl, (p[token] - p_log_sum) - (q[token] - q_log_sum), -negative_entropy];
            }
        });
        new(out, [predictions.len(), 3])
    }
}

vectorised! {
    /// The means of log p - log q and of log p under p, for logits with these log-sum-exps.
    fn expectations(p: &[f32], q: &[f32], p_log_sum: f32, q_log_sum: f32) -> [f32; 2] {
        let ((p, p_tail), (q, q_tail)) = (p.as_chunks::<LANES>(), q.as_chunks::<LANES>());
        // Behind the end both logits are as small as can be while their difference stays finite.
        let (p_tail, q_tail) = (padded(p_tail, -1e30), padded(q_tail, -1e30));
        let (mut kl, mut entropy) = ([0.0; LANES], [0.0; LANES]);
        for (p, q) in p.iter().chain([&p_tail]).zip(q.iter().chain([&q_tail])) {
            for lane in 0..LANES {
                let (log_p, log_q) = (p[lane] - p_log_sum, q[lane] - q_log_sum);
                let share = if p[lane] > -1e29 { exp::<FMA>(log_p) } else { 0.0 };
                kl[lane] = multiply_add::<FMA>(share, log_p - log_q, kl[lane]);
                entropy[lane] = multiply_add::<FMA>(share, log_p, entropy[lane]);
            }
        }
        [sum(kl), sum(entropy)]
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::numbers;
    use super::*;
    use burn::tensor::Device;

    fn values(tensor: Tensor<2>) -> Vec<f32> {
        tensor.into_data().iter::<f32>().collect()
    }

    #[test]
    fn fused_is_plain() {
        for [rows, width, vocabulary] in [[1, 1, 2], [5, 3, 17], [70, 16, 300], [40, 9, 2049]] {
            let device = Device::flex();
            let matrix = |rows: usize, seed: u64| -> Tensor<2> {
                Tensor::from_data(TensorData::new(numbers(rows * width, seed), [rows, width]), &device)
            };
            let side = |seed: u64| [matrix(rows, seed), matrix(vocabulary, seed + 1)];
            let predictions: Vec<Prediction> =
                (0..rows).rev().map(|row| Prediction { row, token: (row * 7 % vocabulary) as u32 }).collect();
            let got = values(divergence(side(1), side(3), &predictions));
            let wanted = values(divergence_plain(side(1), side(3), &predictions));
            assert_eq!(got.len(), 3 * rows);
            for (got, wanted) in got.iter().zip(&wanted) {
                assert!((got - wanted).abs() < 2e-5 * wanted.abs().max(1.0), "{got} is not {wanted}");
            }
            let same = values(divergence(side(1), side(1), &predictions));
            assert!(same.chunks(3).all(|row| row[0].abs() < 1e-6 && row[1] == 0.0), "{same:?}");
        }
    }
}
