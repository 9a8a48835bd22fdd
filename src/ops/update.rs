//! One step of an optimiser in one pass over a weight, its gradient and its state, in place; and sums of squares.

use super::kernel::{contiguous, floats, for_chunks, for_each, is_on_cpu, new, worth_threads, writable};
use super::profile::timed;
use super::simd::{LANES, multiply_add, sum, vectorised};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;

/// PyTorch's update rules, with what is the same for all weights in a step. g is the gradient times `scale`.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// torch.optim.RMSprop: g += wd p; v = a v + (1 - a) g^2; b = m b + g / (sqrt(v) + eps); p -= lr b.
    Rmsprop {
        /// a
        smoothing: f64,
        /// eps
        epsilon: f64,
        /// m; with 0 there is no b.
        momentum: f64,
        /// wd
        weight_decay: f64,
    },
    /// torch.optim.AdamW: p *= 1 - lr wd; m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2; p -= lr / c1 m / (sqrt(v) / sqrt(c2) + eps).
    Adamw {
        /// b1
        beta1: f64,
        /// b2
        beta2: f64,
        /// c1 = 1 - b1^t
        bias1: f64,
        /// c2 = 1 - b2^t
        bias2: f64,
        /// eps
        epsilon: f64,
        /// wd
        weight_decay: f64,
    },
    /// torch.optim.SGD: g += wd p; b = m b + g; p -= lr b.
    Sgd {
        /// m; with 0 there is no b.
        momentum: f64,
        /// wd
        weight_decay: f64,
    },
}

impl Rule {
    /// Vectors of state that a weight has.
    pub fn states(&self) -> usize {
        match self {
            Rule::Adamw { .. } => 2,
            Rule::Rmsprop { momentum, .. } => 1 + usize::from(*momentum > 0.0),
            Rule::Sgd { momentum, .. } => usize::from(*momentum > 0.0),
        }
    }
}

/// One step of an optimiser, the same for all weights.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// The update rule.
    pub rule: Rule,
    /// Learning rate.
    pub rate: f64,
    /// What gradients are multiplied by first: the factor of clipping.
    pub scale: f64,
}

/// A weight and its [`Rule::states`] vectors of state after a step. What nothing else holds is written into.
pub fn update(step: Step, value: Tensor<1>, gradient: Tensor<1>, states: Vec<Tensor<1>>) -> (Tensor<1>, Vec<Tensor<1>>) {
    let count = step.rule.states();
    assert_eq!(states.len(), count, "the number of states of {:?}", step.rule);
    if !is_on_cpu(&value) || value.device().is_autodiff() {
        return update_plain(step, value, gradient, states);
    }
    let device = value.device();
    let mut states = states.into_iter().map(Tensor::into_dispatch);
    // What a rule does not have is one number that nothing reads.
    let mut state = || states.next().unwrap_or_else(|| Tensor::<1>::zeros([1], &device).into_dispatch());
    let (first, second) = (state(), state());
    let (value, first, second) = Dispatch::fused_update(value.into_dispatch(), gradient.into_dispatch(), first, second, step);
    (Tensor::from_dispatch(value), [first, second].into_iter().take(count).map(Tensor::from_dispatch).collect())
}

