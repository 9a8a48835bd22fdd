//! Judges that give every completion a score by itself: the greater one is preferred, in either order.

use super::{Choice, Passage, Question, Verdict};
use crate::error::Result;
use std::collections::HashMap;

/// A completion with its prompt and what a person wrote there.
pub type Scored<'a> = (&'a Passage, &'a Passage, Option<&'a Passage>);

/// Verdicts by the scores that `score` gives all distinct completions at once.
pub fn by_score<'a>(questions: &[Question<'a>], score: impl FnOnce(&[Scored<'a>]) -> Result<Vec<f64>>) -> Result<Vec<Verdict>> {
    // Both orders of a pair are asked, and baselines come back for every policy: each completion is scored once.
    let mut places: HashMap<(&[u32], &str, &str), usize> = HashMap::new();
    let mut distinct: Vec<Scored<'a>> = Vec::new();
    let mut pairs = Vec::with_capacity(questions.len());
    for question in questions {
        let mut place = |completion: &'a Passage| {
            let key = (&completion.tokens[..], completion.text.as_str(), question.prompt.text.as_str());
            *places.entry(key).or_insert_with(|| {
                distinct.push((question.prompt, completion, question.reference));
                distinct.len() - 1
            })
        };
        pairs.push((place(question.first), place(question.second)));
    }
    let scores = score(&distinct)?;
    Ok(pairs.into_iter().map(|(first, second)| greater(scores[first], scores[second])).collect())
}

/// The verdict of two scores.
pub fn greater(first: f64, second: f64) -> Verdict {
    let choice = match first.partial_cmp(&second) {
        Some(std::cmp::Ordering::Greater) => Choice::First,
        Some(std::cmp::Ordering::Less) => Choice::Second,
        // A score that is not a number prefers nothing.
        Some(std::cmp::Ordering::Equal) | None => Choice::Tie,
    };
    Verdict { choice, reason: format!("{first:.3} against {second:.3}") }
}
