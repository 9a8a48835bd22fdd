//! Completions that say nothing, or the same again and again (Welleck et al. 2020).

use std::collections::{HashMap, HashSet};

/// Completions with fewer tokens say too little to be called repetitive.
const LEAST: usize = 8;
/// Length of the runs of tokens that are looked for again.
const GRAM: usize = 4;

/// Whether a completion, as tokens without its end token, is degenerate: empty, or mostly a repetition of itself.
///
/// Of at least 8 tokens, it repeats itself when more than half of its runs of 4 tokens occurred in it before (a loop, however long
/// its period), or when one token makes up more than half of it (which a loop with other tokens strewn in still does). Fluent text
/// repeats few runs of 4, and its commonest token stays far below one half (Welleck et al. 2020 measure the same repetition).
pub fn degenerate(tokens: &[u32]) -> bool {
    if tokens.is_empty() {
        return true;
    }
    if tokens.len() < LEAST {
        return false;
    }
    let grams = tokens.windows(GRAM);
    let distinct: HashSet<&[u32]> = grams.clone().collect();
    let repeated = grams.len() - distinct.len();
    let mut counts: HashMap<u32, usize> = HashMap::new();
    tokens.iter().for_each(|token| *counts.entry(*token).or_default() += 1);
    let commonest = counts.values().copied().max().unwrap_or(0);
    2 * repeated > grams.len() || 2 * commonest > tokens.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_completion_that_says_nothing_is_degenerate() {
        assert!(degenerate(&[]));
        assert!(!degenerate(&[5]), "one word may be an answer");
    }

    #[test]
    fn a_loop_is_degenerate_whatever_its_period() {
        for period in 1..=8 {
            let tokens: Vec<u32> = (0..32).map(|at| at % period).collect();
            assert!(degenerate(&tokens), "period {period}");
        }
    }

    #[test]
    fn one_token_that_fills_more_than_half_is_degenerate() {
        assert!(degenerate(&[7, 1, 7, 2, 7, 7, 3, 7, 4]));
        assert!(!degenerate(&[7, 1, 7, 2, 7, 5, 3, 7]), "half is not more than half");
    }

    #[test]
    fn a_sentence_that_recurs_once_is_not_degenerate() {
        let mut tokens: Vec<u32> = (0..20).collect();
        tokens.extend(0..6);
        assert!(!degenerate(&tokens));
    }

    #[test]
    fn emphasis_in_a_short_answer_is_not_degenerate() {
        assert!(!degenerate(&[3, 3, 3, 3, 3]));
    }

    proptest! {
        #[test]
        fn text_without_a_recurring_token_is_never_degenerate(length in 1_u32..200, start in 0_u32..1000) {
            prop_assert!(!degenerate(&(start..start + length).collect::<Vec<_>>()));
        }

        #[test]
        fn names_of_tokens_do_not_matter(tokens in prop::collection::vec(0_u32..6, 0..40), by in 1_u32..1000) {
            let others: Vec<u32> = tokens.iter().map(|token| token * 7 + by).collect();
            prop_assert_eq!(degenerate(&tokens), degenerate(&others));
        }
    }
}
