//! GELU in its tanh form (Hendrycks and Gimpel 2016), `gelu_new` in GPT-2's configuration.
//!
//! The kernel uses (1 + tanh(u)) / 2 = s(2 u) with the logistic function s, one exponential an element.

use super::kernel::{Kernel, contiguous, floats, for_chunks, is_on_cpu, new, record, worth_threads, writable};
use super::simd::{exp, multiply_add, vectorised};
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;

/// x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))), element by element of x `[rows, width]`.
pub fn gelu(x: Tensor<2>) -> Tensor<2> {
    if is_on_cpu(&x) { Tensor::from_dispatch(Dispatch::fused_gelu(x.into_dispatch())) } else { gelu_plain(x) }
}

/// [`gelu`] of Burn's own operations.
pub(crate) fn gelu_plain(x: Tensor<2>) -> Tensor<2> {
    burn::tensor::activation::gelu_approximate(x)
}

/// GELU as one operation.
#[backend_extension(Autodiff, Flex)]
pub(crate) trait FusedGelu: Backend {
    fn fused_gelu(x: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl FusedGelu for Flex {
    fn fused_gelu(x: FlexTensor) -> FlexTensor {
        Gelu.forward([x]).0
    }
}

impl<C: CheckpointStrategy> FusedGelu for Autodiff<Flex, C> {
    fn fused_gelu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        record::<C, _, _>(Gelu, [x])
    }
}

#[derive(Clone, Debug)]
struct Gelu;

/// 2 sqrt(2 / pi)
const SLOPE: f32 = 1.595_769;
const CUBIC: f32 = 0.044_715;
/// Elements of a chunk: 64 KiB.
const CHUNK: usize = 1 << 14;
/// Elementary operations an element.
const COST: usize = 20;

impl Kernel<1> for Gelu {
    type Saved = FlexTensor;

    fn forward(&self, [x]: [FlexTensor; 1]) -> (FlexTensor, FlexTensor) {
        let x = contiguous(x);
        let mut y = floats(&x).to_vec();
        for_chunks(worth_threads(COST * y.len()), (&mut y, CHUNK), |_, y| values(y));
        (new(y, x.layout().shape().clone()), x)
    }

    fn backward(&self, x: FlexTensor, gradient: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let mut gradient = writable(gradient);
        let out = gradient.storage_mut::<f32>();
        let x = floats(&x);
        for_chunks(worth_threads(COST * x.len()), (out, CHUNK), |index, gradient| {
            times_slopes(gradient, &x[index * CHUNK..][..gradient.len()]);
        });
        [Some(gradient)]
    }
}

vectorised! {
    /// Replaces every x by gelu(x).
    fn values(x: &mut [f32]) {
        for x in x {
            let inner = SLOPE * *x * multiply_add::<FMA>(CUBIC * *x, *x, 1.0);
            *x /= 1.0 + exp::<FMA>(-inner);
        }
    }
}

vectorised! {
    /// Multiplies every gradient by gelu'(x) = s + x s (1 - s) u'.
    fn times_slopes(gradient: &mut [f32], x: &[f32]) {
        for (gradient, &x) in gradient.iter_mut().zip(x) {
            let inner = SLOPE * x * multiply_add::<FMA>(CUBIC * x, x, 1.0);
            let share = 1.0 / (1.0 + exp::<FMA>(-inner));
            let slope = SLOPE * multiply_add::<FMA>(3.0 * CUBIC * x, x, 1.0);
            *gradient *= multiply_add::<FMA>(x * share * (1.0 - share), slope, share);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Case;
    use super::*;

    #[test]
    fn fused_is_plain() {
        for [rows, width] in [[1, 1], [3, 5], [7, 64], [100, 333]] {
            let case = Case::new(&[&[rows, width]], 3.0);
            let run =
                |gelu: fn(Tensor<2>) -> Tensor<2>| move |x: &[Tensor<1>]| gelu(x[0].clone().reshape([rows, width])).flatten(0, 1);
            case.agrees(run(gelu), run(gelu_plain));
            case.ignores_threads(run(gelu));
            if rows == 3 {
                case.differentiates(run(gelu));
            }
        }
    }

    #[test]
    fn far_from_zero_it_is_a_ramp() {
        let device = burn::tensor::Device::flex();
        let y = gelu(Tensor::from_floats([[-100.0, -20.0, 20.0, 100.0, f32::NAN]], &device)).into_data();
        let y: Vec<f32> = y.iter::<f32>().collect();
        assert!(y[0].abs() < 1e-30 && y[1].abs() < 1e-30 && y[2] == 20.0 && y[3] == 100.0 && y[4].is_nan());
    }
}
