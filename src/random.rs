//! Random streams: ChaCha, seeded from what they are for, never from the order of threads.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub struct Stream(ChaCha8Rng);

impl Stream {
    /// The stream of (study seed, run seed, purpose, row). Equal arguments give equal streams on every machine.
    pub fn new(study_seed: u64, run_seed: u64, purpose: &str, row: u64) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("dpo-lab random stream 1");
        for number in [study_seed, run_seed, row] {
            hasher.update(&number.to_le_bytes());
        }
        hasher.update(purpose.as_bytes());
        Stream(ChaCha8Rng::from_seed(*hasher.finalize().as_bytes()))
    }

    /// Uniform in [0, 1), with 53 bits.
    pub fn uniform(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in 0..bound; `bound` must not be 0.
    pub fn below(&mut self, bound: usize) -> usize {
        // Lemire's multiply-shift; its bias of bound / 2^64 is far below anything measured here.
        ((u128::from(self.0.next_u64()) * bound as u128) >> 64) as usize
    }

    /// Standard normal, by Box and Muller.
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// A permutation of 0..length, by Fisher and Yates.
    pub fn permutation(&mut self, length: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..length).collect();
        for last in (1..length).rev() {
            order.swap(last, self.below(last + 1));
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_by_every_part_of_their_seed() {
        let first = |study, run, purpose: &str, row| Stream::new(study, run, purpose, row).uniform();
        let base = first(0, 0, "samples", 0);
        assert_eq!(base, first(0, 0, "samples", 0));
        for other in [first(1, 0, "samples", 0), first(0, 1, "samples", 0), first(0, 0, "batches", 0), first(0, 0, "samples", 1)]
        {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn normals_have_mean_0_and_deviation_1() {
        let mut stream = Stream::new(0, 0, "test", 0);
        let draws: Vec<f64> = (0..20_000).map(|_| stream.normal()).collect();
        let mean = draws.iter().sum::<f64>() / 20_000.0;
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 20_000.0;
        assert!(mean.abs() < 0.03, "{mean}");
        assert!((variance - 1.0).abs() < 0.04, "{variance}");
    }

    #[test]
    fn permutations_hold_every_index_once() {
        let mut order = Stream::new(0, 0, "test", 1).permutation(100);
        assert_ne!(order, (0..100).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..100).collect::<Vec<_>>());
    }
}
