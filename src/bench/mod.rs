//! What `dpo-lab bench` measures: the study's own training step and sampling, for models of known size on random tokens, or
//! for any model on pairs from a file.

mod generation;
mod parity;
mod products;
mod subject;
mod training;

pub use generation::{Generation, generation};
pub use parity::{Comparison, parity};
pub use products::{Product, products};
pub use subject::{Shape, Subject};
pub use training::{Breakdown, Part, Training, Workload, breakdown, training};

/// Everything but the first few, which warm caches up.
fn after_warm_up<T>(mut times: Vec<T>) -> Vec<T> {
    times.split_off((times.len() / 3).min(3))
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    match times.len() {
        0 => f64::NAN,
        count if count.is_multiple_of(2) => (times[count / 2 - 1] + times[count / 2]) / 2.0,
        count => times[count / 2],
    }
}
