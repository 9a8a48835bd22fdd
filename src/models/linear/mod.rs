//! A logistic regression on hashed word n-grams: the true reward of a corpus with labels, for texts of any length.
//!
//! It is fitted on whole reviews and on short windows of them, since it scores short continuations, and its probability
//! is calibrated for the length of the text. The features are the distinct n-grams, scaled by one over the root of
//! their number, so that saying the same again does not raise a score.
//!
//! What a policy can still exploit, as with every bag of n-grams: a list of *different* positive words scores higher
//! than a sentence with one of them, grammatical or not (on the IMDb data, seven of them without a verb reach 0.999); a
//! phrase said again gains a little, from the word pairs where it meets itself ("great movie" 0.79, three times 0.82);
//! dropping all neutral words raises a score; and negation, irony and quotation are seen only as far as two
//! neighbouring words show them. Fluency is not in the reward; what keeps a policy fluent is the divergence from the
//! reference model that it is measured against.

mod bytes;
mod calibrate;
mod evaluate;
mod features;
mod fit;
mod random;
#[cfg(test)]
mod tests;

pub use evaluate::{Accuracy, evaluate};
pub use fit::{FitSettings, fit};

use calibrate::Calibration;

/// A fitted classifier.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearClassifier {
    ngrams: usize,
    buckets_log2: u32,
    calibration: Calibration,
    /// One per bucket.
    weights: Vec<f32>,
}

impl LinearClassifier {
    /// The probability that a reader calls `text` positive, in [0, 1]. A text without words gets that of its prior.
    pub fn probability(&self, text: &str) -> f64 {
        sigmoid(self.logit(text))
    }

    /// The log odds of [`LinearClassifier::probability`]: finite, and not saturated where the probability rounds to 1.
    pub fn logit(&self, text: &str) -> f64 {
        self.logit_of(&features::tokens(text))
    }

    fn logit_of(&self, tokens: &[u64]) -> f64 {
        let mut buckets = Vec::new();
        features::buckets(tokens, self.ngrams, self.buckets_log2, &mut buckets);
        self.calibration.logit(score(&self.weights, &buckets), buckets.len())
    }
}

/// The sum of the weights of a text's n-grams, over the root of their number.
fn score(weights: &[f32], buckets: &[u32]) -> f64 {
    let sum: f64 = buckets.iter().map(|&bucket| f64::from(weights[bucket as usize])).sum();
    sum / (buckets.len().max(1) as f64).sqrt()
}

fn sigmoid(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}