/// [`update`] of Burn's own operations.
pub(crate) fn update_plain(
    step: Step,
    value: Tensor<1>,
    gradient: Tensor<1>,
    states: Vec<Tensor<1>>,
) -> (Tensor<1>, Vec<Tensor<1>>) {
    let Step { rule, rate, scale } = step;
    let gradient = gradient.mul_scalar(scale);
    let decayed =
        |gradient: Tensor<1>, decay: f64| if decay == 0.0 { gradient } else { gradient + value.clone().mul_scalar(decay) };
    let average = |state: Tensor<1>, share: f64, new: Tensor<1>| state.mul_scalar(share) + new.mul_scalar(1.0 - share);
    let mut states = states.into_iter();
    match (rule, states.next(), states.next()) {
        (Rule::Rmsprop { smoothing, epsilon, momentum, weight_decay }, Some(variance), momenta) => {
            let gradient = decayed(gradient, weight_decay);
            let variance = average(variance, smoothing, gradient.clone() * gradient.clone());
            let direction = gradient / variance.clone().sqrt().add_scalar(epsilon);
            match momenta {
                None => (value - direction.mul_scalar(rate), vec![variance]),
                Some(momenta) => {
                    let momenta = momenta.mul_scalar(momentum) + direction;
                    (value - momenta.clone().mul_scalar(rate), vec![variance, momenta])
                }
            }
        }
        (Rule::Adamw { beta1, beta2, bias1, bias2, epsilon, weight_decay }, Some(mean), Some(variance)) => {
            let mean = average(mean, beta1, gradient.clone());
            let variance = average(variance, beta2, gradient.clone() * gradient);
            let scale = variance.clone().sqrt().div_scalar(bias2.sqrt()).add_scalar(epsilon);
            let value = value.mul_scalar(1.0 - rate * weight_decay) - mean.clone().div(scale).mul_scalar(rate / bias1);
            (value, vec![mean, variance])
        }
        (Rule::Sgd { weight_decay, .. }, None, _) => {
            let gradient = decayed(gradient, weight_decay);
            (value - gradient.mul_scalar(rate), Vec::new())
        }
        (Rule::Sgd { momentum, weight_decay }, Some(momenta), _) => {
            let momenta = momenta.mul_scalar(momentum) + decayed(gradient, weight_decay);
            (value - momenta.clone().mul_scalar(rate), vec![momenta])
        }
        _ => unreachable!("`update` checks the number of states"),
    }
}

/// The sum of the squares of all elements of some vectors, in f64 over sums in f32: of a few thousand on the CPU, of a vector each
/// elsewhere, where the host waits for the device once.
pub fn sum_of_squares(all: &[Tensor<1>]) -> f64 {
    let sums = |x: &Tensor<1>| {
        if is_on_cpu(x) && !x.device().is_autodiff() {
            return Tensor::<1>::from_dispatch(Dispatch::fused_square_sums(x.clone().into_dispatch()));
        }
        (x.clone() * x.clone()).sum()
    };
    let host = |sums: Tensor<1>| sums.into_data().iter::<f32>().map(f64::from).sum::<f64>();
    if all.iter().all(is_on_cpu) {
        return all.iter().map(sums).map(host).sum();
    }
    host(Tensor::cat(all.iter().map(sums).collect(), 0))
}

