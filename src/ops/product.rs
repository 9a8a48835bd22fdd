//! Matrix products by the `gemm` crate, one thread each; large ones are cut into parts of the output.
//!
//! gemm's own threads gain little below a few hundred rows, and parts scale. The order of a sum depends on its inner size
//! alone, so that neither the cut nor the number of threads changes a bit.

use super::kernel::worth_threads;
use gemm::Parallelism;
use rayon::prelude::*;

/// A matrix in a slice, row by row, or its transpose.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: isize,
    column_stride: isize,
}

impl<'a> Matrix<'a> {
    /// `[rows, columns]`, row by row.
    pub(crate) fn new(values: &'a [f32], rows: usize, columns: usize) -> Self {
        assert_eq!(values.len(), rows * columns, "a matrix of {rows} x {columns}");
        Matrix { values, rows, columns, row_stride: columns as isize, column_stride: 1 }
    }

    /// Rows `first..last`.
    pub(crate) fn rows(self, first: usize, last: usize) -> Self {
        assert!(first <= last && last <= self.rows, "rows of a matrix");
        // A slice from the first element on: it covers all later rows, or the same rows of later columns.
        let values = &self.values[(first * self.row_stride as usize).min(self.values.len())..];
        Matrix { values, rows: last - first, ..self }
    }

    /// The same numbers with rows and columns exchanged.
    pub(crate) fn transposed(self) -> Self {
        Matrix { rows: self.columns, columns: self.rows, row_stride: self.column_stride, column_stride: self.row_stride, ..self }
    }
}

/// a b as `[a.rows, b.columns]`, row by row.
pub(crate) fn product(a: Matrix<'_>, b: Matrix<'_>) -> Vec<f32> {
    let mut out = Vec::new();
    product_into(&mut out, a, b);
    out
}

/// [`product`] in a buffer that is used again and again.
pub(crate) fn product_into(out: &mut Vec<f32>, a: Matrix<'_>, b: Matrix<'_>) {
    let length = a.rows * b.columns;
    out.clear();
    out.reserve(length);
    // SAFETY: the capacity is at least `length`, and `write` sets all of these elements without reading one.
    unsafe {
        write(out.as_mut_ptr(), a, b, false);
        out.set_len(length);
    }
}

/// out += a b for `out` `[a.rows, b.columns]`.
pub(crate) fn add_product(out: &mut [f32], a: Matrix<'_>, b: Matrix<'_>) {
    assert_eq!(out.len(), a.rows * b.columns, "a product's length");
    // SAFETY: `out` has a.rows * b.columns elements, all of them initialised.
    unsafe { write(out.as_mut_ptr(), a, b, true) }
}

/// Rows or columns of a part.
const PART: usize = 128;
/// Multiplications that one processor does in the time of one elementary operation of another kernel, or so.
const AT_ONCE: usize = 8;

/// Where the output goes.
#[derive(Clone, Copy)]
struct Out(*mut f32);

// SAFETY: the parts of an output that threads write are disjoint.
unsafe impl Send for Out {}
// SAFETY: as above.
unsafe impl Sync for Out {}

impl Out {
    /// # Safety
    ///
    /// As for [`pointer::add`](pointer#method.add).
    unsafe fn from(self, element: usize) -> Self {
        // SAFETY: by this function's contract.
        Out(unsafe { self.0.add(element) })
    }
}

/// Starts of parts, and the end. A part of fewer than half as many rows belongs to the one before: below 65 rows and columns
/// gemm orders a sum differently.
fn cuts(length: usize) -> Vec<usize> {
    let parts = ((length + PART / 2 - 1) / PART).max(1);
    (0..parts).map(|part| part * PART).chain([length]).collect()
}

