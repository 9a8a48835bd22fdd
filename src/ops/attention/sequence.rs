//! Attention of one sequence, head by head, in tiles that fit into registers.

use super::Heads;
use crate::ops::simd::{LANES, exp, greatest, multiply_add, sum, vectorised};
use crate::ops::tile::{ROWS, columns_by_lanes, rows_by_lanes};

#[derive(Clone, Copy)]
pub(super) struct Sizes {
    /// Tokens whose rows lie elsewhere, and which are only seen; then the sequence's own.
    shared: usize,
    own: usize,
    /// Both together.
    tokens: usize,
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
    pub(super) fn new([shared, own]: [usize; 2], heads: Heads, packed: usize) -> Self {
        let (tokens, head) = (shared + own, heads.head(packed));
        let [wide, long] = [head, tokens].map(|size| size.next_multiple_of(LANES));
        let (width, scale) = (heads.queries * head, (head as f32).powf(-0.5));
        Sizes { shared, own, tokens, heads, packed, width, head, wide, long, scale }
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
        2 * self.head * self.long + (self.tokens + 2 * self.own) * self.wide + 2 * (self.own * self.long + LANES)
    }

    /// Rows of a tile that starts at own row `first` of a head's part of a matrix; rows behind the last repeat it.
    #[inline(always)]
    fn rows<'a>(&self, matrix: &'a [f32], stride: usize, first: usize, column: usize, length: usize) -> [&'a [f32]; ROWS] {
        std::array::from_fn(|row| &matrix[(first + row).min(self.own - 1) * stride + column..][..length])
    }
}

/// Copies a head's columns into rows of whole vectors.
#[inline(always)]
fn pack(out: &mut [f32], sizes: Sizes, from: &[f32], stride: usize, column: usize) {
    for (out, row) in out.chunks_exact_mut(sizes.wide).zip(from.chunks_exact(stride)) {
        out[..sizes.head].copy_from_slice(&row[column..column + sizes.head]);
    }
}

/// Copies a head's columns of tokens `first..` into rows, 8 tokens by 8 columns at a time: in registers rather than by single
/// stores.
#[inline(always)]
fn transpose(out: &mut [f32], sizes: Sizes, first: usize, from: &[f32], stride: usize, column: usize) {
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
                row[first + block * SIDE..][..count].copy_from_slice(&flipped[..count]);
            }
        }
    }
}

