//! Attention of sequences of one length, of Burn's own operations.
//!
//! The forward is Burn's, which holds no weights. The backward makes them again, for some sequences at a time, so that all that grows
//! with the square of a length are five products, which a GPU's tensor cores take.

use super::super::formula::{self, Formula, Operand, kept, operand, tensor};
use super::super::kernel::widened;
use super::{Heads, split_heads};
use burn::tensor::{Bool, Tensor, activation::softmax, module, ops::AttentionModuleOptions};

/// Bytes of a matrix of weights, at most, unless one sequence has more.
const HELD: usize = 256 << 20;

/// Causal attention for `[batch tokens, (queries + 2 keys) head]`, with a backward of its own.
pub(super) fn attention(qkv: Tensor<2>, batch: usize, tokens: usize, heads: Heads) -> Tensor<2> {
    formula::of_one(Batched { batch, tokens, heads }, qkv)
}

/// [`attention`] with Burn's backward.
pub(super) fn attention_plain(qkv: Tensor<2>, batch: usize, tokens: usize, heads: Heads) -> Tensor<2> {
    let [rows, packed] = qkv.dims();
    let [queries, keys, values] = split_heads(qkv, batch, tokens, heads);
    // Without a mask, for which a GPU's kernel has no backward.
    let options = AttentionModuleOptions { is_causal: true, ..AttentionModuleOptions::default() };
    let mixed = module::attention(queries, keys, values, None, None, options);
    mixed.swap_dims(1, 2).reshape([rows, heads.queries * heads.head(packed)])
}

#[derive(Debug)]
struct Batched {
    batch: usize,
    tokens: usize,
    heads: Heads,
}

impl Formula<1> for Batched {
    fn value(&self, [qkv]: [Operand; 1]) -> Operand {
        operand(attention_plain(tensor(qkv), self.batch, self.tokens, self.heads))
    }

    fn derivative(&self, inputs: Vec<Operand>, gradient: Operand, _: [bool; 1]) -> [Option<Operand>; 1] {
        let [qkv] = kept(inputs);
        let (qkv, gradient) = (tensor::<2>(qkv), tensor::<2>(gradient));
        let sequences = (HELD / (4 * self.heads.queries * self.tokens * self.tokens).max(1)).clamp(1, self.batch.max(1));
        // What a query must not see, once for every query that a key serves.
        let group = self.heads.queries / self.heads.keys;
        let hidden = Tensor::<2, Bool>::tril_mask([self.tokens, self.tokens], 0, &qkv.device());
        let hidden: Tensor<4, Bool> = hidden.repeat_dim(0, group).unsqueeze();
        let mut parts: Vec<Tensor<2>> = (0..self.batch)
            .step_by(sequences)
            .map(|first| {
                let count = sequences.min(self.batch - first);
                let rows = |all: &Tensor<2>| match count == self.batch {
                    true => all.clone(),
                    false => all.clone().slice_dim(0, first * self.tokens..(first + count) * self.tokens),
                };
                self.slopes(rows(&qkv), rows(&gradient), hidden.clone(), count)
            })
            .collect();
        [Some(operand(if parts.len() == 1 { parts.remove(0) } else { Tensor::cat(parts, 0) }))]
    }
}

impl Batched {
    /// The gradient of some sequences' packed rows: with P = softmax(S), S = Q K^T / sqrt(head) where a query may look, and g the
    /// gradient of P V, dV = P^T g, dS = P (g V^T - rowsum(P g V^T)), dQ = dS K, dK = dS^T Q.
    fn slopes(&self, qkv: Tensor<2>, gradient: Tensor<2>, hidden: Tensor<4, Bool>, batch: usize) -> Tensor<2> {
        let ([rows, packed], computed) = (qkv.dims(), qkv.dtype());
        let (head, keys_heads) = (self.heads.head(packed), self.heads.keys);
        // Rows of all queries that share a key, one after another.
        let grouped = |of_queries: Tensor<4>| {
            let count = self.heads.queries / keys_heads * self.tokens;
            of_queries.reshape([batch, keys_heads, count, head])
        };
        let [queries, keys, values] = split_heads(qkv, batch, self.tokens, self.heads);
        let queries = grouped(queries);
        let gradient: Tensor<4> = gradient.reshape([batch, self.tokens, self.heads.queries, head]).swap_dims(1, 2);
        let gradient = grouped(gradient);
        let scale = (head as f64).powf(-0.5);
        let scores = widened(queries.clone().matmul(keys.clone().transpose())).mul_scalar(scale);
        let weights = softmax(scores.mask_fill(hidden, f32::NEG_INFINITY), 3);
        let to_values = weights.clone().cast(computed).transpose().matmul(gradient.clone());
        let to_weights = widened(gradient.matmul(values.transpose()));
        let along = (weights.clone() * to_weights.clone()).sum_dim(3);
        let to_scores = (weights * (to_weights - along)).mul_scalar(scale).cast(computed);
        let to_keys = to_scores.clone().transpose().matmul(queries);
        let to_queries = to_scores.matmul(keys).reshape([batch, self.heads.queries, self.tokens, head]);
        Tensor::cat(vec![to_queries, to_keys, to_values], 1).swap_dims(1, 2).reshape([rows, packed])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::Case;

    #[test]
    fn its_backward_is_burns() {
        for (batch, tokens, [queries, keys], head) in [(1, 1, [1, 1], 1), (3, 7, [2, 2], 4), (2, 33, [6, 2], 5)] {
            let (heads, packed) = (Heads { queries, keys }, (queries + 2 * keys) * head);
            type Op = fn(Tensor<2>, usize, usize, Heads) -> Tensor<2>;
            let run = |op: Op| {
                move |x: &[Tensor<1>]| op(x[0].clone().reshape([batch * tokens, packed]), batch, tokens, heads).flatten(0, 1)
            };
            Case::new(&[&[batch * tokens, packed]], 1.5).agrees(run(attention), run(attention_plain));
            Case::new(&[&[batch * tokens, packed]], 6.0).agrees_in_scale(run(attention), run(attention_plain));
        }
    }
}
