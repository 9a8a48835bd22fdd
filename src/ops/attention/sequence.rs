//! Attention of one sequence, head by head, in tiles that fit into registers.

use super::Heads;
use crate::ops::simd::{LANES, exp, greatest, multiply_add, sum, vectorised};
use crate::ops::tile::{ROWS, columns_by_lanes, rows_by_lanes};

#[derive(Clone, Copy)]
pub(super) struct Sizes {
    pub(super) tokens: usize,
    heads: Heads,
    /// Width of a packed row, of all queries, and of one head.
    packed: usize,
    width: usize,
    head: usize,
    /// `head` and `tokens` up to whole vectors: how far apart the rows of scratch matrices are.
    wide: usize,
    long: usize,
    scale: f32,
}

impl Sizes {
    pub(super) fn new(tokens: usize, heads: Heads, packed: usize) -> Self {
        let head = heads.head(packed);
        let [wide, long] = [head, tokens].map(|size| size.next_multiple_of(LANES));
        let (width, scale) = (heads.queries * head, (head as f32).powf(-0.5));
        Sizes { tokens, heads, packed, width, head, wide, long, scale }
    }

    /// First column of a query's keys and values.
    #[inline(always)]
    fn columns(&self, query: usize) -> [usize; 2] {
        let Sizes { heads, width, head, .. } = *self;
        let keys = width + query / (heads.queries / heads.keys) * head;
        [keys, keys + heads.keys * head]
    }

    /// K^T, V and 6 rows of scores.
    pub(super) fn forward_scratch(&self) -> usize {
        self.head * self.long + self.tokens * self.wide + ROWS * self.long
    }

    /// K^T, V^T, Q, K, g, and weights and their gradients, each of these with room for a tile's columns behind the last row.
    pub(super) fn backward_scratch(&self) -> usize {
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
    /// Attention of one sequence: out `[tokens, width]` and log-sum-exps `[queries, tokens]` of qkv `[tokens, packed]`.
    pub(super) fn attend(sizes: Sizes, qkv: &[f32], out: &mut [f32], log_sums: &mut [f32], scratch: &mut [f32]) {
        let Sizes { tokens, heads, packed, width, head, wide, long, scale } = sizes;
        let (keys, scratch) = scratch.split_at_mut(head * long);
        let (values, scores) = scratch.split_at_mut(tokens * wide);
        for which in 0..heads.queries {
            let (column, [key_column, value_column]) = (which * head, sizes.columns(which));
            transpose(keys, sizes, qkv, packed, key_column);
            pack(values, sizes, qkv, packed, value_column);
            for first in (0..tokens).step_by(ROWS) {
                let end = (first + ROWS).min(tokens);
                let queries = sizes.rows(qkv, packed, first, column, head);
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
    /// Adds the gradient of one sequence's qkv `[tokens, packed]` from that of its output `[tokens, width]`.
    pub(super) fn propagate(sizes: Sizes, qkv: &[f32], gradient: &[f32], log_sums: &[f32], out: &mut [f32], scratch: &mut [f32]) {
        let Sizes { tokens, heads, packed, width, head, wide, long, scale } = sizes;
        let (keys_flipped, scratch) = scratch.split_at_mut(head * long);
        let (values_flipped, scratch) = scratch.split_at_mut(head * long);
        let (queries, scratch) = scratch.split_at_mut(tokens * wide);
        let (keys, scratch) = scratch.split_at_mut(tokens * wide);
        let (gradients, scratch) = scratch.split_at_mut(tokens * wide);
        let (weights, slopes) = scratch.split_at_mut(tokens * long + LANES);
        for which in 0..heads.queries {
            let (column, [key_column, value_column]) = (which * head, sizes.columns(which));
            transpose(keys_flipped, sizes, qkv, packed, key_column);
            transpose(values_flipped, sizes, qkv, packed, value_column);
            pack(queries, sizes, qkv, packed, column);
            pack(keys, sizes, qkv, packed, key_column);
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
                    add_tile(out, sizes, &tile, first, column, at);
                }
            }
            for first in (0..tokens).step_by(ROWS) {
                let start = first * long + first;
                for at in (0..head).step_by(LANES) {
                    let rows = first * wide + at;
                    let tile = columns_by_lanes::<FMA>((&slopes[start..], long), (&queries[rows..], wide), tokens - first);
                    add_tile(out, sizes, &tile, first, key_column, at);
                    let tile = columns_by_lanes::<FMA>((&weights[start..], long), (&gradients[rows..], wide), tokens - first);
                    add_tile(out, sizes, &tile, first, value_column, at);
                }
            }
        }
    }
}

/// Adds a tile to packed rows, from lane `at` of a head's columns on; heads of queries may share keys and values.
#[inline(always)]
fn add_tile(out: &mut [f32], sizes: Sizes, tile: &[[f32; LANES]; ROWS], first: usize, column: usize, at: usize) {
    let lanes = LANES.min(sizes.head - at);
    for (token, sums) in (first..sizes.tokens).zip(tile) {
        for (out, sum) in out[token * sizes.packed + column + at..][..lanes].iter_mut().zip(sums) {
            *out += sum;
        }
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
