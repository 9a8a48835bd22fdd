//! Matrix products by the `gemm` crate, whose blocking of a sum does not depend on the number of threads.

use gemm::Parallelism;

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

    /// The same numbers with rows and columns exchanged.
    pub(crate) fn transposed(self) -> Self {
        Matrix { rows: self.columns, columns: self.rows, row_stride: self.column_stride, column_stride: self.row_stride, ..self }
    }
}

/// a b as `[a.rows, b.columns]`, row by row.
pub(crate) fn product(a: Matrix<'_>, b: Matrix<'_>) -> Vec<f32> {
    let length = a.rows * b.columns;
    let mut out = Vec::with_capacity(length);
    // SAFETY: the capacity is `length`, and `write` sets all of these elements without reading one.
    unsafe {
        write(out.as_mut_ptr(), a, b, false);
        out.set_len(length);
    }
    out
}

/// out = a b for `out` `[a.rows, b.columns]`.
pub(crate) fn set_product(out: &mut [f32], a: Matrix<'_>, b: Matrix<'_>) {
    assert_eq!(out.len(), a.rows * b.columns, "a product's length");
    // SAFETY: `out` has a.rows * b.columns elements.
    unsafe { write(out.as_mut_ptr(), a, b, false) }
}

/// out += a b for `out` `[a.rows, b.columns]`.
pub(crate) fn add_product(out: &mut [f32], a: Matrix<'_>, b: Matrix<'_>) {
    assert_eq!(out.len(), a.rows * b.columns, "a product's length");
    // SAFETY: `out` has a.rows * b.columns elements, all of them initialised.
    unsafe { write(out.as_mut_ptr(), a, b, true) }
}

/// # Safety
///
/// `out` must be valid for writing a.rows * b.columns elements; with `add` they must be initialised.
unsafe fn write(out: *mut f32, a: Matrix<'_>, b: Matrix<'_>, add: bool) {
    assert_eq!(a.columns, b.rows, "inner sizes of a product");
    let threads = if rayon::current_num_threads() > 1 { Parallelism::Rayon(0) } else { Parallelism::None };
    let old = if add { 1.0 } else { 0.0 };
    // SAFETY: `Matrix::new` checked that rows * columns elements are there for either order of strides, `out` has
    // a.rows * b.columns by this function's contract, and no borrow lets it overlap `a` or `b`. gemm reads `out` only
    // if `add`, and writes all of it even where the inner size is 0.
    unsafe {
        gemm::gemm(
            a.rows,
            b.columns,
            a.columns,
            out,
            1,
            b.columns as isize,
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
            threads,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::numbers;
    use super::*;

    #[test]
    fn every_orientation_is_the_definition() {
        for [m, n, k] in [[1, 1, 1], [3, 5, 7], [17, 33, 2], [1, 9, 40], [40, 1, 9], [70, 65, 130], [4, 3, 0]] {
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
                    let mut set = vec![f32::NAN; m * n];
                    set_product(&mut set, a, b);
                    for i in 0..m * n {
                        assert!((set[i] - wanted[i]).abs() < 1e-4 && (twice[i] - 2.0 * wanted[i]).abs() < 2e-4);
                    }
                }
            }
        }
    }
}
