//! What follows a feed-forward layer's first product, element by element.
//!
//! Both forms of GELU (Hendrycks and Gimpel 2016) cost one exponential an element: (1 + tanh(u)) / 2 = s(2 u) with the logistic
//! function s, and erf by Abramowitz and Stegun's 7.1.26, to 1.5e-7. The gate is Shazeer's SwiGLU (2020).

use super::formula::{self, Formula, Operand, kept, operand, tensor};
use super::kernel::{
    Kernel, contiguous, floats, for_chunk_pairs, for_chunks, is_on_cpu, new, record, sizes, widened, worth_threads,
};
use super::simd::{exp, multiply_add, vectorised};
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Tensor, activation};
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

/// What follows the product; the names in brackets are those of Hugging Face's configurations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) ("gelu_new").
    GeluTanh,
    /// x / 2 (1 + erf(x / sqrt(2))) ("gelu").
    Gelu,
    /// max(x, 0) ("relu").
    Relu,
    /// g s(g) u of rows whose first half is g and whose second half is u ("silu" with a gate).
    SiluGate,
}

impl Activation {
    /// Width of the result for rows of `width`.
    pub(crate) fn width(self, width: usize) -> usize {
        match self {
            Activation::GeluTanh | Activation::Gelu | Activation::Relu => width,
            Activation::SiluGate => width / 2,
        }
    }

    /// Burn's own operations on x `[rows, width]`.
    pub(crate) fn plain(self, x: Tensor<2>) -> Tensor<2> {
        let (given, x) = (x.dtype(), widened(x));
        let result = match self {
            // As Burn's own, but for a power, which is not defined everywhere for negative numbers.
            Activation::GeluTanh => (x.clone() * (tanh_of_gelu(x) + 1.0)).mul_scalar(0.5),
            Activation::Gelu => activation::gelu(x),
            Activation::Relu => activation::relu(x),
            Activation::SiluGate => {
                let parts = x.chunk(2, 1);
                activation::silu(parts[0].clone()) * parts[1].clone()
            }
        };
        result.cast(given)
    }

    /// The gradient of x `[rows, width]` from that of the result.
    fn plain_slopes(self, x: Tensor<2>, gradient: Tensor<2>) -> Tensor<2> {
        let given = x.dtype();
        let (x, gradient) = (widened(x), widened(gradient));
        let slopes = match self {
            Activation::GeluTanh => {
                let tanh = tanh_of_gelu(x.clone());
                let inner = (x.clone() * x.clone()).mul_scalar(3.0 * CUBIC).add_scalar(1.0).mul_scalar(SQRT_2_OVER_PI);
                let rest = x * (tanh.clone() * tanh.clone()).neg().add_scalar(1.0) * inner;
                gradient * (tanh.add_scalar(1.0) + rest).mul_scalar(0.5)
            }
            Activation::Gelu => {
                let density = (x.clone() * x.clone()).mul_scalar(-0.5).exp().mul_scalar(FRAC_2_SQRT_PI * FRAC_1_SQRT_2 / 2.0);
                let below = x.clone().mul_scalar(FRAC_1_SQRT_2).erf().add_scalar(1.0).mul_scalar(0.5);
                gradient * (below + x * density)
            }
            Activation::Relu => gradient.mask_fill(x.lower_equal_elem(0.0), 0.0),
            Activation::SiluGate => {
                let parts = x.chunk(2, 1);
                let (gate, up) = (parts[0].clone(), parts[1].clone());
                let share = activation::sigmoid(gate.clone());
                let to_up = gradient.clone() * gate.clone() * share.clone();
                let slope = gate * (share.clone().neg().add_scalar(1.0)) + 1.0;
                Tensor::cat(vec![gradient * up * share * slope, to_up], 1)
            }
        };
        slopes.cast(given)
    }

    /// Adds a bias to rows of x, and writes what follows.
    pub(super) fn apply(self, x: &mut [f32], bias: &[f32], out: &mut [f32]) {
        match self {
            Activation::GeluTanh => gelu_tanh(x, bias, out),
            Activation::Gelu => gelu(x, bias, out),
            Activation::Relu => relu(x, bias, out),
            Activation::SiluGate => silu_gate(x, bias, out),
        }
    }

    /// The gradient of rows of x, from that of what followed.
    pub(super) fn propagate(self, x: &[f32], gradient: &[f32], to_x: &mut [f32], width: usize) {
        match self {
            Activation::GeluTanh => gelu_tanh_slopes(x, gradient, to_x),
            Activation::Gelu => gelu_slopes(x, gradient, to_x),
            Activation::Relu => relu_slopes(x, gradient, to_x),
            Activation::SiluGate => silu_gate_slopes(x, gradient, to_x, width),
        }
    }
}

/// activation(x) of rows `[rows, width]`, half as wide for a gate: [`linear_then`](super::linear_then) without the product, for where
/// something is added in between. Its numbers are the same, to the bit.
pub fn activate(x: Tensor<2>, activation: Activation) -> Tensor<2> {
    if !is_on_cpu(&x) {
        return formula::of_one(Activate(activation), x);
    }
    Tensor::from_dispatch(Dispatch::fused_activation(x.into_dispatch(), activation))
}

