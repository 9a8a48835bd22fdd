//! Layer normalisation (Ba et al. 2016), with PyTorch's biased variance.
//!
//! With z = (x - mean) / deviation and d = g gain, the backward is dx = (d - mean(d) - z mean(d z)) / deviation,
//! dgain = sum of g z, dbias = sum of g over rows.

use super::formula::{self, Formula, Operand, kept, operand, tensor};
use super::kernel::{Kernel, contiguous, floats, for_chunk_pairs, is_on_cpu, new, record, sizes, worth_threads, writable};
use super::simd::{multiply_add, total, total_of_two, vectorised};
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;

/// (x - mean) / sqrt(var + epsilon) * gain + bias over the last axis of x `[rows, width]`; gain and bias are `[width]`.
pub fn layer_norm(x: Tensor<2>, gain: Tensor<1>, bias: Tensor<1>, epsilon: f64) -> Tensor<2> {
    if !is_on_cpu(&x) {
        return formula::of_three(LayerNorm { epsilon: epsilon as f32 }, x, gain, bias);
    }
    let [x, gain, bias] = [x.into_dispatch(), gain.into_dispatch(), bias.into_dispatch()];
    Tensor::from_dispatch(Dispatch::fused_layer_norm(x, gain, bias, epsilon))
}

/// [`layer_norm`] of Burn's own operations.
pub(crate) fn layer_norm_plain(x: Tensor<2>, gain: Tensor<1>, bias: Tensor<1>, epsilon: f64) -> Tensor<2> {
    let centred = x.clone() - x.mean_dim(1);
    let variance = (centred.clone() * centred.clone()).mean_dim(1);
    centred / variance.add_scalar(epsilon).sqrt() * gain.unsqueeze() + bias.unsqueeze()
}

/// Layer normalisation as one operation.
#[backend_extension(Autodiff, Flex)]
pub(crate) trait FusedLayerNorm: Backend {
    fn fused_layer_norm(
        x: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self>;
}

impl FusedLayerNorm for Flex {
    fn fused_layer_norm(x: FlexTensor, gain: FlexTensor, bias: FlexTensor, epsilon: f64) -> FlexTensor {
        LayerNorm { epsilon: epsilon as f32 }.forward([x, gain, bias]).0
    }
}

impl<C: CheckpointStrategy> FusedLayerNorm for Autodiff<Flex, C> {
    fn fused_layer_norm(
        x: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        record::<C, _, _>(LayerNorm { epsilon: epsilon as f32 }, [x, gain, bias])
    }
}

#[derive(Clone, Debug)]
struct LayerNorm {
    epsilon: f32,
}

impl Formula<3> for LayerNorm {
    fn value(&self, [x, gain, bias]: [Operand; 3]) -> Operand {
        operand(layer_norm_plain(tensor(x), tensor(gain), tensor(bias), f64::from(self.epsilon)))
    }

    fn derivative(&self, inputs: Vec<Operand>, gradient: Operand, wanted: [bool; 3]) -> [Option<Operand>; 3] {
        let [x, gain, _] = kept(inputs);
        let (x, gain, gradient) = (tensor::<2>(x), tensor::<1>(gain), tensor::<2>(gradient));
        let centred = x.clone() - x.mean_dim(1);
        let deviation = (centred.clone() * centred.clone()).mean_dim(1).add_scalar(self.epsilon).sqrt();
        let z = centred / deviation.clone();
        let to_gain = wanted[1].then(|| operand((gradient.clone() * z.clone()).sum_dim(0).squeeze_dim::<1>(0)));
        let to_bias = wanted[2].then(|| operand(gradient.clone().sum_dim(0).squeeze_dim::<1>(0)));
        let d = gradient * gain.unsqueeze();
        let (mean, along) = (d.clone().mean_dim(1), (d.clone() * z.clone()).mean_dim(1));
        [Some(operand((d - mean - z * along) / deviation)), to_gain, to_bias]
    }
}

/// Rows of a chunk, whose gradients of gain and bias are summed on their own.
const CHUNK: usize = 128;
/// Elementary operations an element.
const COST: usize = 8;

impl Kernel<3> for LayerNorm {
    const NAME: &'static str = "layer norm";

    /// x, gain, and (mean, 1 / deviation) of every row.
    type Saved = (FlexTensor, FlexTensor, Vec<f32>);

