//! The world of sentiment: short movie reviews written from a grammar, with a true reward that is known exactly.
//!
//! It stands in for a data set and for human judgement where neither is at hand. Sentiment in it is composed, not counted: negation,
//! degree, contrast and concession change what words are worth. Texts are lower-case words and punctuation, separated by single
//! spaces, over a small closed vocabulary. `reviews` writes them, `notes` writes neutral texts of the same world, and
//! `scorer::score` is the reward, computed by a parser of its own that accepts any text.
//!
//! | file | |
//! |---|---|
//! | `words` | vocabulary, and the strength of the words that carry an opinion |
//! | `writer`, `opinions`, `wording`, `notes` | the writers, with `draft` under them |
//! | `scorer` | the reward, with `parser` and `cursor` (form) and `composition` (meaning) under it |

mod composition;
mod notes;
mod opinions;
mod parser;
pub mod scorer;
#[cfg(test)]
mod tests;
mod wording;
mod words;
mod writer;

use std::f64::consts::FRAC_PI_2;

use super::cursor;
use super::dice::Dice;
use super::draft::{self, Draft};
pub use words::vocabulary;

/// Fewest and most tokens of a text; its end token comes on top.
pub const TOKENS: std::ops::RangeInclusive<usize> = 8..=24;

/// `count` reviews of one to four sentences, 8 to 24 tokens each. Review `i` depends only on `seed` and `i`.
///
/// Each review has its own chance that an opinion is positive, drawn from Beta(1/2, 1/2): most reviews lean to one side, so their
/// beginnings tell something of what follows, but not all.
pub fn reviews(seed: u64, count: usize) -> Vec<String> {
    (0..count as u64)
        .map(|index| {
            let mut dice = Dice::new("review", seed, index);
            // The square of the sine of a uniform angle has the arcsine distribution, which is Beta(1/2, 1/2).
            let positivity = (FRAC_PI_2 * dice.unit()).sin().powi(2);
            write(&mut dice, |draft| writer::write(draft, positivity))
        })
        .collect()
}

/// `count` texts about films without any opinion, 8 to 24 tokens each. Note `i` depends only on `seed` and `i`.
pub fn notes(seed: u64, count: usize) -> Vec<String> {
    (0..count as u64).map(|index| write(&mut Dice::new("note", seed, index), notes::write)).collect()
}

/// The first text that `writer` comes up with of the right length and without repetition. Most are, so this ends after a few tries.
fn write(dice: &mut Dice, writer: impl Fn(&mut Draft)) -> String {
    loop {
        let mut draft = Draft::new(dice);
        writer(&mut draft);
        if TOKENS.contains(&draft.len()) && !draft.repeats() {
            return draft.text();
        }
    }
}
