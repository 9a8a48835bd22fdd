//! Affine map.
//!
//! The kernel starts the product from rows of the bias; its backward is dx = g W^T, dW = x^T g, db = the sum of g's rows.

use super::kernel::{Kernel, contiguous, floats, is_on_cpu, new, record, sizes};
use super::product::{Matrix, add_product, product};
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;

/// x W + b for x `[rows, in]`, W `[in, out]` (GPT-2's layout), b `[out]`.
pub fn linear(x: Tensor<2>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<2> {
    if !is_on_cpu(&x) {
        return linear_plain(x, weight, bias);
    }
    Tensor::from_dispatch(Dispatch::fused_linear(x.into_dispatch(), weight.into_dispatch(), bias.into_dispatch()))
}

/// [`linear`] of Burn's own operations.
pub(crate) fn linear_plain(x: Tensor<2>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<2> {
    x.matmul(weight) + bias.unsqueeze()
}

/// An affine map as one operation.
#[backend_extension(Autodiff, Flex)]
pub(crate) trait FusedLinear: Backend {
    fn fused_linear(x: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl FusedLinear for Flex {
    fn fused_linear(x: FlexTensor, weight: FlexTensor, bias: FlexTensor) -> FlexTensor {
        Linear.forward([x, weight, bias]).0
    }
}

impl<C: CheckpointStrategy> FusedLinear for Autodiff<Flex, C> {
    fn fused_linear(x: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
        record::<C, _, _>(Linear, [x, weight, bias])
    }
}

#[derive(Clone, Debug)]
struct Linear;

/// Rows that are summed before their sum is added to the total, which keeps rounding small.
const BLOCK: usize = 64;

impl Kernel<3> for Linear {
    type Saved = [FlexTensor; 2];

    fn forward(&self, inputs: [FlexTensor; 3]) -> (FlexTensor, [FlexTensor; 2]) {
        let [x, weight, bias] = inputs.map(contiguous);
        let ([rows, wide], [_, out]) = (sizes(&x), sizes(&weight));
        let mut y = Vec::with_capacity(rows * out);
        for _ in 0..rows {
            y.extend_from_slice(floats(&bias));
        }
        add_product(&mut y, Matrix::new(floats(&x), rows, wide), Matrix::new(floats(&weight), wide, out));
        (new(y, [rows, out]), [x, weight])
    }

    fn backward(&self, [x, weight]: [FlexTensor; 2], gradient: FlexTensor, wanted: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let gradient = contiguous(gradient);
        let ([rows, wide], [_, out]) = (sizes(&x), sizes(&weight));
        let g = Matrix::new(floats(&gradient), rows, out);
        let to_x = || new(product(g, Matrix::new(floats(&weight), wide, out).transposed()), [rows, wide]);
        let to_weight = || new(product(Matrix::new(floats(&x), rows, wide).transposed(), g), [wide, out]);
        let to_bias = || new(column_sums(floats(&gradient), out), [out]);
        [wanted[0].then(to_x), wanted[1].then(to_weight), wanted[2].then(to_bias)]
    }
}

/// The sum of the rows of `[rows, width]`, in a fixed order.
fn column_sums(values: &[f32], width: usize) -> Vec<f32> {
    let (mut total, mut partial) = (vec![0.0; width], vec![0.0; width]);
    let width = width.max(1);
    for block in values.chunks(BLOCK * width) {
        partial.fill(0.0);
        let mut rows = block.chunks_exact(4 * width);
        for four in &mut rows {
            let (ab, cd) = four.split_at(2 * width);
            let ((a, b), (c, d)) = (ab.split_at(width), cd.split_at(width));
            for ((((sum, a), b), c), d) in partial.iter_mut().zip(a).zip(b).zip(c).zip(d) {
                *sum += (a + b) + (c + d);
            }
        }
        for row in rows.remainder().chunks_exact(width) {
            add(&mut partial, row);
        }
        add(&mut total, &partial);
    }
    total
}

fn add(sum: &mut [f32], row: &[f32]) {
    for (sum, value) in sum.iter_mut().zip(row) {
        *sum += value;
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Case;
    use super::*;

    #[test]
    fn fused_is_plain() {
        for [rows, wide, out] in [[1, 1, 1], [3, 5, 7], [65, 16, 48], [7, 64, 1], [1, 9, 33], [300, 128, 130]] {
            let case = Case::new(&[&[rows, wide], &[wide, out], &[out]], 0.5);
            type Op = fn(Tensor<2>, Tensor<2>, Tensor<1>) -> Tensor<2>;
            let run = |op: Op| {
                move |x: &[Tensor<1>]| {
                    op(x[0].clone().reshape([rows, wide]), x[1].clone().reshape([wide, out]), x[2].clone()).flatten(0, 1)
                }
            };
            case.agrees(run(linear), run(linear_plain));
            case.ignores_threads(run(linear));
            if rows == 3 {
                case.differentiates(run(linear));
            }
        }
    }
}
