//! The operations of a block at GPT-2 small's width, forward and backward, and a whole training step.
//!
//!     cargo bench --bench engine
//!     cargo bench --bench engine -- attention

use burn::tensor::{Device, Tensor, TensorData};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dpo_lab::bench::{Subject, Workload, training};
use dpo_lab::ops::{self, Activation, Family, Heads, Pairing, Prediction, Rotary};

const ROWS: usize = 512;
const WIDTH: usize = 768;
const VOCABULARY: usize = 8192;

/// Numbers without a pattern that matters.
fn matrix(rows: usize, columns: usize, device: &Device) -> Tensor<2> {
    let values: Vec<f32> = (0..rows * columns).map(|index| ((index * 37 % 101) as f32 - 50.0) / 500.0).collect();
    Tensor::from_data(TensorData::new(values, [rows, columns]), device)
}

fn vector(length: usize, device: &Device) -> Tensor<1> {
    matrix(1, length, device).squeeze_dim(0)
}

type Operation = Box<dyn Fn(&Device) -> Tensor<2>>;

/// Each on leaves of its own, so that a backward has all gradients to make.
fn operations() -> Vec<(&'static str, Operation)> {
    let leaf = |rows: usize, columns: usize| move |device: &Device| matrix(rows, columns, device).require_grad();
    let (x, wide, bias) =
        (leaf(ROWS, WIDTH), leaf(WIDTH, 4 * WIDTH), |length, device: &Device| vector(length, device).require_grad());
    let qkv = leaf(ROWS, 3 * WIDTH);
    let heads = Heads::equal(12);
    let predictions: Vec<Prediction> = (0..ROWS).map(|row| Prediction { row, token: (row * 13 % VOCABULARY) as u32 }).collect();
    vec![
        ("linear", Box::new(move |d| ops::linear(x(d), wide(d), bias(4 * WIDTH, d)))),
        ("linear then gelu", Box::new(move |d| ops::linear_then(x(d), wide(d), bias(4 * WIDTH, d), Activation::GeluTanh))),
        ("linear then gate", Box::new(move |d| ops::linear_then(x(d), wide(d), bias(4 * WIDTH, d), Activation::SiluGate))),
        (
            "linear onto residual",
            Box::new(move |d| ops::linear_onto(leaf(ROWS, 4 * WIDTH)(d), x(d), wide(d), bias(4 * WIDTH, d))),
        ),
        ("layer norm", Box::new(move |d| ops::layer_norm(x(d), bias(WIDTH, d), bias(WIDTH, d), 1e-5))),
        ("rms norm", Box::new(move |d| ops::rms_norm(x(d), bias(WIDTH, d), 1e-5))),
        ("attention, 4 x 128", Box::new(move |d| ops::causal_attention(qkv(d), &vec![Family::single(128); 4], heads))),
        (
            "rotary",
            Box::new(move |d| {
                let positions: Vec<usize> = (0..ROWS).map(|row| row % 128).collect();
                ops::rotary(qkv(d), &positions, heads, &Rotary::new(10_000.0, 64, Pairing::Halves))
            }),
        ),
        (
            "head and log-probs",
            Box::new(move |d| ops::token_log_probs(x(d), leaf(VOCABULARY, WIDTH)(d), &predictions).unsqueeze()),
        ),
    ]
}

fn kernels(criterion: &mut Criterion) {
    let device = Device::flex().autodiff();
    let mut group = criterion.benchmark_group("forward and backward");
    group.throughput(Throughput::Elements(ROWS as u64)).sample_size(10);
    for (name, operation) in operations() {
        group.bench_function(name, |bencher| bencher.iter(|| operation(&device).sum().backward()));
    }
}

fn step(criterion: &mut Criterion) {
    let device = Device::flex();
    let mut group = criterion.benchmark_group("eight DPO steps");
    group.sample_size(10);
    for name in ["tiny", "bench-tiny"] {
        let Ok(subject) = Subject::find(name, &device) else { continue };
        let workload = Workload::random(&subject);
        group.bench_function(name, |bencher| bencher.iter(|| training(subject.clone(), &workload, 8, &device).map(drop)));
    }
}

criterion_group!(benches, kernels, step);
criterion_main!(benches);
