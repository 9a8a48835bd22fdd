//! Causal self-attention over packed queries, keys and values (Vaswani et al. 2017).
//!
//! The kernel reads queries, keys and values where they lie, skips what a position must not see, and keeps of the weights
//! only each row's log-sum-exp, from which the backward makes them again (Dao et al. 2022):
//! P = exp(S - lse), dV = P^T g, dS = P (g V^T - rowsum(P g V^T)), dQ = dS K, dK = dS^T Q.

use super::kernel::{Kernel, contiguous, floats, for_groups, is_on_cpu, new, record, sizes, worth_threads};
use super::simd::{LANES, exp, greatest, multiply_add, sum, vectorised};
use super::tile::{ROWS, columns_by_lanes, rows_by_lanes};
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Bool, Tensor, activation::softmax};

/// Attention of every position to itself and those before it.
///
/// `qkv` is `[tokens, 3 * width]` as GPT-2's `c_attn` gives it, for sequences of these lengths one after another; the
/// result is `[tokens, width]`. Nothing is padded.
pub fn causal_attention(qkv: Tensor<2>, lengths: &[usize], heads: usize) -> Tensor<2> {
    if !is_on_cpu(&qkv) {
        return causal_attention_plain(qkv, lengths, heads);
    }
    Tensor::from_dispatch(Dispatch::fused_attention(qkv.into_dispatch(), lengths.to_vec(), heads))
}

/// [`causal_attention`] of Burn's own operations: runs of sequences of one length at a time.
pub(crate) fn causal_attention_plain(qkv: Tensor<2>, lengths: &[usize], heads: usize) -> Tensor<2> {
    let mut first = 0;
    let run = |run: &[usize]| {
        let rows = first..first + run.iter().sum::<usize>();
        first = rows.end;
        batched_attention(qkv.clone().slice_dim(0, rows), run.len(), run[0], heads)
    };
    Tensor::cat(lengths.chunk_by(|a, b| a == b).map(run).collect(), 0)
}

fn batched_attention(qkv: Tensor<2>, batch: usize, tokens: usize, heads: usize) -> Tensor<2> {
    let [rows, packed] = qkv.dims();
    let [queries, keys, values] = split_heads(qkv, batch, tokens, heads);
    let scores = scaled_scores(queries, keys);
    // `true` marks what a position must not see: Burn's mask is true above the diagonal.
    let future: Tensor<4, Bool> = Tensor::<2, Bool>::tril_mask([tokens, tokens], 0, &scores.device()).unsqueeze();
    let weights = softmax(scores.mask_fill(future, f32::NEG_INFINITY), 3);
    weights.matmul(values).swap_dims(1, 2).reshape([rows, packed / 3])
}

/// Queries, keys and values, each `[batch, heads, tokens, width / heads]`.
pub fn split_heads(qkv: Tensor<2>, batch: usize, tokens: usize, heads: usize) -> [Tensor<4>; 3] {
    let [_, packed] = qkv.dims();
    let parts: Tensor<5> = qkv.reshape([batch, tokens, 3, heads, packed / 3 / heads]).permute([2, 0, 3, 1, 4]);
    [0, 1, 2].map(|part| parts.clone().slice_dim(0, part..part + 1).squeeze_dim(0))
}

/// Q K^T / sqrt(width of a head).
pub(super) fn scaled_scores(queries: Tensor<4>, keys: Tensor<4>) -> Tensor<4> {
    let [.., head_width] = queries.dims();
    queries.mul_scalar((head_width as f64).powf(-0.5)).matmul(keys.transpose())
}

/// Causal attention as one operation.
#[backend_extension(Autodiff, Flex)]
pub(crate) trait FusedAttention: Backend {
    fn fused_attention(qkv: FloatTensor<Self>, lengths: Vec<usize>, heads: usize) -> FloatTensor<Self>;
}

impl FusedAttention for Flex {
    fn fused_attention(qkv: FlexTensor, lengths: Vec<usize>, heads: usize) -> FlexTensor {
        Attention { lengths, heads }.forward([qkv]).0
    }
}

impl<C: CheckpointStrategy> FusedAttention for Autodiff<Flex, C> {
    fn fused_attention(qkv: FloatTensor<Self>, lengths: Vec<usize>, heads: usize) -> FloatTensor<Self> {
        record::<C, _, _>(Attention { lengths, heads }, [qkv])
    }
}

#[derive(Clone, Debug)]
struct Attention {
    lengths: Vec<usize>,
    heads: usize,
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
    /// qkv, and the log-sum-exp of every row of scores, `[heads, tokens]` of each sequence.
    type Saved = (FlexTensor, Vec<f32>);

