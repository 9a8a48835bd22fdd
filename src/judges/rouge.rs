//! A control for summaries: the completion with the greater ROUGE-L F1 against what a person wrote is preferred (Lin 2004).

use super::score::by_score;
use super::{Judge, JudgeSettings, Materials, Question, Verdict};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// `[judge.rouge]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rouge {}

impl JudgeSettings for Rouge {
    fn measures_by_reference(&self) -> bool {
        true
    }

    fn open(&self, _: Materials<'_>) -> Result<Box<dyn Judge>> {
        Ok(Box::new(Overlap))
    }
}

struct Overlap;

impl Judge for Overlap {
    fn judge(&self, questions: &[Question<'_>], _: &mut dyn FnMut(usize)) -> Result<Vec<Verdict>> {
        by_score(questions, |all| {
            let score = |(_, completion, reference): &super::score::Scored<'_>| {
                let reference = reference.ok_or_else(|| {
                    Error::Data("the judge rouge needs a reference for every prompt, and this task has none; use another".into())
                })?;
                Ok(rouge_l(&words(&completion.text), &words(&reference.text)))
            };
            all.iter().map(score).collect()
        })
    }
}

/// Lower-case words without punctuation.
fn words(text: &str) -> Vec<String> {
    text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

/// ROUGE-L's F1 of two sequences of tokens or words, in [0, 1]: with L the length of their longest common subsequence, the
/// harmonic mean of precision L / |candidate| and recall L / |reference|. 0 where either is empty.
fn rouge_l<T: PartialEq>(candidate: &[T], reference: &[T]) -> f64 {
    let common = longest_common_subsequence(candidate, reference);
    if common == 0 { 0.0 } else { 2.0 * common as f64 / (candidate.len() + reference.len()) as f64 }
}

/// Length of the longest common subsequence, in |a| |b| steps and memory for one row of the table.
fn longest_common_subsequence<T: PartialEq>(a: &[T], b: &[T]) -> usize {
    // row[j]: the length for the part of `a` read so far and the first j of `b`.
    let mut row = vec![0; b.len() + 1];
    for item in a {
        let mut diagonal = 0;
        for (j, other) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = if item == other { diagonal + 1 } else { above.max(row[j]) };
            diagonal = above;
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(text: &str) -> Vec<&str> {
        text.split_whitespace().collect()
    }

    #[test]
    fn scores_are_those_worked_out_by_hand() {
        let reference = split("police killed the gunman");
        // Lin's own example: "police the gunman" and "the gunman" are the common subsequences.
        for (candidate, wanted) in [
            ("police kill the gunman", 0.75),
            ("the gunman kill police", 0.5),
            ("the gunman", 2.0 * 2.0 / 6.0),
            ("police killed the gunman", 1.0),
            ("nobody came", 0.0),
        ] {
            assert!((rouge_l(&split(candidate), &reference) - wanted).abs() < 1e-12, "{candidate}");
        }
        assert!((rouge_l(&[1, 3, 4, 1, 2, 3, 4], &[3, 4, 1, 2, 1, 3]) - 10.0 / 13.0).abs() < 1e-12);
    }

    #[test]
    fn nothing_has_nothing_in_common() {
        assert_eq!((rouge_l::<u32>(&[], &[]), rouge_l(&[], &[1]), rouge_l(&[1], &[])), (0.0, 0.0, 0.0));
    }

    proptest! {
        #[test]
        fn it_is_symmetric_and_1_only_for_equal_texts(
            a in prop::collection::vec(0..4u32, 1..12), b in prop::collection::vec(0..4u32, 1..12)
        ) {
            let score = rouge_l(&a, &b);
            prop_assert_eq!(score, rouge_l(&b, &a));
            prop_assert!((0.0..=1.0).contains(&score) && (score == 1.0) == (a == b));
        }
    }
}
