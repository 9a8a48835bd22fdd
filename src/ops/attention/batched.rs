//! Attention of runs of sequences of one length, of Burn's own operations.
//!
//! The forward is Burn's, which holds no weights. The backward makes them again, for some sequences at a time, so that all that grows
//! with the square of a length are five products, which a GPU's tensor cores take.

use super::super::formula::{self, Formula, Operand, kept, operand, tensor};
use super::super::kernel::widened;
use super::family::Run;
use super::{Heads, joined, some_rows, split_heads};
use burn::tensor::{Bool, Tensor, activation::softmax, module, ops::AttentionModuleOptions};

/// Bytes of a matrix of weights, at most, unless one sequence has more.
const HELD: usize = 256 << 20;

/// Causal attention for `[tokens, (queries + 2 keys) head]` of these sequences, with a backward of its own.
pub(super) fn attention(qkv: Tensor<2>, runs: Vec<Run>, heads: Heads) -> Tensor<2> {
    formula::of_one(Batched { runs, heads }, qkv)
}

/// [`attention`] with Burn's backward.
pub(super) fn attention_plain(qkv: Tensor<2>, run: Run, heads: Heads) -> Tensor<2> {
    let [rows, packed] = qkv.dims();
    let [queries, keys, values] = split_heads(qkv, run.sequences, run.tokens, heads);
    // Without a mask, for which a GPU's kernel has no backward.
    let options = AttentionModuleOptions { is_causal: true, ..AttentionModuleOptions::default() };
    let mixed = module::attention(queries, keys, values, None, None, options);
    mixed.swap_dims(1, 2).reshape([rows, heads.queries * heads.head(packed)])
}

#[derive(Debug)]
struct Batched {
    runs: Vec<Run>,
    heads: Heads,
}

impl Formula<1> for Batched {
    fn value(&self, [qkv]: [Operand; 1]) -> Operand {
        let qkv = tensor::<2>(qkv);
        let mut first = 0;
        let parts = self.runs.iter().map(|run| {
            first += run.rows();
            attention_plain(some_rows(&qkv, first - run.rows(), run.rows()), *run, self.heads)
        });
        operand(joined(parts.collect()))
    }

    fn derivative(&self, inputs: Vec<Operand>, gradient: Operand, _: [bool; 1]) -> [Option<Operand>; 1] {
        let [qkv] = kept(inputs);
        let (qkv, gradient) = (tensor::<2>(qkv), tensor::<2>(gradient));
        let (mut parts, mut first) = (Vec::new(), 0);
        for run in &self.runs {
            let Run { sequences, tokens } = *run;
            // What a query must not see, once for every query that a key serves.
            let group = self.heads.queries / self.heads.keys;
            let hidden = Tensor::<2, Bool>::tril_mask([tokens, tokens], 0, &qkv.device());
            let hidden: Tensor<4, Bool> = hidden.repeat_dim(0, group).unsqueeze();
            let at_once = (HELD / (4 * self.heads.queries * tokens * tokens).max(1)).clamp(1, sequences.max(1));
            for done in (0..sequences).step_by(at_once) {
                let part = Run { sequences: at_once.min(sequences - done), tokens };
                let rows = |all: &Tensor<2>| some_rows(all, first + done * tokens, part.rows());
                parts.push(self.slopes(rows(&qkv), rows(&gradient), hidden.clone(), part));
            }
            first += run.rows();
        }
        [Some(operand(joined(parts)))]
    }
}

impl Batched {
    /// The gradient of some sequences' packed rows: with P = softmax(S), S = Q K^T / sqrt(head) where a query may look, and g the
    /// gradient of P V, dV = P^T g, dS = P (g V^T - rowsum(P g V^T)), dQ = dS K, dK = dS^T Q.
    fn slopes(&self, qkv: Tensor<2>, gradient: Tensor<2>, hidden: Tensor<4, Bool>, run: Run) -> Tensor<2> {
        let ([rows, packed], computed) = (qkv.dims(), qkv.dtype());
        let Run { sequences, tokens } = run;
        let (head, keys_heads) = (self.heads.head(packed), self.heads.keys);
        // Rows of all queries that share a key, one after another.
        let grouped = |of_queries: Tensor<4>| {
            let count = self.heads.queries / keys_heads * tokens;
            of_queries.reshape([sequences, keys_heads, count, head])
        };
        let [queries, keys, values] = split_heads(qkv, sequences, tokens, self.heads);
        let queries = grouped(queries);
        let gradient: Tensor<4> = gradient.reshape([sequences, tokens, self.heads.queries, head]).swap_dims(1, 2);
        let gradient = grouped(gradient);
        let scale = (head as f64).powf(-0.5);
        let scores = widened(queries.clone().matmul(keys.clone().transpose())).mul_scalar(scale);
        let weights = softmax(scores.mask_fill(hidden, f32::NEG_INFINITY), 3);
        let to_values = weights.clone().cast(computed).transpose().matmul(gradient.clone());
        let to_weights = widened(gradient.matmul(values.transpose()));
        let along = (weights.clone() * to_weights.clone()).sum_dim(3);
        let to_scores = (weights * (to_weights - along)).mul_scalar(scale).cast(computed);
        let to_keys = to_scores.clone().transpose().matmul(queries);
        let to_queries = to_scores.matmul(keys).reshape([sequences, self.heads.queries, tokens, head]);
        Tensor::cat(vec![to_queries, to_keys, to_values], 1).swap_dims(1, 2).reshape([rows, packed])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::Case;

    #[test]
    fn its_backward_is_burns() {
        let run = |sequences, tokens| Run { sequences, tokens };
        let several = vec![run(3, 2), run(1, 5), run(2, 9)];
        let one = [(vec![run(1, 1)], [1, 1], 1), (vec![run(3, 7)], [2, 2], 4), (vec![run(2, 33)], [6, 2], 5)];
        for (runs, [queries, keys], head) in one.into_iter().chain([(several, [2, 1], 3)]) {
            let (heads, packed) = (Heads { queries, keys }, (queries + 2 * keys) * head);
            let rows = runs.iter().map(Run::rows).sum::<usize>();
            let own = |x: &[Tensor<1>]| attention(x[0].clone().reshape([rows, packed]), runs.clone(), heads).flatten(0, 1);
            let burns = |x: &[Tensor<1>]| {
                let (qkv, mut first) = (x[0].clone().reshape([rows, packed]), 0);
                let one = |run: &Run| {
                    first += run.rows();
                    attention_plain(qkv.clone().slice_dim(0, first - run.rows()..first), *run, heads)
                };
                joined(runs.iter().map(one).collect()).flatten(0, 1)
            };
            Case::new(&[&[rows, packed]], 1.5).agrees(own, burns);
            Case::new(&[&[rows, packed]], 6.0).agrees_in_scale(own, burns);
        }
    }
}
