//! Fitting: Adagrad on log loss, one text at a time, in an order that the seed alone decides. It runs on one thread;
//! only the hashing of words is parallel, and that has no order to lose.

use rayon::prelude::*;

use super::bytes::{BUCKETS_LOG2, NGRAMS};
use super::calibrate::{Calibration, Held};
use super::random::Random;
use super::{LinearClassifier, features, score, sigmoid};
use crate::error::{Error, Result};

/// What a fit depends on besides the texts.
#[derive(Clone, Debug, PartialEq)]
pub struct FitSettings {
    /// Of the order of the texts, of the windows, and of the held-out part.
    pub seed: u64,
    /// N-grams of one to this many words (1 to 3).
    pub ngrams: usize,
    /// The logarithm of the number of weights (8 to 26).
    pub buckets_log2: u32,
    /// Passes over the texts. A small corpus gets more, until there were enough steps to learn from it.
    pub epochs: usize,
    /// Pull of a weight towards 0, at every step that uses it.
    pub l2: f64,
    /// Random windows of 8 to 64 words that go with each whole text, others in each epoch.
    pub windows_per_review: usize,
}

impl Default for FitSettings {
    fn default() -> Self {
        FitSettings { seed: 0, ngrams: 2, buckets_log2: 21, epochs: 4, l2: 1e-4, windows_per_review: 4 }
    }
}

impl FitSettings {
    fn check(&self) -> Result<()> {
        let wrong = |what: String| Err(Error::Usage(format!("classifier: {what}")));
        if !NGRAMS.contains(&self.ngrams) {
            return wrong(format!("ngrams is {}; choose 1 to 3", self.ngrams));
        }
        if !BUCKETS_LOG2.contains(&self.buckets_log2) {
            return wrong(format!("buckets_log2 is {}; choose 8 to 26", self.buckets_log2));
        }
        if !(1..=1000).contains(&self.epochs) {
            return wrong(format!("epochs is {}; choose 1 to 1000", self.epochs));
        }
        if !(0.0..=1.0).contains(&self.l2) {
            return wrong(format!("l2 is {}; choose 0 to 1", self.l2));
        }
        if self.windows_per_review > 100 {
            return wrong(format!("windows_per_review is {}; choose 0 to 100", self.windows_per_review));
        }
        Ok(())
    }
}

/// A tokenised text and its label.
type Example = (Vec<u64>, bool);

/// The words of the shortest and the longest window.
const WINDOW: (usize, usize) = (8, 64);
/// The rate of the first step; it falls to 0 in the end.
const RATE: f64 = 0.5;
/// Squared gradients that every weight starts with. Without them, Adagrad's first step of a weight is as large as its
/// gradient is small, and n-grams that occur once or twice are learnt by heart (1 percentage point of accuracy).
const SQUARES: f64 = 0.03;
/// The steps that a small corpus is given.
const STEPS: usize = 20_000;
/// With fewer texts than this, none are held out, and the calibration stays as it is.
const ENOUGH_TO_HOLD_OUT: usize = 100;
/// Held-out texts: a tenth, but no more than this.
const MOST_HELD: usize = 4000;
/// Windows of each held-out text that the calibration is fitted on.
const HELD_WINDOWS: usize = 4;

/// Fits a classifier on texts with their labels (true: positive). `progress` hears the part that is done.
///
/// It is fitted twice: without a tenth of the texts, to calibrate on that tenth, and then with all of them.
pub fn fit(texts: &[(&str, bool)], settings: &FitSettings, progress: &mut dyn FnMut(f64)) -> Result<LinearClassifier> {
    settings.check()?;
    let positive = texts.iter().filter(|(_, positive)| *positive).count();
    if positive == 0 || positive == texts.len() {
        let what = "a classifier needs positive and negative texts";
        return Err(Error::Data(format!("{what}, but {positive} of {} are positive; add the other label", texts.len())));
    }
    // Texts and their views are numbered in 32 bits.
    let most = u32::MAX as usize / (1 + settings.windows_per_review);
    if texts.len() > most {
        return Err(Error::Data(format!("{} texts to fit the classifier on; give it at most {most}", texts.len())));
    }
    let examples: Vec<Example> = texts.par_iter().map(|(text, positive)| (features::tokens(text), *positive)).collect();
    let mut order: Vec<u32> = (0..examples.len() as u32).collect();
    Random::new(settings.seed, 0).shuffle(&mut order);
    let calibration = if order.len() < ENOUGH_TO_HOLD_OUT {
        None
    } else {
        let (held, kept) = order.split_at((order.len() / 10).min(MOST_HELD));
        let (weights, bias) = descend(&examples, kept, settings, &mut |done| progress(done / 2.0));
        Some(Calibration::fit(&scored(&examples, held, settings, &weights), bias))
    };
    let begin = if calibration.is_some() { 0.5 } else { 0.0 };
    let (weights, bias) = descend(&examples, &order, settings, &mut |done| progress(begin + (1.0 - begin) * done));
    let calibration = calibration.unwrap_or(Calibration::identity(bias));
    Ok(LinearClassifier { ngrams: settings.ngrams, buckets_log2: settings.buckets_log2, calibration, weights })
}

