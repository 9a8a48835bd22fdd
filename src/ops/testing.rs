//! How the kernels are tested: against Burn's own operations, finite differences and other numbers of threads.

use burn::tensor::{Device, Tensor, TensorData};

thread_local! {
    static PLAIN: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Whether operations called from this thread are to be Burn's own.
pub(crate) fn is_plain() -> bool {
    PLAIN.get()
}

/// Runs `work` with Burn's own operations in place of the kernels.
pub(crate) fn plainly<T>(work: impl FnOnce() -> T) -> T {
    PLAIN.set(true);
    let result = work();
    PLAIN.set(false);
    result
}

/// Random inputs of an operation that takes and returns flat tensors.
pub(crate) struct Case {
    inputs: Vec<Vec<f32>>,
}

/// Numbers in [-1, 1) from a linear congruential generator.
pub(crate) fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn flat(values: &[f32], device: &Device) -> Tensor<1> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), device)
}

fn host(tensor: &Tensor<1>) -> Vec<f32> {
    tensor.to_data().iter::<f32>().collect()
}

fn close(got: &[f32], wanted: &[f32], tolerance: f32, what: &str) {
    assert_eq!(got.len(), wanted.len(), "{what}");
    for (index, (got, wanted)) in got.iter().zip(wanted).enumerate() {
        assert!((got - wanted).abs() <= tolerance * wanted.abs().max(1.0), "{what}, element {index}: {got} is not {wanted}");
    }
}

impl Case {
    /// Inputs of these shapes, uniform in [-scale, scale).
    pub(crate) fn new(shapes: &[&[usize]], scale: f32) -> Self {
        let input = |(index, shape): (usize, &&[usize])| {
            numbers(shape.iter().product(), index as u64 + 1).into_iter().map(|x| scale * x).collect()
        };
        Case { inputs: shapes.iter().enumerate().map(input).collect() }
    }

    /// Output, and gradients of a random weighting of it.
    fn run(&self, operation: &impl Fn(&[Tensor<1>]) -> Tensor<1>) -> (Vec<f32>, Vec<Vec<f32>>) {
        let device = Device::flex().autodiff();
        let leaves: Vec<_> = self.inputs.iter().map(|values| flat(values, &device).require_grad()).collect();
        let output = operation(&leaves);
        let [length] = output.dims();
        let tape = (output.clone() * flat(&numbers(length, 99), &device)).sum().backward();
        let gradients = leaves.iter().map(|leaf| host(&leaf.grad(&tape).expect("a gradient"))).collect();
        (host(&output.inner()), gradients)
    }

    fn outside_the_tape(&self, operation: &impl Fn(&[Tensor<1>]) -> Tensor<1>) -> Vec<f32> {
        let inputs: Vec<_> = self.inputs.iter().map(|values| flat(values, &Device::flex())).collect();
        host(&operation(&inputs))
    }

    /// Two operations have the same outputs and gradients.
    pub(crate) fn agrees(&self, fused: impl Fn(&[Tensor<1>]) -> Tensor<1>, plain: impl Fn(&[Tensor<1>]) -> Tensor<1>) {
        let (got, gradients) = self.run(&fused);
        let (wanted, wanted_gradients) = self.run(&plain);
        close(&got, &wanted, 1e-5, "output");
        for (index, (got, wanted)) in gradients.iter().zip(&wanted_gradients).enumerate() {
            close(got, wanted, 1e-4, &format!("gradient of input {index}"));
        }
        assert_eq!(self.outside_the_tape(&fused), got, "with and without a tape");
    }

    /// The gradients are those of central differences.
    pub(crate) fn differentiates(&self, operation: impl Fn(&[Tensor<1>]) -> Tensor<1>) {
        const STEP: f32 = 1e-2;
        let (_, gradients) = self.run(&operation);
        let value = |inputs: Vec<Vec<f32>>| -> f64 {
            let output = Case { inputs }.outside_the_tape(&operation);
            let weights = numbers(output.len(), 99);
            output.iter().zip(weights).map(|(y, w)| f64::from(*y) * f64::from(w)).sum()
        };
        for (input, gradient) in gradients.iter().enumerate() {
            for (element, got) in gradient.iter().enumerate() {
                let moved = |step: f32| {
                    let mut inputs = self.inputs.clone();
                    inputs[input][element] += step;
                    inputs
                };
                let wanted = (value(moved(STEP)) - value(moved(-STEP))) as f32 / (2.0 * STEP);
                let error = (got - wanted).abs();
                assert!(error < 3e-3 * wanted.abs().max(1.0), "input {input}, element {element}: {got} is not {wanted}");
            }
        }
    }

    /// One thread and two give the same bits.
    pub(crate) fn ignores_threads(&self, operation: impl Fn(&[Tensor<1>]) -> Tensor<1> + Sync) {
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            pool.install(|| self.run(&operation))
        };
        assert!(with(1) == with(2), "bits depend on the number of threads");
    }
}