vectorised! {
    /// Attention of one sequence: out `[own, width]` and log-sum-exps `[queries, own]`, from the shared tokens' packed rows and
    /// its own.
    pub(super) fn attend(
        sizes: Sizes,
        shared_rows: &[f32],
        own_rows: &[f32],
        out: &mut [f32],
        log_sums: &mut [f32],
        scratch: &mut [f32],
    ) {
        let Sizes { shared, own, tokens, heads, packed, width, head, wide, long, scale } = sizes;
        let (keys, scratch) = scratch.split_at_mut(head * long);
        let (values, scores) = scratch.split_at_mut(tokens * wide);
        for which in 0..heads.queries {
            let (column, [key_column, value_column]) = (which * head, sizes.columns(which));
            for (first, rows) in [(0, shared_rows), (shared, own_rows)] {
                transpose(keys, sizes, first, rows, packed, key_column);
                pack(&mut values[first * wide..], sizes, rows, packed, value_column);
            }
            for first in (0..own).step_by(ROWS) {
                let last = (first + ROWS).min(own);
                let end = shared + last;
                let queries = sizes.rows(own_rows, packed, first, column, head);
                for at in (0..end).step_by(LANES) {
                    let tile = rows_by_lanes::<FMA>(queries, &keys[at..], long, head);
                    for (scores, sums) in scores.chunks_exact_mut(long).zip(&tile) {
                        scores[at..at + LANES].copy_from_slice(sums);
                    }
                }
                for (scores, row) in scores.chunks_exact_mut(long).zip(first..last) {
                    log_sums[which * own + row] = softmax_of_seen::<FMA>(scores, shared + row + 1, scale);
                }
                let weights = std::array::from_fn(|row| &scores[row * long..][..end]);
                for at in (0..head).step_by(LANES) {
                    let tile = rows_by_lanes::<FMA>(weights, &values[at..], wide, end);
                    for (row, sums) in (first..last).zip(&tile) {
                        let lanes = LANES.min(head - at);
                        out[row * width + column + at..][..lanes].copy_from_slice(&sums[..lanes]);
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
    /// Adds the gradients of the shared tokens' packed rows and of its own `[own, packed]` from that of one sequence's output
    /// `[own, width]`.
    pub(super) fn propagate(
        sizes: Sizes,
        shared_rows: &[f32],
        own_rows: &[f32],
        gradient: &[f32],
        log_sums: &[f32],
        to_shared: &mut [f32],
        to_own: &mut [f32],
        scratch: &mut [f32],
    ) {
        let Sizes { shared, own, tokens, heads, packed, width, head, wide, long, scale } = sizes;
        let (keys_flipped, scratch) = scratch.split_at_mut(head * long);
        let (values_flipped, scratch) = scratch.split_at_mut(head * long);
        let (keys, scratch) = scratch.split_at_mut(tokens * wide);
        let (queries, scratch) = scratch.split_at_mut(own * wide);
        let (gradients, scratch) = scratch.split_at_mut(own * wide);
        let (weights, slopes) = scratch.split_at_mut(own * long + LANES);
        for which in 0..heads.queries {
            let (column, [key_column, value_column]) = (which * head, sizes.columns(which));
            for (first, rows) in [(0, shared_rows), (shared, own_rows)] {
                transpose(keys_flipped, sizes, first, rows, packed, key_column);
                transpose(values_flipped, sizes, first, rows, packed, value_column);
                pack(&mut keys[first * wide..], sizes, rows, packed, key_column);
            }
            pack(queries, sizes, own_rows, packed, column);
            pack(gradients, sizes, gradient, width, column);
            for first in (0..own).step_by(ROWS) {
                let last = (first + ROWS).min(own);
                let end = shared + last;
                let some_queries = sizes.rows(queries, wide, first, 0, head);
                let some_gradients = sizes.rows(gradients, wide, first, 0, head);
                for at in (0..end).step_by(LANES) {
                    let scores = rows_by_lanes::<FMA>(some_queries, &keys_flipped[at..], long, head);
                    let to_weights = rows_by_lanes::<FMA>(some_gradients, &values_flipped[at..], long, head);
                    for (row, (scores, to_weights)) in (first..last).zip(scores.iter().zip(&to_weights)) {
                        weights[row * long + at..][..LANES].copy_from_slice(scores);
                        slopes[row * long + at..][..LANES].copy_from_slice(to_weights);
                    }
                }
                for row in first..last {
                    let rows = (&mut weights[row * long..][..long], &mut slopes[row * long..][..long]);
                    slopes_of_seen::<FMA>(rows, shared + row + 1, scale, log_sums[which * own + row]);
                }
                let some_slopes = sizes.rows(slopes, long, first, 0, end);
                for at in (0..head).step_by(LANES) {
                    let tile = rows_by_lanes::<FMA>(some_slopes, &keys[at..], wide, end);
                    add_tile(to_own, sizes, &tile, first, column, at);
                }
            }
            for first in (0..tokens).step_by(ROWS) {
                // Own rows before this one do not see the tile's tokens.
                let from = first.saturating_sub(shared);
                let start = from * long + first;
                for at in (0..head).step_by(LANES) {
                    let rows = from * wide + at;
                    let by_queries = columns_by_lanes::<FMA>((&slopes[start..], long), (&queries[rows..], wide), own - from);
                    let by_weights = columns_by_lanes::<FMA>((&weights[start..], long), (&gradients[rows..], wide), own - from);
                    for (tile, column) in [(by_queries, key_column), (by_weights, value_column)] {
                        let in_shared = shared.saturating_sub(first).min(ROWS);
                        add_tile(to_shared, sizes, &tile[..in_shared], first, column, at);
                        add_tile(to_own, sizes, &tile[in_shared..], from, column, at);
                    }
                }
            }
        }
    }
}

/// Adds a tile's rows to packed rows from `first` on, as far as there are any, and from lane `at` of a head's columns on. Heads of
/// queries may share keys and values, and sequences their first tokens.
#[inline(always)]
fn add_tile(out: &mut [f32], sizes: Sizes, tile: &[[f32; LANES]], first: usize, column: usize, at: usize) {
    let lanes = LANES.min(sizes.head - at);
    for (row, sums) in out.chunks_exact_mut(sizes.packed).skip(first).zip(tile) {
        for (out, sum) in row[column + at..][..lanes].iter_mut().zip(sums) {
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
