//! How good a classifier is on texts that it was not fitted on: whole, and on windows as short as what it will score.

use rayon::prelude::*;

use super::random::Random;
use super::{LinearClassifier, features, sigmoid};
use crate::error::{Error, Result};

/// Measured on texts with labels. The window of a text is one place of it, drawn at random.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Accuracy {
    /// Part of the whole texts that are on the right side of one half.
    pub whole: f64,
    /// The same of the windows.
    pub windows: f64,
    /// Texts measured on.
    pub n: usize,
    /// Words (and marks) of a window.
    pub window_words: usize,
    /// Area under the ROC curve of the whole texts; none where all texts have one label.
    pub auc_whole: Option<f64>,
    /// The same of the windows.
    pub auc_windows: Option<f64>,
    /// Mean squared error of the windows' probabilities: 0.25 is that of always saying one half.
    pub brier_windows: f64,
    /// Expected calibration error of the windows, in ten bins: how far probabilities are from what they promise.
    pub ece_windows: f64,
}

/// Measures `classifier` on `texts`, whole and on windows of `window_words` words.
pub fn evaluate(classifier: &LinearClassifier, texts: &[(&str, bool)], window_words: usize, seed: u64) -> Result<Accuracy> {
    if texts.is_empty() {
        return Err(Error::Data("no texts to measure the classifier on; add test rows".into()));
    }
    // Each text has a random stream of its own, and results come in the order of the texts, on any number of threads.
    let both = |(index, (text, positive)): (usize, &(&str, bool))| {
        let tokens = features::tokens(text);
        let window = Random::new(seed, 3 + index as u64).window(&tokens, window_words);
        (classifier.logit_of(&tokens), classifier.logit_of(window), *positive)
    };
    let logits: Vec<(f64, f64, bool)> = texts.par_iter().enumerate().map(both).collect();
    let whole: Vec<(f64, bool)> = logits.iter().map(|&(whole, _, positive)| (whole, positive)).collect();
    let windows: Vec<(f64, bool)> = logits.iter().map(|&(_, window, positive)| (window, positive)).collect();
    Ok(Accuracy {
        whole: accuracy(&whole),
        windows: accuracy(&windows),
        n: texts.len(),
        window_words,
        auc_whole: auc(&whole),
        auc_windows: auc(&windows),
        brier_windows: windows.iter().map(|&(logit, positive)| (sigmoid(logit) - target(positive)).powi(2)).sum::<f64>()
            / texts.len() as f64,
        ece_windows: calibration_error(&windows),
    })
}

fn target(positive: bool) -> f64 {
    f64::from(u8::from(positive))
}

fn accuracy(logits: &[(f64, bool)]) -> f64 {
    logits.iter().filter(|&&(logit, positive)| (logit > 0.0) == positive).count() as f64 / logits.len() as f64
}

/// The chance that a positive text scores above a negative one, ties counting one half.
fn auc(logits: &[(f64, bool)]) -> Option<f64> {
    let mut sorted = logits.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let positives = sorted.iter().filter(|(_, positive)| *positive).count();
    let negatives = sorted.len() - positives;
    let (mut below, mut wins) = (0.0, 0.0);
    for tie in sorted.chunk_by(|a, b| a.0 == b.0) {
        let up = tie.iter().filter(|(_, positive)| *positive).count() as f64;
        let down = tie.len() as f64 - up;
        wins += up * (below + down / 2.0);
        below += down;
    }
    (positives > 0 && negatives > 0).then(|| wins / (positives as f64 * negatives as f64))
}

fn calibration_error(logits: &[(f64, bool)]) -> f64 {
    // Of each bin: sum of (probability - label).
    let mut bins = [0.0; 10];
    for &(logit, positive) in logits {
        let probability = sigmoid(logit);
        bins[((probability * 10.0) as usize).min(9)] += probability - target(positive);
    }
    bins.iter().map(|bin| bin.abs()).sum::<f64>() / logits.len() as f64
}