    fn forward(&self, inputs: [FlexTensor; 3]) -> (FlexTensor, Self::Saved) {
        let [x, gain, bias] = inputs.map(contiguous);
        let [rows, width] = sizes(&x);
        let (mut y, mut moments) = (floats(&x).to_vec(), vec![0.0; 2 * rows]);
        let threads = worth_threads(COST * y.len());
        for_chunk_pairs(threads, (&mut y, CHUNK * width), (&mut moments, 2 * CHUNK), |_, y, moments| {
            normalise(y, moments, floats(&gain), floats(&bias), self.epsilon);
        });
        (new(y, [rows, width]), (x, gain, moments))
    }

    fn backward(&self, (x, gain, moments): Self::Saved, gradient: FlexTensor, _: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let mut gradient = writable(gradient);
        let [rows, width] = sizes(&x);
        let to_x = gradient.storage_mut::<f32>();
        let mut partial = vec![0.0; rows.div_ceil(CHUNK) * 2 * width];
        let threads = worth_threads(COST * to_x.len());
        for_chunk_pairs(threads, (to_x, CHUNK * width), (&mut partial, 2 * width), |index, to_x, partial| {
            let (to_gain, to_bias) = partial.split_at_mut(width);
            let x = &floats(&x)[index * CHUNK * width..][..to_x.len()];
            propagate(to_x, x, &moments[2 * index * CHUNK..], floats(&gain), to_gain, to_bias);
        });
        let mut sums = vec![0.0; 2 * width];
        for partial in partial.chunks_exact((2 * width).max(1)) {
            for (sum, value) in sums.iter_mut().zip(partial) {
                *sum += value;
            }
        }
        let to_bias = sums.split_off(width);
        [Some(gradient), Some(new(sums, [width])), Some(new(to_bias, [width]))]
    }
}

vectorised! {
    /// Normalises rows in place and keeps (mean, 1 / deviation) of each.
    fn normalise(rows: &mut [f32], moments: &mut [f32], gain: &[f32], bias: &[f32], epsilon: f32) {
        let width = gain.len();
        for (row, moments) in rows.chunks_exact_mut(width.max(1)).zip(moments.as_chunks_mut::<2>().0) {
            let mean = total(row, |x| x) / width as f32;
            let variance = total(row, |x| (x - mean) * (x - mean)) / width as f32;
            let scale = 1.0 / (variance + epsilon).sqrt();
            *moments = [mean, scale];
            for ((x, gain), bias) in row.iter_mut().zip(gain).zip(bias) {
                *x = multiply_add::<FMA>((*x - mean) * scale, *gain, *bias);
            }
        }
    }
}

vectorised! {
    /// Replaces gradients of outputs by gradients of inputs, and adds to those of gain and bias.
    fn propagate(gradients: &mut [f32], rows: &[f32], moments: &[f32], gain: &[f32], to_gain: &mut [f32], to_bias: &mut [f32]) {
        let width = gain.len();
        let pairs = gradients.chunks_exact_mut(width.max(1)).zip(rows.chunks_exact(width.max(1)));
        for ((gradient, x), &[mean, scale]) in pairs.zip(moments.as_chunks::<2>().0) {
            let parameters = to_gain.iter_mut().zip(to_bias.iter_mut()).zip(gain);
            for ((g, x), ((to_gain, to_bias), gain)) in gradient.iter_mut().zip(x).zip(parameters) {
                *to_gain = multiply_add::<FMA>(*g, (x - mean) * scale, *to_gain);
                *to_bias += *g;
                *g *= gain;
            }
            let plain = total(gradient, |d| d) / width as f32;
            let along = total_of_two(gradient, x, |d, x| d * (x - mean)) * scale * scale / width as f32;
            for (d, x) in gradient.iter_mut().zip(x) {
                *d = scale * (*d - plain - (x - mean) * along);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Case;
    use super::*;

    #[test]
    fn fused_is_plain() {
        for [rows, width] in [[1, 2], [3, 5], [7, 64], [129, 33], [700, 128]] {
            let case = Case::new(&[&[rows, width], &[width], &[width]], 1.0);
            type Op = fn(Tensor<2>, Tensor<1>, Tensor<1>, f64) -> Tensor<2>;
            let run = |op: Op| {
                move |x: &[Tensor<1>]| op(x[0].clone().reshape([rows, width]), x[1].clone(), x[2].clone(), 1e-5).flatten(0, 1)
            };
            case.agrees(run(layer_norm), run(layer_norm_plain));
            // In one or two columns nothing is left of x but its sign, and its gradient is rounding.
            for scale in [1e-2, 1e4].into_iter().filter(|_| width > 2) {
                let case = Case::new(&[&[rows, width], &[width], &[width]], scale);
                case.agrees_in_scale(run(layer_norm), run(layer_norm_plain));
            }
            case.ignores_threads(run(layer_norm));
            if rows == 3 {
                case.differentiates(run(layer_norm));
            }
        }
    }
}
