//! One token of a distribution over the vocabulary: temperature, then top-k, then top-p, as in `transformers`.

use crate::ops;
use crate::random::Stream;
use serde::{Deserialize, Serialize};

/// How completions are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// Divides the logits; 0 is greedy.
    pub temperature: f64,
    /// Only so many most probable tokens can be drawn; 0 is all. What is as probable as the last of them can be drawn, too.
    pub top_k: usize,
    /// Only the fewest most probable tokens that have this probability together can be drawn (Holtzman et al. 2020); 1 is all.
    pub top_p: f64,
    /// Longest completion in tokens.
    pub max_new_tokens: usize,
    /// Completions a prompt.
    pub samples: usize,
}

/// Draws tokens; keeps its buffers from one to the next.
#[derive(Default)]
pub(super) struct Sampler {
    shares: Vec<f32>,
    order: Vec<u32>,
}

impl Sampler {
    /// One token by inverting the cumulative distribution; greedy draws take nothing of the stream.
    pub(super) fn draw(&mut self, logits: &[f32], sampling: &Sampling, stream: &mut Stream) -> u32 {
        if sampling.temperature == 0.0 {
            return most_probable(logits);
        }
        ops::shares(logits, sampling.temperature as f32, &mut self.shares);
        self.cut_to_top_k(sampling.top_k);
        self.cut_to_top_p(sampling.top_p);
        let mut left = stream.uniform() * total(&self.shares);
        for (chunk, shares) in self.shares.chunks(CHUNK).enumerate() {
            let share = chunk_total(shares);
            if left >= share {
                left -= share;
                continue;
            }
            for (index, share) in shares.iter().enumerate() {
                left -= f64::from(*share);
                if left < 0.0 {
                    return (chunk * CHUNK + index) as u32;
                }
            }
        }
        // Rounding may leave a little behind the last one.
        most_probable(logits)
    }

    fn cut_to_top_k(&mut self, k: usize) {
        if k == 0 || k >= self.shares.len() {
            return;
        }
        let mut sorted = self.shares.clone();
        let (_, least, _) = sorted.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a));
        let least = *least;
        for share in self.shares.iter_mut().filter(|share| **share < least) {
            *share = 0.0;
        }
    }

    fn cut_to_top_p(&mut self, p: f64) {
        if p >= 1.0 {
            return;
        }
        let enough = p * total(&self.shares);
        let shares = &mut self.shares;
        self.order.clear();
        self.order.extend((0..shares.len() as u32).filter(|index| shares[*index as usize] > 0.0));
        // Among equals the earlier token is kept.
        self.order.sort_by(|a, b| shares[*b as usize].total_cmp(&shares[*a as usize]));
        let mut sum = 0.0;
        for index in &self.order {
            let share = &mut shares[*index as usize];
            if sum >= enough && sum > 0.0 {
                *share = 0.0;
            } else {
                sum += f64::from(*share);
            }
        }
    }
}

/// Shares that are summed at once.
const CHUNK: usize = 64;

fn chunk_total(shares: &[f32]) -> f64 {
    shares.iter().map(|share| f64::from(*share)).sum()
}

fn total(shares: &[f32]) -> f64 {
    shares.chunks(CHUNK).map(chunk_total).sum()
}

/// The first of the greatest.
fn most_probable(logits: &[f32]) -> u32 {
    let better = |best: usize, index: usize| if logits[index] > logits[best] { index } else { best };
    (0..logits.len()).reduce(better).unwrap_or(0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Sampling = Sampling { temperature: 1.0, top_k: 0, top_p: 1.0, max_new_tokens: 1, samples: 1 };

    /// How often each token is drawn in 20,000 draws.
    fn frequencies(logits: &[f32], sampling: Sampling) -> Vec<f64> {
        let mut stream = Stream::new(1, 2, "sampling test", 3);
        let (mut sampler, mut counts) = (Sampler::default(), vec![0.0; logits.len()]);
        for _ in 0..20_000 {
            counts[sampler.draw(logits, &sampling, &mut stream) as usize] += 1.0 / 20_000.0;
        }
        counts
    }

    fn close(got: &[f64], wanted: &[f64]) {
        // Five standard errors of a frequency are at most .018.
        assert!(got.iter().zip(wanted).all(|(got, wanted)| (got - wanted).abs() < 0.018), "{got:?} is not {wanted:?}");
    }

    #[test]
    fn tokens_come_as_often_as_they_should() {
        let probabilities = [0.5, 0.25, 0.15, 0.1];
        let logits = probabilities.map(|p: f64| p.ln() as f32 + 3.0);
        close(&frequencies(&logits, ALL), &probabilities);
        let squares = probabilities.map(|p| p * p / 0.345);
        close(&frequencies(&logits, Sampling { temperature: 0.5, ..ALL }), &squares);
        close(&frequencies(&logits, Sampling { top_k: 2, ..ALL }), &[2.0 / 3.0, 1.0 / 3.0, 0.0, 0.0]);
        close(&frequencies(&logits, Sampling { top_p: 0.7, ..ALL }), &[2.0 / 3.0, 1.0 / 3.0, 0.0, 0.0]);
        close(&frequencies(&logits, Sampling { top_p: 1e-9, ..ALL }), &[1.0, 0.0, 0.0, 0.0]);
        close(&frequencies(&logits, Sampling { temperature: 0.0, ..ALL }), &[1.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn a_long_vocabulary_is_drawn_from_evenly() {
        let got = frequencies(&[0.0; 1000], ALL);
        let (first, second): (f64, f64) = (got[..500].iter().sum(), got[500..].iter().sum());
        close(&[first, second], &[0.5, 0.5]);
        assert!(got.iter().filter(|share| **share > 0.0).count() > 990);
    }

    #[test]
    fn ties_at_k_stay_and_a_certain_token_is_certain() {
        close(&frequencies(&[1.0, 1.0, 1.0, 0.0], Sampling { top_k: 2, ..ALL })[3..], &[0.0]);
        let certain = frequencies(&[f32::NEG_INFINITY, 0.0, f32::NEG_INFINITY], ALL);
        assert!(certain[1] > 0.999_999);
    }
}
