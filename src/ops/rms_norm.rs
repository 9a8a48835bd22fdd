//! Root-mean-square normalisation (Zhang and Sennrich 2019).
//!
//! With z = x / rms and d = g gain, the backward is dx = (d - z mean(d z)) / rms, dgain = sum of g z over rows.

use super::formula::{self, Formula, Operand, kept, operand, tensor};
use super::kernel::{Kernel, contiguous, floats, for_chunk_pairs, is_on_cpu, new, record, sizes, worth_threads, writable};
use super::simd::{multiply_add, total, total_of_two, vectorised};
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;

/// x / sqrt(mean(x^2) + epsilon) * gain over the last axis of x `[rows, width]`; gain is `[width]`.
pub fn rms_norm(x: Tensor<2>, gain: Tensor<1>, epsilon: f64) -> Tensor<2> {
    if !is_on_cpu(&x) {
        return formula::of_two(RmsNorm { epsilon: epsilon as f32 }, x, gain);
    }
    Tensor::from_dispatch(Dispatch::fused_rms_norm(x.into_dispatch(), gain.into_dispatch(), epsilon))
}

/// [`rms_norm`] of Burn's own operations.
pub(crate) fn rms_norm_plain(x: Tensor<2>, gain: Tensor<1>, epsilon: f64) -> Tensor<2> {
    let mean = (x.clone() * x.clone()).mean_dim(1);
    x / mean.add_scalar(epsilon).sqrt() * gain.unsqueeze()
}

/// Root-mean-square normalisation as one operation.
#[backend_extension(Autodiff, Flex)]
pub(crate) trait FusedRmsNorm: Backend {
    fn fused_rms_norm(x: FloatTensor<Self>, gain: FloatTensor<Self>, epsilon: f64) -> FloatTensor<Self>;
}

impl FusedRmsNorm for Flex {
    fn fused_rms_norm(x: FlexTensor, gain: FlexTensor, epsilon: f64) -> FlexTensor {
        RmsNorm { epsilon: epsilon as f32 }.forward([x, gain]).0
    }
}

impl<C: CheckpointStrategy> FusedRmsNorm for Autodiff<Flex, C> {
    fn fused_rms_norm(x: FloatTensor<Self>, gain: FloatTensor<Self>, epsilon: f64) -> FloatTensor<Self> {
        record::<C, _, _>(RmsNorm { epsilon: epsilon as f32 }, [x, gain])
    }
}

#[derive(Clone, Debug)]
struct RmsNorm {
    epsilon: f32,
}

impl Formula<2> for RmsNorm {
    fn value(&self, [x, gain]: [Operand; 2]) -> Operand {
        operand(rms_norm_plain(tensor(x), tensor(gain), f64::from(self.epsilon)))
    }

    fn derivative(&self, inputs: Vec<Operand>, gradient: Operand, wanted: [bool; 2]) -> [Option<Operand>; 2] {
        let [x, gain] = kept(inputs);
        let (x, gain, gradient) = (tensor::<2>(x), tensor::<1>(gain), tensor::<2>(gradient));
        let rms = (x.clone() * x.clone()).mean_dim(1).add_scalar(self.epsilon).sqrt();
        let z = x / rms.clone();
        let to_gain = wanted[1].then(|| operand((gradient.clone() * z.clone()).sum_dim(0).squeeze_dim::<1>(0)));
        let d = gradient * gain.unsqueeze();
        let along = (d.clone() * z.clone()).mean_dim(1);
        [Some(operand((d - z * along) / rms)), to_gain]
    }
}

/// Rows of a chunk, whose gradient of the gain is summed on its own.
const CHUNK: usize = 128;
/// Elementary operations an element.
const COST: usize = 6;

impl Kernel<2> for RmsNorm {
    const NAME: &'static str = "RMS norm";

    /// x, gain, and 1 / rms of every row.
    type Saved = (FlexTensor, FlexTensor, Vec<f32>);