/// A random window of `shortest` to 64 words: each doubling of the length as often as the others.
fn window<'a>(tokens: &'a [u64], shortest: usize, random: &mut Random) -> &'a [u64] {
    let octaves = (WINDOW.1 / shortest).ilog2() as usize;
    let least = shortest << random.below(octaves);
    let len = least + random.below(least + 1);
    random.window(tokens, len)
}

/// The scores of held-out texts and of windows of them.
fn scored(examples: &[Example], held: &[u32], settings: &FitSettings, weights: &[f32]) -> Vec<Held> {
    let mut random = Random::new(settings.seed, 1);
    let (mut scores, mut buckets) = (Vec::new(), Vec::new());
    for &index in held {
        let (tokens, positive) = &examples[index as usize];
        for view in 0..=HELD_WINDOWS {
            let view = if view == 0 { tokens } else { window(tokens, WINDOW.0 / 2, &mut random) };
            features::buckets(view, settings.ngrams, settings.buckets_log2, &mut buckets);
            scores.push(Held { score: score(weights, &buckets), count: buckets.len(), positive: *positive });
        }
    }
    scores
}

/// Weights and bias after all epochs on the texts `order`. The rate falls to 0 in the end, which averages out the
/// noise of the last steps.
fn descend(examples: &[Example], order: &[u32], settings: &FitSettings, progress: &mut dyn FnMut(f64)) -> (Vec<f32>, f64) {
    let views = 1 + settings.windows_per_review;
    let epochs = settings.epochs.max(STEPS.div_ceil(order.len() * views));
    let steps = epochs * order.len() * views;
    let mut random = Random::new(settings.seed, 2);
    // A weight and the sum of its squared gradients, side by side since they are used together.
    let mut state = vec![[0f32; 2]; 1 << settings.buckets_log2];
    let mut bias = [0f64; 2];
    let mut buckets = Vec::new();
    let mut done = 0;
    // Item i is view i / texts of text i % texts: the views of a text are not steps in a row.
    let mut items: Vec<u32> = (0..(order.len() * views) as u32).collect();
    for _ in 0..epochs {
        random.shuffle(&mut items);
        for &item in &items {
            let (view, index) = (item as usize / order.len(), order[item as usize % order.len()]);
            let (tokens, positive) = &examples[index as usize];
            let tokens = if view == 0 { tokens } else { window(tokens, WINDOW.0, &mut random) };
            let rate = RATE * (1.0 - done as f64 / steps as f64);
            features::buckets(tokens, settings.ngrams, settings.buckets_log2, &mut buckets);
            let value = 1.0 / (buckets.len().max(1) as f64).sqrt();
            let sum: f64 = buckets.iter().map(|&bucket| f64::from(state[bucket as usize][0])).sum();
            let slope = sigmoid(sum * value + bias[0]) - f64::from(u8::from(*positive));
            for &bucket in &buckets {
                let [weight, squares] = &mut state[bucket as usize];
                let gradient = slope * value + settings.l2 * f64::from(*weight);
                *squares += (gradient * gradient) as f32;
                *weight -= (rate * gradient / (f64::from(*squares) + SQUARES).sqrt()) as f32;
            }
            bias[1] += slope * slope;
            bias[0] -= rate * slope / (bias[1] + SQUARES).sqrt();
            done += 1;
            if done % 4096 == 0 {
                progress(done as f64 / steps as f64);
            }
        }
    }
    progress(1.0);
    (state.into_iter().map(|[weight, _]| weight).collect(), bias[0])
}
