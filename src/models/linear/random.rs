//! The random choices of a fit and of an evaluation, all from one seed.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A stream of random numbers.
pub struct Random(ChaCha8Rng);

impl Random {
    /// The stream `stream` of `seed`; different streams are independent.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Random(rng)
    }

    /// A number below `bound`, which must not be 0.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.0.next_u64()) * bound as u128) >> 64) as usize
    }

    /// A random order of `items`.
    pub fn shuffle(&mut self, items: &mut [u32]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }

    /// A window of `len` tokens, or all of them where there are fewer.
    pub fn window<'a>(&mut self, tokens: &'a [u64], len: usize) -> &'a [u64] {
        match tokens.len().checked_sub(len) {
            None | Some(0) => tokens,
            Some(slack) => {
                let start = self.below(slack + 1);
                &tokens[start..start + len]
            }
        }
    }
}