    fn forward(&self, inputs: [FlexTensor; 2]) -> (FlexTensor, Self::Saved) {
        let [x, gain] = inputs.map(contiguous);
        let [rows, width] = sizes(&x);
        let (mut y, mut scales) = (floats(&x).to_vec(), vec![0.0; rows]);
        let threads = worth_threads(COST * y.len());
        for_chunk_pairs(threads, (&mut y, CHUNK * width), (&mut scales, CHUNK), |_, y, scales| {
            normalise(y, scales, floats(&gain), self.epsilon);
        });
        (new(y, [rows, width]), (x, gain, scales))
    }

    fn backward(&self, (x, gain, scales): Self::Saved, gradient: FlexTensor, _: [bool; 2]) -> [Option<FlexTensor>; 2] {
        let mut gradient = writable(gradient);
        let [rows, width] = sizes(&x);
        let to_x = gradient.storage_mut::<f32>();
        let mut partial = vec![0.0; rows.div_ceil(CHUNK) * width];
        let threads = worth_threads(COST * to_x.len());
        for_chunk_pairs(threads, (to_x, CHUNK * width), (&mut partial, width), |index, to_x, partial| {
            let x = &floats(&x)[index * CHUNK * width..][..to_x.len()];
            propagate(to_x, x, &scales[index * CHUNK..], floats(&gain), partial);
        });
        let mut to_gain = vec![0.0; width];
        for partial in partial.chunks_exact(width.max(1)) {
            for (sum, value) in to_gain.iter_mut().zip(partial) {
                *sum += value;
            }
        }
        [Some(gradient), Some(new(to_gain, [width]))]
    }
}

vectorised! {
    /// Normalises rows in place and keeps 1 / rms of each.
    fn normalise(rows: &mut [f32], scales: &mut [f32], gain: &[f32], epsilon: f32) {
        let width = gain.len().max(1);
        for (row, scale) in rows.chunks_exact_mut(width).zip(scales) {
            *scale = 1.0 / (total(row, |x| x * x) / width as f32 + epsilon).sqrt();
            for (x, gain) in row.iter_mut().zip(gain) {
                *x *= *scale * gain;
            }
        }
    }
}

vectorised! {
    /// Replaces gradients of outputs by gradients of inputs, and adds to that of the gain.
    fn propagate(gradients: &mut [f32], rows: &[f32], scales: &[f32], gain: &[f32], to_gain: &mut [f32]) {
        let width = gain.len().max(1);
        for ((gradient, x), scale) in gradients.chunks_exact_mut(width).zip(rows.chunks_exact(width)).zip(scales) {
            for ((g, x), (to_gain, gain)) in gradient.iter_mut().zip(x).zip(to_gain.iter_mut().zip(gain)) {
                *to_gain = multiply_add::<FMA>(*g, x * scale, *to_gain);
                *g *= gain;
            }
            let along = total_of_two(gradient, x, |d, x| d * x) * scale * scale / width as f32;
            for (d, x) in gradient.iter_mut().zip(x) {
                *d = scale * (*d - x * along);
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
        for [rows, width] in [[1, 1], [1, 2], [3, 5], [7, 64], [129, 33], [700, 128]] {
            let case = Case::new(&[&[rows, width], &[width]], 1.0);
            type Op = fn(Tensor<2>, Tensor<1>, f64) -> Tensor<2>;
            let run = |op: Op| move |x: &[Tensor<1>]| op(x[0].clone().reshape([rows, width]), x[1].clone(), 1e-5).flatten(0, 1);
            case.agrees(run(rms_norm), run(rms_norm_plain));
            // In one or two columns nothing is left of x but its sign, and its gradient is rounding.
            for scale in [1e-2, 1e4].into_iter().filter(|_| width > 2) {
                Case::new(&[&[rows, width], &[width]], scale).agrees_in_scale(run(rms_norm), run(rms_norm_plain));
            }
            case.ignores_threads(run(rms_norm));
            if rows == 3 {
                case.differentiates(run(rms_norm));
            }
        }
    }
}
