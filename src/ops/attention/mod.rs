//! Causal self-attention over packed queries, keys and values (Vaswani et al. 2017).
//!
//! The kernel reads queries, keys and values where they lie, skips what a position must not see, and keeps of the weights
//! only each row's log-sum-exp, from which the backward makes them again (Dao et al. 2022):
//! P = exp(S - lse), dV = P^T g, dS = P (g V^T - rowsum(P g V^T)), dQ = dS K, dK = dS^T Q.

mod cached;
mod sequence;

pub use cached::cached_attention;

use super::kernel::{Kernel, contiguous, floats, for_groups, is_on_cpu, new, record, sizes, worth_threads};
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Bool, Tensor, activation::softmax};
use sequence::{Sizes, attend, propagate};

/// Heads of a packed row, which holds all queries, then all keys, then all values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    /// Heads that ask.
    pub queries: usize,
    /// Heads of keys, and as many of values: each serves `queries / keys` queries (Ainslie et al. 2023).
    pub keys: usize,
}

impl Heads {
    /// As many keys as queries.
    pub fn equal(heads: usize) -> Self {
        Heads { queries: heads, keys: heads }
    }

    /// Width of one head in rows of `packed` elements.
    pub fn head(self, packed: usize) -> usize {
        packed / (self.queries + 2 * self.keys)
    }
}

/// Attention of every position to itself and those before it.
///
/// `qkv` is `[tokens, (queries + 2 keys) head]`, as GPT-2's `c_attn` gives it, for sequences of these lengths one after another;
/// the result is `[tokens, queries head]`. Nothing is padded.
pub fn causal_attention(qkv: Tensor<2>, lengths: &[usize], heads: Heads) -> Tensor<2> {
    if !is_on_cpu(&qkv) {
        return causal_attention_plain(qkv, lengths, heads);
    }
    Tensor::from_dispatch(Dispatch::fused_attention(qkv.into_dispatch(), lengths.to_vec(), heads))
}

/// [`causal_attention`] of Burn's own operations: runs of sequences of one length at a time.
pub(crate) fn causal_attention_plain(qkv: Tensor<2>, lengths: &[usize], heads: Heads) -> Tensor<2> {
    let mut first = 0;
    let run = |run: &[usize]| {
        let rows = first..first + run.iter().sum::<usize>();
        first = rows.end;
        batched_attention(qkv.clone().slice_dim(0, rows), run.len(), run[0], heads)
    };
    Tensor::cat(lengths.chunk_by(|a, b| a == b).map(run).collect(), 0)
}

fn batched_attention(qkv: Tensor<2>, batch: usize, tokens: usize, heads: Heads) -> Tensor<2> {
    let [rows, packed] = qkv.dims();
    let [queries, keys, values] = split_heads(qkv, batch, tokens, heads);
    let [keys, values] = [keys, values].map(|part| repeat_heads(part, heads));
    let scores = scaled_scores(queries, keys);
    // `true` marks what a position must not see: Burn's mask is true above the diagonal.
    let future: Tensor<4, Bool> = Tensor::<2, Bool>::tril_mask([tokens, tokens], 0, &scores.device()).unsqueeze();
    let weights = softmax(scores.mask_fill(future, f32::NEG_INFINITY), 3);
    weights.matmul(values).swap_dims(1, 2).reshape([rows, heads.queries * heads.head(packed)])
}

/// Queries, keys and values, each `[batch, heads, tokens, head]`.
pub fn split_heads(qkv: Tensor<2>, batch: usize, tokens: usize, heads: Heads) -> [Tensor<4>; 3] {
    let [_, packed] = qkv.dims();
    let head = heads.head(packed);
    let parts: Tensor<4> = qkv.reshape([batch, tokens, packed / head, head]).swap_dims(1, 2);
    let part = |first: usize, count: usize| parts.clone().slice_dim(1, first..first + count);
    [part(0, heads.queries), part(heads.queries, heads.keys), part(heads.queries + heads.keys, heads.keys)]
}

/// Keys or values once for every query's head.
fn repeat_heads(part: Tensor<4>, heads: Heads) -> Tensor<4> {
    if heads.keys == heads.queries {
        return part;
    }
    let [batch, keys, tokens, head] = part.dims();
    let group = heads.queries / keys;
    part.unsqueeze_dim::<5>(2).repeat_dim(2, group).reshape([batch, heads.queries, tokens, head])
}

/// Q K^T / sqrt(width of a head).
fn scaled_scores(queries: Tensor<4>, keys: Tensor<4>) -> Tensor<4> {
    let [.., head_width] = queries.dims();
    queries.mul_scalar((head_width as f64).powf(-0.5)).matmul(keys.transpose())
}

/// Causal attention as one operation.
#[backend_extension(Autodiff, Flex)]
pub(crate) trait FusedAttention: Backend {
    fn fused_attention(qkv: FloatTensor<Self>, lengths: Vec<usize>, heads: Heads) -> FloatTensor<Self>;
}

impl FusedAttention for Flex {
    fn fused_attention(qkv: FlexTensor, lengths: Vec<usize>, heads: Heads) -> FlexTensor {
        Attention { lengths, heads }.forward([qkv]).0
    }
}

impl<C: CheckpointStrategy> FusedAttention for Autodiff<Flex, C> {
    fn fused_attention(qkv: FloatTensor<Self>, lengths: Vec<usize>, heads: Heads) -> FloatTensor<Self> {
        record::<C, _, _>(Attention { lengths, heads }, [qkv])
    }
}