/// sqrt(2 / pi)
const SQRT_2_OVER_PI: f64 = FRAC_2_SQRT_PI * FRAC_1_SQRT_2;

/// tanh(sqrt(2 / pi) (x + 0.044715 x^3))
fn tanh_of_gelu(x: Tensor<2>) -> Tensor<2> {
    let cube = x.clone() * x.clone() * x.clone();
    (x + cube.mul_scalar(CUBIC)).mul_scalar(SQRT_2_OVER_PI).tanh()
}

/// An activation as one operation.
#[backend_extension(Autodiff, Flex)]
pub(crate) trait FusedActivation: Backend {
    fn fused_activation(x: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self>;
}

impl FusedActivation for Flex {
    fn fused_activation(x: FlexTensor, activation: Activation) -> FlexTensor {
        Activate(activation).forward([x]).0
    }
}

impl<C: CheckpointStrategy> FusedActivation for Autodiff<Flex, C> {
    fn fused_activation(x: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self> {
        record::<C, _, _>(Activate(activation), [x])
    }
}

#[derive(Clone, Debug)]
struct Activate(Activation);

impl Formula<1> for Activate {
    fn value(&self, [x]: [Operand; 1]) -> Operand {
        operand(self.0.plain(tensor(x)))
    }

    fn derivative(&self, inputs: Vec<Operand>, gradient: Operand, _: [bool; 1]) -> [Option<Operand>; 1] {
        let [x] = kept(inputs);
        [Some(operand(self.0.plain_slopes(tensor(x), tensor(gradient))))]
    }
}

/// Rows of a chunk.
const CHUNK: usize = 64;
/// Elementary operations an element.
const COST: usize = 20;

impl Kernel<1> for Activate {
    const NAME: &'static str = "activation";

    /// x
    type Saved = FlexTensor;

    fn forward(&self, [x]: [FlexTensor; 1]) -> (FlexTensor, FlexTensor) {
        let x = contiguous(x);
        let [rows, wide] = sizes(&x);
        let narrow = self.0.width(wide);
        let (mut copy, mut y, zeros) = (floats(&x).to_vec(), vec![0.0; rows * narrow], vec![0.0; wide]);
        let threads = worth_threads(COST * copy.len());
        for_chunk_pairs(threads, (&mut copy, CHUNK * wide), (&mut y, CHUNK * narrow), |_, x, y| self.0.apply(x, &zeros, y));
        (new(y, [rows, narrow]), x)
    }

