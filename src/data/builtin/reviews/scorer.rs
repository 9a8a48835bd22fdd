//! The true reward of any text in the built-in world: exact, graded, in [0, 1].
//!
//! ```text
//! reward = g * logistic(5 * s)      s = (sum of opinion values, each held to [-1, 1]) / (number of opinions + 1)
//! ```
//!
//! `g` is the share of tokens in sentences that parse and say something new. A sentence that states an opinion (same aspect, same
//! word) or a fact again adds nothing to `s`, and its tokens are missing from `g`; so does a second sentence without a verb, and text
//! after the last "." or "!". Text without opinions scores g / 2, text that does not parse 0. `composition.rs` has the rules by which
//! opinions compose, `parser` the grammar; the writer of reviews shares only the table of words with them.

use std::collections::HashSet;

use super::composition::{Opinion, logistic, sentiment};
use super::parser::{Statement, sentence};

/// What the scorer found in a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// The true reward, in [0, 1]: `grammatical * logistic(5 * sentiment)`.
    pub reward: f64,
    /// Share of tokens in sentences that parse and do not repeat, in [0, 1]; 0 for empty text.
    pub grammatical: f64,
    /// Mean value of the distinct opinions together with one neutral one, in (-1, 1).
    pub sentiment: f64,
    /// Number of distinct opinions.
    pub opinions: usize,
    /// Number of sentences, a trailing incomplete one included.
    pub sentences: usize,
    /// Number of sentences that parse but say something a second time.
    pub repeated: usize,
}

/// Scores a text of lower-case words and punctuation, separated by white space. Any text has a score.
pub fn score(text: &str) -> Score {
    let tokens: Vec<&str> = text.split_whitespace().collect();
    let mut said = HashSet::new();
    let mut opinions: Vec<Opinion> = Vec::new();
    let (mut counted, mut sentences, mut repeated) = (0, 0, 0);
    for words in tokens.split_inclusive(|token| matches!(*token, "." | "!")) {
        sentences += 1;
        let Some(statement) = sentence(words) else { continue };
        if is_new(&statement, &mut said) {
            counted += words.len();
            opinions.extend(statement.opinions);
        } else {
            repeated += 1;
        }
    }
    // An empty text has no tokens to be right.
    let grammatical = counted as f64 / tokens.len().max(1) as f64;
    let sentiment = sentiment(&opinions);
    Score { reward: grammatical * logistic(sentiment), grammatical, sentiment, opinions: opinions.len(), sentences, repeated }
}

/// Notes what `statement` says in `said`; whether all of it is said for the first time.
fn is_new(statement: &Statement, said: &mut HashSet<(&'static str, String)>) -> bool {
    let opinions = statement.opinions.iter().map(|opinion| (opinion.aspect, opinion.head.to_owned()));
    let facts = statement.facts.iter().map(|fact| ("", fact.clone()));
    let (before, parts) = (said.len(), statement.opinions.len() + statement.facts.len());
    said.extend(opinions.chain(facts));
    said.len() == before + parts
}
