//! How the kernels are tested: against Burn's own operations, finite differences and other numbers of threads.

use burn::tensor::{DType, Device, Tensor, TensorData};

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

    /// Two operations have the same outputs and gradients, the first by its kernel and by its [`Formula`](super::formula::Formula).
    pub(crate) fn agrees(&self, fused: impl Fn(&[Tensor<1>]) -> Tensor<1>, plain: impl Fn(&[Tensor<1>]) -> Tensor<1>) {
        let (wanted, wanted_gradients) = self.run(&plain);
        let check = |how: &str| {
            let (got, gradients) = self.run(&fused);
            close(&got, &wanted, 1e-5, &format!("output of the {how}"));
            for (index, (got, wanted)) in gradients.iter().zip(&wanted_gradients).enumerate() {
                close(got, wanted, 1e-4, &format!("gradient of input {index} of the {how}"));
            }
            assert_eq!(self.outside_the_tape(&fused), got, "with and without a tape, by the {how}");
        };
        check("kernel");
        plainly(|| check("formula"));
    }

    /// The same for huge or tiny inputs, where errors are those of the greatest number involved.
    pub(crate) fn agrees_in_scale(&self, fused: impl Fn(&[Tensor<1>]) -> Tensor<1>, plain: impl Fn(&[Tensor<1>]) -> Tensor<1>) {
        let (wanted, wanted_gradients) = self.run(&plain);
        let alike = |got: &[f32], wanted: &[f32], what: &str| {
            let most = wanted.iter().fold(f32::MIN_POSITIVE, |most, x| most.max(x.abs()));
            let of_most = |values: &[f32]| values.iter().map(|x| x / most).collect::<Vec<_>>();
            close(&of_most(got), &of_most(wanted), 1e-4, what);
        };
        let check = |how: &str| {
            let (got, gradients) = self.run(&fused);
            alike(&got, &wanted, &format!("output of the {how}"));
            for (index, (got, wanted)) in gradients.iter().zip(&wanted_gradients).enumerate() {
                alike(got, wanted, &format!("gradient of input {index} of the {how}"));
            }
        };
        check("kernel");
        plainly(|| check("formula"));
    }

    /// The gradients are those of central differences in f64, where an operation is the plain one.
    pub(crate) fn differentiates(&self, operation: impl Fn(&[Tensor<1>]) -> Tensor<1>) {
        const STEP: f64 = 1e-5;
        let (output, gradients) = self.run(&operation);
        let weights = numbers(output.len(), 99);
        let value = |inputs: &[Vec<f64>]| -> f64 {
            let options = (&Device::flex(), DType::F64);
            let tensor = |values: &Vec<f64>| Tensor::from_data(TensorData::new(values.clone(), [values.len()]), options);
            let output = operation(&inputs.iter().map(tensor).collect::<Vec<_>>()).into_data();
            output.iter::<f64>().zip(&weights).map(|(y, w)| y * f64::from(*w)).sum()
        };
        let inputs: Vec<Vec<f64>> = self.inputs.iter().map(|values| values.iter().map(|x| f64::from(*x)).collect()).collect();
        for (input, gradient) in gradients.iter().enumerate() {
            for (element, got) in gradient.iter().enumerate() {
                let moved = |step: f64| {
                    let mut inputs = inputs.clone();
                    inputs[input][element] += step;
                    value(&inputs)
                };
                let wanted = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
                let error = (f64::from(*got) - wanted).abs();
                assert!(error < 1e-4 * wanted.abs().max(1.0), "input {input}, element {element}: {got} is not {wanted}");
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