/// An optimiser's step, and sums of squares of chunks, without gradients.
#[backend_extension(Flex)]
pub(crate) trait FusedUpdate: Backend {
    fn fused_update(
        value: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        step: Step,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    fn fused_square_sums(x: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// Elements of a chunk.
const CHUNK: usize = 1 << 14;
/// Elementary operations an element.
const COST: usize = 4;

impl FusedUpdate for Flex {
    fn fused_update(
        value: FlexTensor,
        gradient: FlexTensor,
        first: FlexTensor,
        second: FlexTensor,
        step: Step,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let gradient = contiguous(gradient);
        let [mut value, mut first, mut second] = [value, first, second].map(writable);
        let mut firsts = first.storage_mut::<f32>().chunks_mut(CHUNK);
        let mut seconds = second.storage_mut::<f32>().chunks_mut(CHUNK);
        let values = value.storage_mut::<f32>().chunks_mut(CHUNK).zip(floats(&gradient).chunks(CHUNK));
        let mut chunks: Vec<Chunk<'_>> = values
            .map(|(value, gradient)| {
                let (first, second) = (firsts.next().unwrap_or_default(), seconds.next().unwrap_or_default());
                Chunk { value, gradient, first, second }
            })
            .collect();
        let threads = worth_threads(COST * floats(&gradient).len());
        timed("optimiser's update", "", || {
            for_each(threads, &mut chunks, |chunk| chunk.update(step));
        });
        (value, first, second)
    }

    fn fused_square_sums(x: FlexTensor) -> FlexTensor {
        let x = contiguous(x);
        let x = floats(&x);
        let mut sums = vec![0.0; x.len().div_ceil(CHUNK)];
        for_chunks(worth_threads(x.len()), (&mut sums, 1), |index, sum| {
            sum[0] = square_sum(&x[index * CHUNK..][..CHUNK.min(x.len() - index * CHUNK)]);
        });
        let count = sums.len();
        new(sums, [count])
    }
}

/// A part of a weight; states that its rule does not have mean nothing.
struct Chunk<'a> {
    value: &'a mut [f32],
    gradient: &'a [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
}

impl Chunk<'_> {
    /// Constants are rounded once, after what f64 makes of them.
    fn update(&mut self, Step { rule, rate, scale }: Step) {
        let Chunk { value, gradient, first, second } = self;
        match rule {
            Rule::Rmsprop { smoothing, epsilon, momentum, weight_decay } if momentum > 0.0 => {
                let constants = [rate, scale, smoothing, 1.0 - smoothing, epsilon, momentum, weight_decay];
                rmsprop(value, gradient, first, second, constants.map(|x| x as f32));
            }
            Rule::Rmsprop { smoothing, epsilon, weight_decay, .. } => {
                let constants = [rate, scale, smoothing, 1.0 - smoothing, epsilon, weight_decay];
                plain_rmsprop(value, gradient, first, constants.map(|x| x as f32));
            }
            Rule::Adamw { beta1, beta2, bias1, bias2, epsilon, weight_decay } => {
                let betas = [beta1, 1.0 - beta1, beta2, 1.0 - beta2];
                let step = [scale, 1.0 - rate * weight_decay, rate / bias1, 1.0 / bias2.sqrt(), epsilon];
                adamw(value, gradient, first, second, betas.map(|x| x as f32), step.map(|x| x as f32));
            }
            Rule::Sgd { momentum, weight_decay } if momentum > 0.0 => {
                sgd(value, gradient, first, [rate, scale, momentum, weight_decay].map(|x| x as f32));
            }
            Rule::Sgd { weight_decay, .. } => plain_sgd(value, gradient, [rate, scale, weight_decay].map(|x| x as f32)),
        }
    }
}

vectorised! {
    fn rmsprop(p: &mut [f32], g: &[f32], v: &mut [f32], b: &mut [f32], constants: [f32; 7]) {
        let [rate, scale, smoothing, rest, epsilon, momentum, decay] = constants;
        for (((p, g), v), b) in p.iter_mut().zip(g).zip(v).zip(b) {
            let g = multiply_add::<FMA>(decay, *p, scale * g);
            *v = multiply_add::<FMA>(smoothing, *v, rest * g * g);
            *b = multiply_add::<FMA>(momentum, *b, g / (v.sqrt() + epsilon));
            *p = multiply_add::<FMA>(-rate, *b, *p);
        }
    }
}

vectorised! {
    fn plain_rmsprop(p: &mut [f32], g: &[f32], v: &mut [f32], constants: [f32; 6]) {
        let [rate, scale, smoothing, rest, epsilon, decay] = constants;
        for ((p, g), v) in p.iter_mut().zip(g).zip(v) {
            let g = multiply_add::<FMA>(decay, *p, scale * g);
            *v = multiply_add::<FMA>(smoothing, *v, rest * g * g);
            *p = multiply_add::<FMA>(-rate, g / (v.sqrt() + epsilon), *p);
        }
    }
}

vectorised! {
    fn adamw(p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32], betas: [f32; 4], step: [f32; 5]) {
        let ([beta1, rest1, beta2, rest2], [scale, kept, rate, bias, epsilon]) = (betas, step);
        for (((p, g), m), v) in p.iter_mut().zip(g).zip(m).zip(v) {
            let g = scale * g;
            *m = multiply_add::<FMA>(beta1, *m, rest1 * g);
            *v = multiply_add::<FMA>(beta2, *v, rest2 * g * g);
            *p = multiply_add::<FMA>(kept, *p, -rate * *m / multiply_add::<FMA>(v.sqrt(), bias, epsilon));
        }
    }
}

vectorised! {
    fn sgd(p: &mut [f32], g: &[f32], b: &mut [f32], constants: [f32; 4]) {
        let [rate, scale, momentum, decay] = constants;
        for ((p, g), b) in p.iter_mut().zip(g).zip(b) {
            *b = multiply_add::<FMA>(momentum, *b, multiply_add::<FMA>(decay, *p, scale * g));
            *p = multiply_add::<FMA>(-rate, *b, *p);
        }
    }
}

