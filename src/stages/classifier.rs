//! Stage `classifier`: the true reward of a corpus with labels.

use super::context::Context;
use super::files::write_json;
use crate::error::{Doing, Result};
use crate::models::linear::{evaluate, fit};
use crate::tasks::sentiment;
use serde::{Deserialize, Serialize};

/// Lengths in words at which the classifier's accuracy is reported beside that on whole reviews.
const WINDOWS: [usize; 3] = [16, 32, 48];

/// report.json: how good the true reward is, on reviews that it was not fitted on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassifierReport {
    /// Reviews that it was fitted on.
    pub train: usize,
    /// Reviews that it was measured on.
    pub test: usize,
    /// Rows left out because their text occurs before.
    pub dropped_duplicates: usize,
    /// Held-out rows left out because their text is in training.
    pub dropped_leaked: usize,
    /// Accuracy on whole reviews.
    pub accuracy: f64,
    /// (words, accuracy, expected calibration error) on windows of reviews.
    pub windows: Vec<(usize, f64, f64)>,
}

pub(super) fn run(context: &mut Context<'_>, seed: u64) -> Result<()> {
    context.progress("reading the corpus", 0, 1);
    let corpus = sentiment::labelled(context.corpus()?)?;
    let rows = |side: &'static str| {
        let side = if side == "train" { &corpus.train } else { &corpus.test };
        side.iter().map(|review| (review.text.as_str(), review.positive)).collect::<Vec<_>>()
    };
    let (train, test) = (rows("train"), rows("test"));
    let classifier =
        fit(&train, &sentiment::fit_settings(seed), &mut |share| context.progress("fitting", (share * 1000.0) as usize, 1000))?;
    let mut report = ClassifierReport {
        train: train.len(),
        test: test.len(),
        dropped_duplicates: corpus.dropped_duplicates,
        dropped_leaked: corpus.dropped_leaked,
        accuracy: f64::NAN,
        windows: Vec::new(),
    };
    if !test.is_empty() {
        for words in WINDOWS {
            let accuracy = evaluate(&classifier, &test, words, seed)?;
            report.accuracy = accuracy.whole;
            report.windows.push((words, accuracy.windows, accuracy.ece_windows));
        }
    }
    let path = context.folder.join("classifier.bin");
    std::fs::write(&path, classifier.to_bytes()).doing("write", &path)?;
    write_json(&context.folder.join("report.json"), &report)
}
