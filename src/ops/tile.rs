//! Products of small matrices, 6 rows by 16 columns at a time: such a tile of sums fits into AVX2's registers.

use super::simd::{LANES, multiply_add};

/// Rows of a tile.
pub(crate) const ROWS: usize = 6;

/// Sums of a tile.
pub(crate) type Tile = [[f32; LANES]; ROWS];

/// The first `depth` elements of 6 rows times the first 16 columns of `b`, whose rows are `stride` apart.
#[inline(always)]
pub(crate) fn rows_by_lanes<const FMA: bool>(a: [&[f32]; ROWS], b: &[f32], stride: usize, depth: usize) -> Tile {
    let a = a.map(|row| &row[..depth]);
    let mut tile = [[0.0; LANES]; ROWS];
    for k in 0..depth {
        let Some(lanes) = b[k * stride..].first_chunk::<LANES>() else { break };
        for row in 0..ROWS {
            add(&mut tile[row], a[row][k], lanes, multiply_add::<FMA>);
        }
    }
    tile
}

/// The transpose of `a`'s first 6 columns times the first 16 columns of `b`, over `depth` rows of both.
///
/// What lies behind a row of `a` that is shorter than 6 gives rows of the tile that mean nothing.
#[inline(always)]
pub(crate) fn columns_by_lanes<const FMA: bool>(
    (a, a_stride): (&[f32], usize),
    (b, b_stride): (&[f32], usize),
    depth: usize,
) -> Tile {
    let mut tile = [[0.0; LANES]; ROWS];
    for k in 0..depth {
        let (a, b) = (a[k * a_stride..].first_chunk::<ROWS>(), b[k * b_stride..].first_chunk::<LANES>());
        let (Some(a), Some(b)) = (a, b) else { break };
        for row in 0..ROWS {
            add(&mut tile[row], a[row], b, multiply_add::<FMA>);
        }
    }
    tile
}

#[inline(always)]
fn add(sums: &mut [f32; LANES], a: f32, b: &[f32; LANES], multiply_add: impl Fn(f32, f32, f32) -> f32) {
    for lane in 0..LANES {
        sums[lane] = multiply_add(a, b[lane], sums[lane]);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::numbers;
    use super::*;

    #[test]
    fn tiles_are_products() {
        let (depth, a_stride, b_stride) = (9, 11, 20);
        let (a, b) = (numbers(ROWS * a_stride, 1), numbers(depth * b_stride, 2));
        let rows = std::array::from_fn(|row| &a[row * a_stride..][..a_stride]);
        let got = rows_by_lanes::<false>(rows, &b, b_stride, depth);
        let mut flipped = vec![0.0; depth * ROWS];
        for k in 0..depth {
            for row in 0..ROWS {
                flipped[k * ROWS + row] = a[row * a_stride + k];
            }
        }
        let got_flipped = columns_by_lanes::<false>((&flipped, ROWS), (&b, b_stride), depth);
        for row in 0..ROWS {
            for lane in 0..LANES {
                let wanted: f32 = (0..depth).map(|k| a[row * a_stride + k] * b[k * b_stride + lane]).sum();
                assert!((got[row][lane] - wanted).abs() < 1e-5 && (got_flipped[row][lane] - wanted).abs() < 1e-5);
            }
        }
    }
}