    fn backward(&self, x: FlexTensor, gradient: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let gradient = contiguous(gradient);
        let [rows, wide] = sizes(&x);
        let (narrow, mut slopes) = (self.0.width(wide), vec![0.0; rows * wide]);
        for_chunks(worth_threads(COST * slopes.len()), (&mut slopes, CHUNK * wide), |index, slopes| {
            let x = &floats(&x)[index * CHUNK * wide..][..slopes.len()];
            self.0.propagate(x, &floats(&gradient)[index * CHUNK * narrow..], slopes, wide);
        });
        [Some(new(slopes, [rows, wide]))]
    }
}

/// 2 sqrt(2 / pi)
const SLOPE: f32 = 1.595_769;
const CUBIC: f32 = 0.044_715;

#[inline(always)]
fn logistic<const FMA: bool>(x: f32) -> f32 {
    1.0 / (1.0 + exp::<FMA>(-x))
}

/// The standard normal's distribution function, and e^(-x^2 / 2).
#[inline(always)]
fn normal<const FMA: bool>(x: f32) -> (f32, f32) {
    let magnitude = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let bell = exp::<FMA>(-magnitude * magnitude);
    let t = 1.0 / multiply_add::<FMA>(0.327_591_1, magnitude, 1.0);
    let mut p = 1.061_405_4;
    for coefficient in [-1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6] {
        p = multiply_add::<FMA>(p, t, coefficient);
    }
    let outside = 0.5 * p * t * bell;
    (if x > 0.0 { 1.0 - outside } else { outside }, bell)
}

vectorised! {
    fn gelu_tanh(x: &mut [f32], bias: &[f32], out: &mut [f32]) {
        let width = bias.len().max(1);
        for (x, out) in x.chunks_exact_mut(width).zip(out.chunks_exact_mut(width)) {
            for ((x, bias), out) in x.iter_mut().zip(bias).zip(out) {
                *x += bias;
                let inner = SLOPE * *x * multiply_add::<FMA>(CUBIC * *x, *x, 1.0);
                *out = *x * logistic::<FMA>(inner);
            }
        }
    }
}

vectorised! {
    /// gelu'(x) = s + x s (1 - s) u'
    fn gelu_tanh_slopes(x: &[f32], gradient: &[f32], to_x: &mut [f32]) {
        for ((to_x, &x), gradient) in to_x.iter_mut().zip(x).zip(gradient) {
            let share = logistic::<FMA>(SLOPE * x * multiply_add::<FMA>(CUBIC * x, x, 1.0));
            let slope = SLOPE * multiply_add::<FMA>(3.0 * CUBIC * x, x, 1.0);
            *to_x = gradient * multiply_add::<FMA>(x * share * (1.0 - share), slope, share);
        }
    }
}

vectorised! {
    fn gelu(x: &mut [f32], bias: &[f32], out: &mut [f32]) {
        let width = bias.len().max(1);
        for (x, out) in x.chunks_exact_mut(width).zip(out.chunks_exact_mut(width)) {
            for ((x, bias), out) in x.iter_mut().zip(bias).zip(out) {
                *x += bias;
                *out = *x * normal::<FMA>(*x).0;
            }
        }
    }
}

vectorised! {
    /// gelu'(x) = Phi(x) + x phi(x)
    fn gelu_slopes(x: &[f32], gradient: &[f32], to_x: &mut [f32]) {
        /// 1 / sqrt(2 pi)
        const DENSITY: f32 = 0.398_942_3;
        for ((to_x, &x), gradient) in to_x.iter_mut().zip(x).zip(gradient) {
            let (share, bell) = normal::<FMA>(x);
            *to_x = gradient * multiply_add::<FMA>(DENSITY * x, bell, share);
        }
    }
}

vectorised! {
    fn relu(x: &mut [f32], bias: &[f32], out: &mut [f32]) {
        let width = bias.len().max(1);
        for (x, out) in x.chunks_exact_mut(width).zip(out.chunks_exact_mut(width)) {
            for ((x, bias), out) in x.iter_mut().zip(bias).zip(out) {
                *x += bias;
                *out = if *x < 0.0 { 0.0 } else { *x };
            }
        }
    }
}

vectorised! {
    fn relu_slopes(x: &[f32], gradient: &[f32], to_x: &mut [f32]) {
        for ((to_x, &x), gradient) in to_x.iter_mut().zip(x).zip(gradient) {
            *to_x = if x > 0.0 { *gradient } else { 0.0 };
        }
    }
}

vectorised! {
    fn silu_gate(x: &mut [f32], bias: &[f32], out: &mut [f32]) {
        let width = (bias.len() / 2).max(1);
        for (x, out) in x.chunks_exact_mut(2 * width).zip(out.chunks_exact_mut(width)) {
            for (x, bias) in x.iter_mut().zip(bias) {
                *x += bias;
            }
            let (gates, values) = x.split_at(width);
            for ((gate, value), out) in gates.iter().zip(values).zip(out) {
                *out = gate * logistic::<FMA>(*gate) * value;
            }
        }
    }
}

vectorised! {
    /// silu'(g) = s + g s (1 - s)
    fn silu_gate_slopes(x: &[f32], gradient: &[f32], to_x: &mut [f32], packed: usize) {
        let width = (packed / 2).max(1);
        let rows = x.chunks_exact(2 * width).zip(to_x.chunks_exact_mut(2 * width));
        for ((x, to_x), gradient) in rows.zip(gradient.chunks_exact(width)) {
            let (gates, values) = x.split_at(width);
            let (to_gates, to_values) = to_x.split_at_mut(width);
            let columns = gates.iter().zip(values).zip(to_gates.iter_mut().zip(to_values)).zip(gradient);
            for (((gate, value), (to_gate, to_value)), gradient) in columns {
                let share = logistic::<FMA>(*gate);
                *to_value = gradient * gate * share;
                *to_gate = gradient * value * multiply_add::<FMA>(gate * share, 1.0 - share, share);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::linear_then;
    use super::super::testing::{Case, numbers};
    use super::*;
    use burn::tensor::{Device, TensorData};

    const ALL: [Activation; 4] = [Activation::GeluTanh, Activation::Gelu, Activation::Relu, Activation::SiluGate];

    #[test]
    fn fused_is_plain() {
        for activation in ALL {
            for [rows, wide] in [[1, 2], [3, 8], [65, 48], [300, 130]] {
                let case = Case::new(&[&[rows, wide]], 3.0);
                let run = |op: fn(Tensor<2>, Activation) -> Tensor<2>| {
                    move |x: &[Tensor<1>]| op(x[0].clone().reshape([rows, wide]), activation).flatten(0, 1)
                };
                case.agrees(run(activate), run(|x, activation| activation.plain(x)));
                case.ignores_threads(run(activate));
                if rows == 3 {
                    case.differentiates(run(activate));
                }
            }
        }
    }

    #[test]
    fn alone_it_has_the_bits_that_it_has_behind_a_product() {
        let device = Device::flex();
        let matrix = |seed, shape: [usize; 2]| -> Tensor<2> {
            Tensor::from_data(TensorData::new(numbers(shape[0] * shape[1], seed), shape), &device)
        };
        for activation in ALL {
            let (x, weight) = (matrix(1, [70, 9]), matrix(2, [9, 34]));
            let bias: Tensor<1> = matrix(3, [1, 34]).flatten(0, 1);
            let apart = activate(super::super::linear(x.clone(), weight.clone(), bias.clone()), activation).into_data();
            assert!(apart == linear_then(x, weight, bias, activation).into_data(), "{activation:?}");
        }
    }
}
