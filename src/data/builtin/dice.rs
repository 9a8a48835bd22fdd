//! Random choices that depend only on (purpose, seed, index), so that text `i` is the same whatever else is generated.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A stream of choices.
pub struct Dice(ChaCha8Rng);

impl Dice {
    /// The stream of text `index`; the ChaCha8 key is the BLAKE3 hash of the three parts.
    pub fn new(purpose: &str, seed: u64, index: u64) -> Self {
        let mut hasher = blake3::Hasher::new();
        // Fixed-width numbers first, so that no two triples give the same bytes.
        hasher.update(&seed.to_le_bytes()).update(&index.to_le_bytes()).update(purpose.as_bytes());
        Self(ChaCha8Rng::from_seed(*hasher.finalize().as_bytes()))
    }

    /// Uniform in [0, 1).
    pub fn unit(&mut self) -> f64 {
        // 53 bits fill the mantissa exactly.
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True with probability `p`.
    pub fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// Uniform in 0..`count`; `count` must be positive.
    pub fn below(&mut self, count: usize) -> usize {
        // Truncation keeps the result below `count`; the bias of 2^-53 is of no concern.
        (self.unit() * count as f64) as usize
    }

    /// A uniform element of a table that is not empty.
    pub fn pick<T: Copy>(&mut self, table: &[T]) -> T {
        table[self.below(table.len())]
    }

    /// An index drawn in proportion to `weights`, which must not all be zero.
    pub fn weighted(&mut self, weights: &[usize]) -> usize {
        let mut left = self.below(weights.iter().sum());
        for (index, &weight) in weights.iter().enumerate() {
            if left < weight {
                return index;
            }
            left -= weight;
        }
        weights.len() - 1
    }
}