    fn forward(&self, [qkv]: [FlexTensor; 1]) -> (FlexTensor, Self::Saved) {
        let qkv = contiguous(qkv);
        let [rows, packed] = sizes(&qkv);
        assert_eq!(self.lengths.iter().sum::<usize>(), rows, "the sequences' lengths");
        let (width, heads) = (packed / 3, self.heads);
        let (mut out, mut log_sums) = (vec![0.0; rows * width], vec![0.0; rows * heads]);
        let parts = self.parts(&mut out, width).into_iter().zip(self.parts(&mut log_sums, heads));
        let mut sequences: Vec<_> = self.starts().zip(parts).collect();
        for_groups(worth_threads(self.operations(width)), (&mut sequences, CHUNK), |group| {
            let mut scratch = Vec::new();
            for (first, (out, log_sums)) in group {
                let sizes = Sizes::new(out.len() / width, heads, width);
                let qkv = &floats(&qkv)[*first * packed..][..sizes.tokens * packed];
                attend(sizes, qkv, out, log_sums, zeroed(&mut scratch, sizes.forward_scratch()));
            }
        });
        (new(out, [rows, width]), (qkv, log_sums))
    }

    fn backward(&self, (qkv, log_sums): Self::Saved, gradient: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let gradient = contiguous(gradient);
        let [rows, packed] = sizes(&qkv);
        let (width, heads) = (packed / 3, self.heads);
        let mut out = vec![0.0; rows * packed];
        let mut sequences: Vec<_> = self.starts().zip(self.parts(&mut out, packed)).collect();
        for_groups(worth_threads(2 * self.operations(width)), (&mut sequences, CHUNK), |group| {
            let mut scratch = Vec::new();
            for (first, out) in group {
                let sizes = Sizes::new(out.len() / packed, heads, width);
                let part = |width: usize| *first * width..(*first + sizes.tokens) * width;
                let (qkv, gradient) = (&floats(&qkv)[part(packed)], &floats(&gradient)[part(width)]);
                let scratch = zeroed(&mut scratch, sizes.backward_scratch());
                propagate(sizes, qkv, gradient, &log_sums[part(heads)], out, scratch);
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

#[derive(Clone, Copy)]
struct Sizes {
    tokens: usize,
    heads: usize,
    /// Width of all heads together, and of one.
    width: usize,
    head: usize,
    /// `head` and `tokens` up to whole vectors: how far apart the rows of scratch matrices are.
    wide: usize,
    long: usize,
    scale: f32,
}

impl Sizes {
    fn new(tokens: usize, heads: usize, width: usize) -> Self {
        let head = width / heads;
        let [wide, long] = [head, tokens].map(|size| size.next_multiple_of(LANES));
        Sizes { tokens, heads, width, head, wide, long, scale: (head as f32).powf(-0.5) }
    }

    /// K^T, V and 6 rows of scores.
    fn forward_scratch(&self) -> usize {
        self.head * self.long + self.tokens * self.wide + ROWS * self.long
    }

    /// K^T, V^T, Q, K, g, and weights and their gradients, each of these with room for a tile's columns behind the last row.
    fn backward_scratch(&self) -> usize {
        2 * self.head * self.long + 3 * self.tokens * self.wide + 2 * (self.tokens * self.long + LANES)
    }

    /// Rows of a tile that starts at row `first` of a head's part of a matrix; rows behind the last repeat it.
    #[inline(always)]
    fn rows<'a>(&self, matrix: &'a [f32], stride: usize, first: usize, column: usize, length: usize) -> [&'a [f32]; ROWS] {
        std::array::from_fn(|row| &matrix[(first + row).min(self.tokens - 1) * stride + column..][..length])
    }
}

/// Copies a head's columns into rows of whole vectors.
#[inline(always)]
fn pack(out: &mut [f32], sizes: Sizes, from: &[f32], stride: usize, column: usize) {
    for (out, row) in out.chunks_exact_mut(sizes.wide).zip(from.chunks_exact(stride)) {
        out[..sizes.head].copy_from_slice(&row[column..column + sizes.head]);
    }
}

/// Copies a head's columns into rows, 8 tokens by 8 columns at a time: in registers rather than by single stores.
#[inline(always)]
fn transpose(out: &mut [f32], sizes: Sizes, from: &[f32], stride: usize, column: usize) {
    const SIDE: usize = 8;
    for (block, tokens) in from.chunks(SIDE * stride).enumerate() {
        let count = tokens.len() / stride;
        for at in (0..sizes.head).step_by(SIDE) {
            let mut square = [[0.0; SIDE]; SIDE];
            let columns = SIDE.min(sizes.head - at);
            for (square, token) in square.iter_mut().zip(tokens.chunks_exact(stride)) {
                let row = &token[column + at..];
                match row.first_chunk() {
                    Some(whole) if columns == SIDE => *square = *whole,
                    _ => square[..columns].copy_from_slice(&row[..columns]),
                }
            }
            let flipped: [[f32; SIDE]; SIDE] = std::array::from_fn(|i| std::array::from_fn(|j| square[j][i]));
            for (flipped, row) in flipped.iter().zip(out[at * sizes.long..].chunks_exact_mut(sizes.long)).take(columns) {
                row[block * SIDE..][..count].copy_from_slice(&flipped[..count]);
            }
        }
    }
}

vectorised! {
    /// Attention of one sequence: out `[tokens, width]` and log-sum-exps `[heads, tokens]` of qkv `[tokens, 3 width]`.
    fn attend(sizes: Sizes, qkv: &[f32], out: &mut [f32], log_sums: &mut [f32], scratch: &mut [f32]) {
        let Sizes { tokens, heads, width, head, wide, long, scale } = sizes;
        let (keys, scratch) = scratch.split_at_mut(head * long);
        let (values, scores) = scratch.split_at_mut(tokens * wide);
        for which in 0..heads {
            let column = which * head;
            transpose(keys, sizes, qkv, 3 * width, width + column);
            pack(values, sizes, qkv, 3 * width, 2 * width + column);
            for first in (0..tokens).step_by(ROWS) {
                let end = (first + ROWS).min(tokens);
                let queries = sizes.rows(qkv, 3 * width, first, column, head);
                for at in (0..end).step_by(LANES) {
                    let tile = rows_by_lanes::<FMA>(queries, &keys[at..], long, head);
                    for (scores, sums) in scores.chunks_exact_mut(long).zip(&tile) {
                        scores[at..at + LANES].copy_from_slice(sums);
                    }
                }
                for (scores, token) in scores.chunks_exact_mut(long).zip(first..end) {
                    log_sums[which * tokens + token] = softmax_of_seen::<FMA>(scores, token + 1, scale);
                }
                let weights = std::array::from_fn(|row| &scores[row * long..][..end]);
                for at in (0..head).step_by(LANES) {
                    let tile = rows_by_lanes::<FMA>(weights, &values[at..], wide, end);
                    for (token, sums) in (first..end).zip(&tile) {
                        let lanes = LANES.min(head - at);
                        out[token * width + column + at..][..lanes].copy_from_slice(&sums[..lanes]);
                    }
                }
            }
        }
    }
}

/// Replaces the first `seen` scores by softmax(scale scores), the others by 0; returns the log-sum-exp.
#[inline(always)]
fn softmax_of_seen<const FMA: bool>(row: &mut [f32], seen: usize, scale: f32) -> f32 {
    let whole = seen.next_multiple_of(LANES);
    row[seen..whole].fill(f32::NEG_INFINITY);
    let chunks = row[..whole].as_chunks_mut::<LANES>().0;
    let mut most = [f32::NEG_INFINITY; LANES];
    for chunk in &*chunks {
        for lane in 0..LANES {
            most[lane] = if chunk[lane] > most[lane] { chunk[lane] } else { most[lane] };
        }
    }
    let most = greatest(most);
    let mut sums = [0.0; LANES];
    for chunk in &mut *chunks {
        for lane in 0..LANES {
            chunk[lane] = exp::<FMA>(scale * (chunk[lane] - most));
            sums[lane] += chunk[lane];
        }
    }
    let total = sum(sums);
    let share = 1.0 / total;
    for chunk in chunks {
        for value in chunk {
            *value *= share;
        }
    }
    row[seen..].fill(0.0);
    scale * most + total.ln()
}

vectorised! {
    /// The gradient of one sequence's qkv `[tokens, 3 width]` from that of its output `[tokens, width]`.
    fn propagate(sizes: Sizes, qkv: &[f32], gradient: &[f32], log_sums: &[f32], out: &mut [f32], scratch: &mut [f32]) {
        let Sizes { tokens, heads, width, head, wide, long, scale } = sizes;
        let packed = 3 * width;
        let (keys_flipped, scratch) = scratch.split_at_mut(head * long);
        let (values_flipped, scratch) = scratch.split_at_mut(head * long);
        let (queries, scratch) = scratch.split_at_mut(tokens * wide);
        let (keys, scratch) = scratch.split_at_mut(tokens * wide);
        let (gradients, scratch) = scratch.split_at_mut(tokens * wide);
        let (weights, slopes) = scratch.split_at_mut(tokens * long + LANES);
        for which in 0..heads {
            let column = which * head;
            transpose(keys_flipped, sizes, qkv, packed, width + column);
            transpose(values_flipped, sizes, qkv, packed, 2 * width + column);
            pack(queries, sizes, qkv, packed, column);
            pack(keys, sizes, qkv, packed, width + column);
            pack(gradients, sizes, gradient, width, column);
            for first in (0..tokens).step_by(ROWS) {
                let end = (first + ROWS).min(tokens);
                let some_queries = sizes.rows(queries, wide, first, 0, head);
                let some_gradients = sizes.rows(gradients, wide, first, 0, head);
                for at in (0..end).step_by(LANES) {
                    let scores = rows_by_lanes::<FMA>(some_queries, &keys_flipped[at..], long, head);
                    let to_weights = rows_by_lanes::<FMA>(some_gradients, &values_flipped[at..], long, head);
                    for (token, (scores, to_weights)) in (first..end).zip(scores.iter().zip(&to_weights)) {
                        weights[token * long + at..][..LANES].copy_from_slice(scores);
                        slopes[token * long + at..][..LANES].copy_from_slice(to_weights);
                    }
                }
                for token in first..end {
                    let rows = (&mut weights[token * long..][..long], &mut slopes[token * long..][..long]);
                    slopes_of_seen::<FMA>(rows, token + 1, scale, log_sums[which * tokens + token]);
                }
                let some_slopes = sizes.rows(slopes, long, first, 0, end);
                for at in (0..head).step_by(LANES) {
                    let tile = rows_by_lanes::<FMA>(some_slopes, &keys[at..], wide, end);
                    put(out, sizes, &tile, first, column, at);
                }
            }
            for first in (0..tokens).step_by(ROWS) {
                let start = first * long + first;
                for at in (0..head).step_by(LANES) {
                    let rows = first * wide + at;
                    let tile = columns_by_lanes::<FMA>((&slopes[start..], long), (&queries[rows..], wide), tokens - first);
                    put(out, sizes, &tile, first, width + column, at);
                    let tile = columns_by_lanes::<FMA>((&weights[start..], long), (&gradients[rows..], wide), tokens - first);
                    put(out, sizes, &tile, first, 2 * width + column, at);
                }
            }
        }
    }
}

/// Writes a tile into rows `[tokens, 3 width]`, from lane `at` of the head's columns on.
#[inline(always)]
fn put(out: &mut [f32], sizes: Sizes, tile: &[[f32; LANES]; ROWS], first: usize, column: usize, at: usize) {
    let lanes = LANES.min(sizes.head - at);
    for (token, sums) in (first..sizes.tokens).zip(tile) {
        out[token * 3 * sizes.width + column + at..][..lanes].copy_from_slice(&sums[..lanes]);
    }
}

/// Replaces scores by weights, and the weights' gradients by the scores' gradients; what is not seen becomes 0.
#[inline(always)]
fn slopes_of_seen<const FMA: bool>((weights, slopes): (&mut [f32], &mut [f32]), seen: usize, scale: f32, log_sum: f32) {
    let whole = seen.next_multiple_of(LANES);
    for weight in &mut weights[..whole] {
        *weight = exp::<FMA>(multiply_add::<FMA>(scale, *weight, -log_sum));
    }
    weights[seen..].fill(0.0);
    let (chunks, to_weights) = (weights[..whole].as_chunks::<LANES>().0, slopes[..whole].as_chunks_mut::<LANES>().0);
    let mut sums = [0.0; LANES];
    for (weight, slope) in chunks.iter().zip(&*to_weights) {
        for lane in 0..LANES {
            sums[lane] = multiply_add::<FMA>(weight[lane], slope[lane], sums[lane]);
        }
    }
    let mean = sum(sums);
    for (weight, slope) in chunks.iter().zip(to_weights) {
        for lane in 0..LANES {
            slope[lane] = scale * weight[lane] * (slope[lane] - mean);
        }
    }
    slopes[seen..].fill(0.0);
}

#[cfg(test)]
mod tests {
    use super::super::testing::Case;
    use super::*;

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
        for (lengths, heads, head) in cases {
            let (rows, packed) = (lengths.iter().sum(), 3 * heads * head);
            let case = Case::new(&[&[rows, packed]], 1.5);
            type Op = fn(Tensor<2>, &[usize], usize) -> Tensor<2>;
            let run = |op: Op| move |x: &[Tensor<1>]| op(x[0].clone().reshape([rows, packed]), lengths, heads).flatten(0, 1);
            case.agrees(run(causal_attention), run(causal_attention_plain));
            case.ignores_threads(run(causal_attention));
            if rows == 6 {
                case.differentiates(run(causal_attention));
            }
        }
    }
}
