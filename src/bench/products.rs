//! How fast a device multiplies matrices of the shapes that a model's training needs.

use super::subject::Subject;
use super::{after_warm_up, median};
use crate::models::Precision;
use burn::tensor::{Device, Distribution, Tensor};
use serde::Serialize;
use std::time::Instant;

/// A product's rate.
#[derive(Clone, Debug, Serialize)]
pub struct Product {
    /// What of the model it is.
    pub what: &'static str,
    /// Rows, inner size and columns: `[m, k] x [k, n]`.
    pub shape: [usize; 3],
    /// Seconds of the median product.
    pub seconds: f64,
    /// Floating-point operations a second.
    pub flops: f64,
}

/// Products that are queued before the device is waited for.
const QUEUED: usize = 10;

/// Multiplies matrices of a model's shapes for a batch of the subject, each kind `repeats` times.
pub fn products(subject: &Subject, repeats: usize, device: &Device) -> Vec<Product> {
    let config = &subject.model.config;
    let tokens = subject.shape.sequences * subject.shape.tokens;
    let packed = (config.heads.queries + 2 * config.heads.keys) * config.head_width;
    let shapes = [
        ("queries, keys and values", [tokens, config.width, packed]),
        ("feed-forward, widening", [tokens, config.width, config.inner]),
        ("feed-forward, narrowing", [tokens, config.inner, config.width]),
        ("gradient of a feed-forward weight", [config.width, tokens, config.inner]),
        ("logits", [tokens.min(crate::ops::HELD), config.width, config.vocabulary]),
    ];
    shapes.into_iter().map(|(what, shape)| product(what, shape, subject.optimisation.precision, repeats, device)).collect()
}

fn product(what: &'static str, shape: [usize; 3], precision: Precision, repeats: usize, device: &Device) -> Product {
    let [m, k, n] = shape;
    let matrix = |sizes: [usize; 2]| Tensor::<2>::random(sizes, Distribution::Uniform(-1.0, 1.0), device).cast(precision.dtype());
    let (left, right) = (matrix([m, k]), matrix([k, n]));
    let once = || {
        let began = Instant::now();
        let mut last = left.clone().matmul(right.clone());
        for _ in 1..QUEUED {
            last = left.clone().matmul(right.clone());
        }
        // Reading one number waits for all of them.
        let _: f32 = last.slice([0..1, 0..1]).cast(Precision::F32.dtype()).into_scalar();
        began.elapsed().as_secs_f64() / QUEUED as f64
    };
    let seconds = median(after_warm_up((0..repeats).map(|_| once()).collect()));
    Product { what, shape, seconds, flops: 2.0 * (m * k * n) as f64 / seconds }
}