vectorised! {
    fn plain_sgd(p: &mut [f32], g: &[f32], constants: [f32; 3]) {
        let [rate, scale, decay] = constants;
        for (p, g) in p.iter_mut().zip(g) {
            *p = multiply_add::<FMA>(-rate, multiply_add::<FMA>(decay, *p, scale * g), *p);
        }
    }
}

vectorised! {
    fn square_sum(x: &[f32]) -> f32 {
        let (chunks, tail) = x.as_chunks::<LANES>();
        let mut sums = [0.0; LANES];
        for chunk in chunks {
            for lane in 0..LANES {
                sums[lane] = multiply_add::<FMA>(chunk[lane], chunk[lane], sums[lane]);
            }
        }
        sum(sums) + tail.iter().map(|x| x * x).sum::<f32>()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{numbers, plainly};
    use super::*;
    use burn::tensor::{Device, TensorData};

    const RULES: [Rule; 5] = [
        Rule::Rmsprop { smoothing: 0.99, epsilon: 1e-8, momentum: 0.0, weight_decay: 0.0 },
        Rule::Rmsprop { smoothing: 0.9, epsilon: 1e-3, momentum: 0.5, weight_decay: 0.1 },
        Rule::Adamw { beta1: 0.9, beta2: 0.98, bias1: 0.1, bias2: 0.02, epsilon: 1e-8, weight_decay: 0.01 },
        Rule::Sgd { momentum: 0.0, weight_decay: 0.1 },
        Rule::Sgd { momentum: 0.9, weight_decay: 0.0 },
    ];

    fn vector(count: usize, seed: u64) -> Tensor<1> {
        Tensor::from_data(TensorData::new(numbers(count, seed), [count]), &Device::flex())
    }

    type Update = fn(Step, Tensor<1>, Tensor<1>, Vec<Tensor<1>>) -> (Tensor<1>, Vec<Tensor<1>>);

    /// The weight and its states after three steps.
    fn steps(update: Update, rule: Rule, count: usize) -> Vec<Tensor<1>> {
        let mut value = vector(count, 1);
        let mut states: Vec<Tensor<1>> = (0..rule.states()).map(|_| Tensor::zeros([count], &Device::flex())).collect();
        for step in 0..3 {
            (value, states) = update(Step { rule, rate: 0.1, scale: 0.5 }, value, vector(count, 2 + step), states);
        }
        states.insert(0, value);
        states
    }

    #[test]
    fn one_pass_is_plain() {
        for rule in RULES {
            for count in [1, 17, 40_000] {
                for (got, wanted) in steps(update, rule, count).into_iter().zip(steps(update_plain, rule, count)) {
                    let difference: f32 = (got - wanted).abs().max().into_scalar();
                    assert!(difference < 1e-5, "{rule:?} of {count}: {difference}");
                }
            }
        }
    }

    #[test]
    fn another_handle_keeps_its_values() {
        let value = vector(20, 1);
        let before: Vec<f32> = value.to_data().iter::<f32>().collect();
        let (after, _) = update(Step { rule: RULES[3], rate: 0.1, scale: 1.0 }, value.clone(), vector(20, 2), Vec::new());
        assert_eq!(value.to_data().iter::<f32>().collect::<Vec<_>>(), before);
        assert_ne!(after.to_data().iter::<f32>().collect::<Vec<_>>(), before);
    }

    #[test]
    fn squares_are_summed() {
        for count in [1, 15, 50_000] {
            let wanted: f64 = numbers(count, 3).into_iter().map(|x| f64::from(x).powi(2)).sum();
            let got = sum_of_squares(&[vector(count, 3)]);
            let apart = plainly(|| sum_of_squares(&[vector(count, 3), vector(0, 1), vector(count, 3)]));
            assert!((apart - 2.0 * got).abs() <= 1e-6 * got, "{apart} is not twice {got}");
            assert!((got - wanted).abs() < 1e-6 * wanted, "{count}: {got} is not {wanted}");
        }
        assert!(sum_of_squares(&[Tensor::from_floats([1.0, f32::NAN], &Device::flex())]).is_nan());
    }
}