/// # Safety
///
/// `out` must be valid for writing a.rows * b.columns elements; with `add` they must be initialised.
unsafe fn write(out: *mut f32, a: Matrix<'_>, b: Matrix<'_>, add: bool) {
    assert_eq!(a.columns, b.rows, "inner sizes of a product");
    let (out, stride) = (Out(out), b.columns);
    if !worth_threads(a.rows * a.columns / AT_ONCE * b.columns) {
        // SAFETY: by this function's contract.
        unsafe { write_part(out, stride, a, b, add) };
        return;
    }
    let by_rows = a.rows > b.columns;
    let cuts = cuts(if by_rows { a.rows } else { b.columns });
    cuts.par_windows(2).for_each(|part| {
        let &[first, last] = part else { return };
        if by_rows {
            // SAFETY: rows first..last of `out`, which no other part writes, are a.rows(..) times b.
            unsafe { write_part(out.from(first * stride), stride, a.rows(first, last), b, add) };
        } else {
            // SAFETY: columns first..last of `out`, which no other part writes, are a times those of b.
            unsafe { write_part(out.from(first), stride, a, b.transposed().rows(first, last).transposed(), add) };
        }
    });
}

/// # Safety
///
/// `out` must be valid for writing a.rows rows of b.columns elements that lie `stride` apart; with `add` they must be initialised.
unsafe fn write_part(out: Out, stride: usize, a: Matrix<'_>, b: Matrix<'_>, add: bool) {
    let old = if add { 1.0 } else { 0.0 };
    // SAFETY: `Matrix` holds only what its slice covers, in either order of strides; `out` is large enough by this function's
    // contract, and no borrow lets it overlap `a` or `b`. gemm reads `out` only if `add`, and writes all of it even where
    // the inner size is 0.
    unsafe {
        gemm::gemm(
            a.rows,
            b.columns,
            a.columns,
            out.0,
            1,
            stride as isize,
            add,
            a.values.as_ptr(),
            a.column_stride,
            a.row_stride,
            b.values.as_ptr(),
            b.column_stride,
            b.row_stride,
            old,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::numbers;
    use super::*;

    /// Inner sizes over and not over 512, where gemm blocks a sum; outer sizes on both sides of a part.
    #[test]
    fn parts_have_the_bits_of_the_whole() {
        for [m, n, k] in [[513, 48, 700], [191, 192, 513], [3, 700, 1100], [1, 2000, 900], [260, 1, 900], [65, 2500, 64]] {
            let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
            let with = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
                pool.install(|| product(Matrix::new(&a, m, k), Matrix::new(&b, k, n)))
            };
            assert!(with(1) == with(2), "{m} x {k} x {n}");
        }
    }

    #[test]
    fn every_orientation_is_the_definition() {
        for [m, n, k] in
            [[1, 1, 1], [3, 5, 7], [17, 33, 2], [1, 9, 40], [40, 1, 9], [70, 65, 130], [4, 3, 0], [700, 70, 90], [30, 900, 129]]
        {
            let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
            let wanted: Vec<f32> = (0..m * n).map(|i| (0..k).map(|j| a[i / n * k + j] * b[j * n + i % n]).sum()).collect();
            let flip = |x: &[f32], rows: usize, columns: usize| -> Vec<f32> {
                (0..rows * columns).map(|i| x[i % rows * columns + i / rows]).collect()
            };
            let (a_flipped, b_flipped) = (flip(&a, m, k), flip(&b, k, n));
            for a in [Matrix::new(&a, m, k), Matrix::new(&a_flipped, k, m).transposed()] {
                for b in [Matrix::new(&b, k, n), Matrix::new(&b_flipped, n, k).transposed()] {
                    let mut twice = product(a, b);
                    add_product(&mut twice, a, b);
                    let mut set = vec![f32::NAN; m * n + 5];
                    product_into(&mut set, a, b);
                    for i in 0..m * n {
                        assert!((set[i] - wanted[i]).abs() < 1e-4 && (twice[i] - 2.0 * wanted[i]).abs() < 2e-4);
                    }
                }
            }
        }
    }
}
