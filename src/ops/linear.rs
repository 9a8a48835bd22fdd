//! Affine maps: alone, on top of a residual stream, and with what follows a feed-forward layer's first product.
//!
//! With g the gradient of x W + b, the backward is dx = g W^T, dW = x^T g, db = the sum of g's rows.

use super::activation::{Activation, activate};
use super::kernel::{Kernel, contiguous, floats, for_chunk_pairs, for_chunks, is_on_cpu, new, record, sizes, worth_threads};
use super::product::{Matrix, add_product, product};
use super::simd::vectorised;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;

/// x W + b for x `[rows, in]`, W `[in, out]` (GPT-2's layout), b `[out]`, computed in what W is in.
pub fn linear(x: Tensor<2>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<2> {
    if !is_on_cpu(&x) || !is_on_cpu(&weight) {
        return linear_plain(x, weight, bias);
    }
    Tensor::from_dispatch(Dispatch::fused_linear(x.into_dispatch(), weight.into_dispatch(), bias.into_dispatch()))
}

/// residual + x W + b, with a residual stream `[rows, out]`, in what that is in.
pub fn linear_onto(residual: Tensor<2>, x: Tensor<2>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<2> {
    if ![&residual, &x, &weight].into_iter().all(is_on_cpu) {
        let onto = residual.dtype();
        return residual + linear_plain(x, weight, bias).cast(onto);
    }
    let [residual, x, weight] = [residual.into_dispatch(), x.into_dispatch(), weight.into_dispatch()];
    Tensor::from_dispatch(Dispatch::fused_linear_onto(residual, x, weight, bias.into_dispatch()))
}

/// activation(x W + b), `[rows, out]`, or half as wide for a gate.
pub fn linear_then(x: Tensor<2>, weight: Tensor<2>, bias: Tensor<1>, activation: Activation) -> Tensor<2> {
    if !is_on_cpu(&x) || !is_on_cpu(&weight) {
        return activate(linear_plain(x, weight, bias), activation);
    }
    let [x, weight, bias] = [x.into_dispatch(), weight.into_dispatch(), bias.into_dispatch()];
    Tensor::from_dispatch(Dispatch::fused_linear_then(x, weight, bias, activation))
}

/// [`linear`] of Burn's own operations.
pub(crate) fn linear_plain(x: Tensor<2>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<2> {
    let computed = weight.dtype();
    x.cast(computed).matmul(weight) + bias.cast(computed).unsqueeze()
}

/// Affine maps, each as one operation.
#[backend_extension(Autodiff, Flex)]
pub(crate) trait FusedLinear: Backend {
    fn fused_linear(x: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self>;

    fn fused_linear_onto(
        residual: FloatTensor<Self>,
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    fn fused_linear_then(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self>;
}

impl FusedLinear for Flex {
    fn fused_linear(x: FlexTensor, weight: FlexTensor, bias: FlexTensor) -> FlexTensor {
        Linear.forward([x, weight, bias]).0
    }

    fn fused_linear_onto(residual: FlexTensor, x: FlexTensor, weight: FlexTensor, bias: FlexTensor) -> FlexTensor {
        LinearOnto.forward([residual, x, weight, bias]).0
    }

    fn fused_linear_then(x: FlexTensor, weight: FlexTensor, bias: FlexTensor, activation: Activation) -> FlexTensor {
        LinearThen(activation).forward([x, weight, bias]).0
    }
}

impl<C: CheckpointStrategy> FusedLinear for Autodiff<Flex, C> {
    fn fused_linear(x: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
        record::<C, _, _>(Linear, [x, weight, bias])
    }

    fn fused_linear_onto(
        residual: FloatTensor<Self>,
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        record::<C, _, _>(LinearOnto, [residual, x, weight, bias])
    }

    fn fused_linear_then(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        record::<C, _, _>(LinearThen(activation), [x, weight, bias])
    }
}

#[derive(Clone, Debug)]
struct Linear;

/// Onto a residual stream, the first input.
#[derive(Clone, Debug)]
struct LinearOnto;

#[derive(Clone, Debug)]
struct LinearThen(Activation);

/// Rows of a chunk; biases' gradients are summed within chunks first, which keeps rounding small.
const CHUNK: usize = 64;
/// Elementary operations an element of an activation.
const COST: usize = 20;

impl Kernel<3> for Linear {
    const NAME: &'static str = "linear";

    type Saved = [FlexTensor; 2];

    fn forward(&self, inputs: [FlexTensor; 3]) -> (FlexTensor, [FlexTensor; 2]) {
        let [x, weight, bias] = inputs.map(contiguous);
        let mut y = multiply(&x, &weight);
        let out = sizes(&weight)[1];
        for_chunks(worth_threads(y.len()), (&mut y, CHUNK * out), |_, y| add_to_rows(y, floats(&bias)));
        (new(y, [sizes(&x)[0], out]), [x, weight])
    }

    fn backward(&self, [x, weight]: [FlexTensor; 2], gradient: FlexTensor, wanted: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let gradient = contiguous(gradient);
        let to_bias = wanted[2].then(|| column_sums(floats(&gradient), sizes(&weight)[1]));
        propagate(&x, &weight, floats(&gradient), to_bias, [wanted[0], wanted[1]])
    }
}

impl Kernel<4> for LinearOnto {
    const NAME: &'static str = "linear onto residual";

    type Saved = [FlexTensor; 2];

    fn forward(&self, inputs: [FlexTensor; 4]) -> (FlexTensor, [FlexTensor; 2]) {
        let [residual, x, weight, bias] = inputs.map(contiguous);
        let ([rows, wide], [_, out]) = (sizes(&x), sizes(&weight));
        let mut y = floats(&residual).to_vec();
        for_chunks(worth_threads(y.len()), (&mut y, CHUNK * out), |_, y| add_to_rows(y, floats(&bias)));
        add_product(&mut y, Matrix::new(floats(&x), rows, wide), Matrix::new(floats(&weight), wide, out));
        (new(y, [rows, out]), [x, weight])
    }

    fn backward(&self, [x, weight]: [FlexTensor; 2], gradient: FlexTensor, wanted: [bool; 4]) -> [Option<FlexTensor>; 4] {
        let gradient = contiguous(gradient);
        let to_bias = wanted[3].then(|| column_sums(floats(&gradient), sizes(&weight)[1]));
        let [to_x, to_weight, to_bias] = propagate(&x, &weight, floats(&gradient), to_bias, [wanted[1], wanted[2]]);
        [wanted[0].then_some(gradient), to_x, to_weight, to_bias]
    }
}

impl Kernel<3> for LinearThen {
    const NAME: &'static str = "linear and activation";

    /// x, W, and x W + b.
    type Saved = [FlexTensor; 3];

    fn forward(&self, inputs: [FlexTensor; 3]) -> (FlexTensor, [FlexTensor; 3]) {
        let [x, weight, bias] = inputs.map(contiguous);
        let ([rows, _], [_, out]) = (sizes(&x), sizes(&weight));
        let narrow = self.0.width(out);
        let (mut before, mut y) = (multiply(&x, &weight), vec![0.0; rows * narrow]);
        let threads = worth_threads(COST * before.len());
        for_chunk_pairs(threads, (&mut before, CHUNK * out), (&mut y, CHUNK * narrow), |_, before, y| {
            self.0.apply(before, floats(&bias), y);
        });
        (new(y, [rows, narrow]), [x, weight, new(before, [rows, out])])
    }

    fn backward(&self, saved: [FlexTensor; 3], gradient: FlexTensor, wanted: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let ([x, weight, before], gradient) = (saved, contiguous(gradient));
        let ([rows, _], [_, out]) = (sizes(&x), sizes(&weight));
        let narrow = self.0.width(out);
        let (mut slopes, mut partial) = (vec![0.0; rows * out], vec![0.0; rows.div_ceil(CHUNK) * out]);
        let threads = worth_threads(COST * slopes.len());
        for_chunk_pairs(threads, (&mut slopes, CHUNK * out), (&mut partial, out), |index, slopes, partial| {
            let before = &floats(&before)[index * CHUNK * out..][..slopes.len()];
            self.0.propagate(before, &floats(&gradient)[index * CHUNK * narrow..], slopes, out);
            add_rows(partial, slopes);
        });
        let mut to_bias = vec![0.0; out];
        add_rows(&mut to_bias, &partial);
        propagate(&x, &weight, &slopes, Some(to_bias), [wanted[0], wanted[1]])
    }
}

/// x W
fn multiply(x: &FlexTensor, weight: &FlexTensor) -> Vec<f32> {
    let ([rows, wide], [_, out]) = (sizes(x), sizes(weight));
    product(Matrix::new(floats(x), rows, wide), Matrix::new(floats(weight), wide, out))
}

/// The gradients of x, W and b from that of x W + b.
fn propagate(
    x: &FlexTensor,
    weight: &FlexTensor,
    gradient: &[f32],
    to_bias: Option<Vec<f32>>,
    wanted: [bool; 2],
) -> [Option<FlexTensor>; 3] {
    let ([rows, wide], [_, out]) = (sizes(x), sizes(weight));
    let g = Matrix::new(gradient, rows, out);
    let to_x = || new(product(g, Matrix::new(floats(weight), wide, out).transposed()), [rows, wide]);
    let to_weight = || new(product(Matrix::new(floats(x), rows, wide).transposed(), g), [wide, out]);
    [wanted[0].then(to_x), wanted[1].then(to_weight), to_bias.map(|sums| new(sums, [out]))]
}

/// The sum of the rows of `[rows, width]`, in a fixed order.
fn column_sums(values: &[f32], width: usize) -> Vec<f32> {
    let mut partial = vec![0.0; (values.len() / width.max(1)).div_ceil(CHUNK) * width];
    for_chunks(worth_threads(values.len()), (&mut partial, width), |index, partial| {
        let rows = &values[index * CHUNK * width..];
        add_rows(partial, &rows[..rows.len().min(CHUNK * width)]);
    });
    let mut total = vec![0.0; width];
    add_rows(&mut total, &partial);
    total
}

vectorised! {
    /// Adds the same values to every row.
    fn add_to_rows(rows: &mut [f32], values: &[f32]) {
        for row in rows.chunks_exact_mut(values.len().max(1)) {
            for (x, value) in row.iter_mut().zip(values) {
                *x += value;
            }
        }
    }
}

vectorised! {
    /// Adds every row to the sums.
    fn add_rows(sums: &mut [f32], rows: &[f32]) {
        let width = sums.len().max(1);
        let mut fours = rows.chunks_exact(4 * width);
        for four in &mut fours {
            let (ab, cd) = four.split_at(2 * width);
            let ((a, b), (c, d)) = (ab.split_at(width), cd.split_at(width));
            for ((((sum, a), b), c), d) in sums.iter_mut().zip(a).zip(b).zip(c).zip(d) {
                *sum += (a + b) + (c + d);
            }
        }
        for row in fours.remainder().chunks_exact(width) {
            for (sum, x) in sums.iter_mut().zip(row) {
                *sum += x;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Case;
    use super::*;

    const SIZES: [[usize; 3]; 6] = [[1, 1, 2], [3, 5, 8], [65, 16, 48], [7, 64, 2], [1, 9, 34], [300, 128, 130]];

    #[test]
    fn fused_is_plain() {
        for [rows, wide, out] in SIZES {
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

    #[test]
    fn fused_is_plain_onto_a_residual_stream() {
        for [rows, wide, out] in SIZES {
            let case = Case::new(&[&[rows, out], &[rows, wide], &[wide, out], &[out]], 0.5);
            type Op = fn(Tensor<2>, Tensor<2>, Tensor<2>, Tensor<1>) -> Tensor<2>;
            let run = |op: Op| {
                move |x: &[Tensor<1>]| {
                    let matrix = |index: usize, shape: [usize; 2]| x[index].clone().reshape(shape);
                    op(matrix(0, [rows, out]), matrix(1, [rows, wide]), matrix(2, [wide, out]), x[3].clone()).flatten(0, 1)
                }
            };
            case.agrees(run(linear_onto), run(|residual, x, weight, bias| residual + linear_plain(x, weight, bias)));
            case.ignores_threads(run(linear_onto));
            if rows == 3 {
                case.differentiates(run(linear_onto));
            }
        }
    }

    #[test]
    fn fused_is_plain_with_every_activation() {
        for activation in [Activation::GeluTanh, Activation::Gelu, Activation::Relu, Activation::SiluGate] {
            for [rows, wide, out] in SIZES {
                let case = Case::new(&[&[rows, wide], &[wide, out], &[out]], 1.0);
                type Op = fn(Tensor<2>, Tensor<2>, Tensor<1>, Activation) -> Tensor<2>;
                let run = |op: Op| {
                    move |x: &[Tensor<1>]| {
                        let matrix = |index: usize, shape: [usize; 2]| x[index].clone().reshape(shape);
                        op(matrix(0, [rows, wide]), matrix(1, [wide, out]), x[2].clone(), activation).flatten(0, 1)
                    }
                };
                let plain: Op = |x, weight, bias, activation| activation.plain(linear_plain(x, weight, bias));
                case.agrees(run(linear_then), run(plain));
                case.ignores_threads(run(linear_then));
                if rows == 3 {
                    case.differentiates(run(linear_then));
                }
            }
        }
    }

    #[test]
    fn far_from_zero_an_activation_is_a_ramp() {
        let device = burn::tensor::Device::flex();
        for activation in [Activation::GeluTanh, Activation::Gelu, Activation::Relu] {
            let x = Tensor::from_floats([[-100.0], [-20.0], [20.0], [100.0], [f32::NAN], [1e30]], &device);
            let y = linear_then(x, Tensor::ones([1, 1], &device), Tensor::zeros([1], &device), activation).into_data();
            let y: Vec<f32> = y.iter::<f32>().collect();
            assert!(y[0].abs() < 1e-30 && y[1].abs() < 1e-30, "{activation:?}: {y:?}");
            assert!(y[2] == 20.0 && y[3] == 100.0 && y[4].is_nan() && y[5] == 1e30, "{activation:?}: {y:?}");
        }
    }
}