#[derive(Clone, Debug)]
struct Attention {
    lengths: Vec<usize>,
    heads: Heads,
}

/// Sequences of a chunk.
const CHUNK: usize = 4;

impl Attention {
    /// Multiplications of the scores, and as many of the weighted values.
    fn operations(&self, width: usize) -> usize {
        self.lengths.iter().map(|tokens| tokens * tokens * width).sum()
    }

    /// First row of every sequence.
    fn starts(&self) -> impl Iterator<Item = usize> {
        self.lengths.iter().scan(0, |next, length| Some(std::mem::replace(next, *next + length)))
    }

    /// The part of every sequence in rows of `width`.
    fn parts<'a>(&self, mut rows: &'a mut [f32], width: usize) -> Vec<&'a mut [f32]> {
        let part = |length: &usize| {
            let (part, rest) = std::mem::take(&mut rows).split_at_mut(length * width);
            rows = rest;
            part
        };
        self.lengths.iter().map(part).collect()
    }
}

impl Kernel<1> for Attention {
    const NAME: &'static str = "attention";

    /// qkv, and the log-sum-exp of every row of scores, `[queries, tokens]` of each sequence.
    type Saved = (FlexTensor, Vec<f32>);

    fn forward(&self, [qkv]: [FlexTensor; 1]) -> (FlexTensor, Self::Saved) {
        let qkv = contiguous(qkv);
        let [rows, packed] = sizes(&qkv);
        assert_eq!(self.lengths.iter().sum::<usize>(), rows, "the sequences' lengths");
        let queries = self.heads.queries;
        let width = queries * self.heads.head(packed);
        let (mut out, mut log_sums) = (vec![0.0; rows * width], vec![0.0; rows * queries]);
        let parts = self.parts(&mut out, width).into_iter().zip(self.parts(&mut log_sums, queries));
        let mut sequences: Vec<_> = self.starts().zip(parts).collect();
        for_groups(worth_threads(self.operations(width)), (&mut sequences, CHUNK), |group| {
            let mut scratch = Vec::new();
            for (first, (out, log_sums)) in group {
                let sizes = Sizes::new(out.len() / width, self.heads, packed);
                let qkv = &floats(&qkv)[*first * packed..][..sizes.tokens * packed];
                attend(sizes, qkv, out, log_sums, zeroed(&mut scratch, sizes.forward_scratch()));
            }
        });
        (new(out, [rows, width]), (qkv, log_sums))
    }

    fn backward(&self, (qkv, log_sums): Self::Saved, gradient: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let gradient = contiguous(gradient);
        let [rows, packed] = sizes(&qkv);
        let queries = self.heads.queries;
        let width = queries * self.heads.head(packed);
        let mut out = vec![0.0; rows * packed];
        let mut sequences: Vec<_> = self.starts().zip(self.parts(&mut out, packed)).collect();
        for_groups(worth_threads(2 * self.operations(width)), (&mut sequences, CHUNK), |group| {
            let mut scratch = Vec::new();
            for (first, out) in group {
                let sizes = Sizes::new(out.len() / packed, self.heads, packed);
                let part = |width: usize| *first * width..(*first + sizes.tokens) * width;
                let (qkv, gradient) = (&floats(&qkv)[part(packed)], &floats(&gradient)[part(width)]);
                let scratch = zeroed(&mut scratch, sizes.backward_scratch());
                propagate(sizes, qkv, gradient, &log_sums[part(queries)], out, scratch);
            }
        });
        [Some(new(out, [rows, packed]))]
    }
}

/// The first `length` elements of a buffer that is used again and again, all of them 0.
fn zeroed(scratch: &mut Vec<f32>, length: usize) -> &mut [f32] {
    scratch.clear();
    scratch.resize(length, 0.0);
    scratch
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::Case;

    #[test]
    fn fused_is_plain() {
        let cases: [(&[usize], usize, usize); 7] = [
            (&[1], 1, 1),
            (&[3, 3], 2, 2),
            (&[7, 7, 7], 3, 5),
            (&[24, 1, 23, 17, 16, 8, 24, 2, 9], 4, 16),
            (&[41, 40], 2, 33),
            (&[70], 1, 64),
            (&[5, 64, 33, 1, 48], 3, 8),
        ];
        let grouped: [(&[usize], [usize; 2], usize); 3] = [(&[1], [2, 1], 1), (&[3, 3], [2, 1], 2), (&[24, 1, 41], [6, 2], 17)];
        let equal = cases.map(|(lengths, heads, head)| (lengths, [heads, heads], head));
        for (lengths, [queries, keys], head) in equal.into_iter().chain(grouped) {
            let heads = Heads { queries, keys };
            let (rows, packed) = (lengths.iter().sum(), (queries + 2 * keys) * head);
            let case = Case::new(&[&[rows, packed]], 1.5);
            type Op = fn(Tensor<2>, &[usize], Heads) -> Tensor<2>;
            let run = |op: Op| move |x: &[Tensor<1>]| op(x[0].clone().reshape([rows, packed]), lengths, heads).flatten(0, 1);
            case.agrees(run(causal_attention), run(causal_attention_plain));
            case.ignores_threads(run(causal_attention));
            if rows == 6 {
                case.differentiates(run(causal_attention));
            }
        }
    }
}
