//! Labelled reviews in the format of the IMDb data: what the controlled sentiment experiment takes its prompts and its
//! true reward from. Cleans the texts of the files, leaves repetitions out, and keeps train and test apart.

mod clean;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::formats::labelled_text;
use super::read::{self, names};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use super::files::expand;
pub use clean::clean;

/// A text and whether its author liked what it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Review {
    /// The text, after [`clean`].
    pub text: String,
    /// The label.
    pub positive: bool,
}

/// The two sides of a corpus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// Rows that models are fitted on.
    Train,
    /// Rows that are only measured on.
    Test,
}

impl Split {
    /// What a file name says of its rows: the one of the words "train" and "test" that it contains. `latest.csv` says
    /// nothing, and neither does a name with both words.
    pub fn of_file(path: &Path) -> Option<Split> {
        let name = path.file_name()?.to_string_lossy().to_lowercase();
        let words: Vec<&str> = name.split(|c: char| !c.is_alphabetic()).collect();
        let says = |any: [&str; 2]| words.iter().any(|word| any.contains(word));
        match (says(["train", "training"]), says(["test", "testing"])) {
            (true, false) => Some(Split::Train),
            (false, true) => Some(Split::Test),
            _ => None,
        }
    }

    /// Where a text goes that no file name places: one in ten to test. It depends on the text alone, so that copies of
    /// it stay on one side, in whichever file and row they are.
    pub fn of_text(text: &str) -> Split {
        let mut first = [0; 8];
        first.copy_from_slice(&blake3::hash(text.as_bytes()).as_bytes()[..8]);
        if u64::from_le_bytes(first).is_multiple_of(10) { Split::Test } else { Split::Train }
    }
}

/// The rows of some files, in the order of the files, without repetitions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Corpus {
    /// The rows to fit on; never empty, and with both labels.
    pub train: Vec<Review>,
    /// The rows to measure on; empty where the files have none.
    pub test: Vec<Review>,
    /// Rows left out because the same text came before them in their split.
    pub dropped_duplicates: usize,
    /// Of `dropped_duplicates`, those whose label is not that of the row which was kept.
    pub dropped_contradictions: usize,
    /// Rows left out of test because their text occurs in train.
    pub dropped_leaked: usize,
}

/// The rows of one split as they are read, and the texts that were seen.
#[derive(Default)]
struct Side {
    rows: Vec<Review>,
    seen: HashMap<blake3::Hash, bool>,
}

impl Side {
    fn add(&mut self, review: Review, corpus: &mut Corpus) {
        match self.seen.entry(blake3::hash(review.text.as_bytes())) {
            std::collections::hash_map::Entry::Occupied(kept) => {
                corpus.dropped_duplicates += 1;
                corpus.dropped_contradictions += usize::from(*kept.get() != review.positive);
            }
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(review.positive);
                self.rows.push(review);
            }
        }
    }
}

/// Reads `files` into one corpus. A file's rows go where its name says ([`Split::of_file`]), or each where its text
/// says ([`Split::of_text`]). Texts are compared after [`clean`].
pub fn read(files: &[PathBuf]) -> Result<Corpus> {
    if files.is_empty() {
        return Err(Error::Data("no files with labelled reviews; name at least one, for example .jsonl or .csv".into()));
    }
    let (mut train, mut test, mut corpus) = (Side::default(), Side::default(), Corpus::default());
    for path in files {
        let named = Split::of_file(path);
        let count = read::rows(path, &mut |row| {
            let review = review(&row.fields).map_err(|what| row.wrong(path, what))?;
            match named.unwrap_or_else(|| Split::of_text(&review.text)) {
                Split::Train => train.add(review, &mut corpus),
                Split::Test => test.add(review, &mut corpus),
            };
            Ok(())
        })?;
        if count == 0 {
            let what = "no rows; give it rows with a text and a label, or leave the file out";
            return Err(Error::Data(format!("{}: {what}", path.display())));
        }
    }
    // Only now is all of train known: a test file may come before a train file.
    let before = test.rows.len();
    test.rows.retain(|review| !train.seen.contains_key(&blake3::hash(review.text.as_bytes())));
    corpus.dropped_leaked = before - test.rows.len();
    corpus.train = train.rows;
    corpus.test = test.rows;
    has_both_labels(&corpus.train, files)?;
    Ok(corpus)
}

/// A row as a review, or what is wrong with it: unlike other uses of labelled texts, this one needs every label.
fn review(fields: &Map<String, Value>) -> Result<Review, String> {
    let (text, label) = labelled_text(fields)?;
    let positive = label.ok_or_else(|| {
        let there = fields.keys().any(|name| name.eq_ignore_ascii_case("label"));
        let among = if there { String::new() } else { format!(" among {}", names(fields.keys())) };
        format!("no label{among}; give every row a field \"label\" of 0 (negative) or 1 (positive)")
    })?;
    let text = clean(text);
    if text.is_empty() {
        return Err("the text is empty; write a text or take the row out".into());
    }
    Ok(Review { text, positive })
}

/// A classifier needs both labels, and prompts come from train.
fn has_both_labels(train: &[Review], files: &[PathBuf]) -> Result<()> {
    let names = files.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
    let positive = train.iter().filter(|review| review.positive).count();
    let what = if train.is_empty() {
        "no rows to train on: every row is a test row; add a file with \"train\" in its name".to_string()
    } else if positive == 0 || positive == train.len() {
        let label = if positive == 0 { "negative" } else { "positive" };
        format!("all {} rows to train on are {label}; add rows with the other label", train.len())
    } else {
        return Ok(());
    };
    Err(Error::Data(format!("{names}: {what}")))
}
