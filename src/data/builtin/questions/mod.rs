//! The built-in world of single-turn dialogue: questions over a small knowledge base, answered by hands of different worth.
//!
//! It stands in for a data set like Anthropic's Helpful-Harmless dialogues (Bai et al. 2022), with a true reward that is known
//! exactly. Texts are lower-case words and punctuation, separated by single spaces, over a small closed vocabulary:
//!
//! ```text
//! human : my son asked me . what does the fox eat and where does it live ? assistant : it eats berries and lives in the forest .
//! ```
//!
//! | file | |
//! |---|---|
//! | `knowledge` | 24 animals and the 96 facts about them |
//! | `words` | all other phrases, and the vocabulary |
//! | `asking`, `answering`, `pages` | the writers |
//! | `scorer` | the reward, with `parser` under it |

mod answering;
mod asking;
mod knowledge;
mod pages;
mod parser;
pub mod scorer;
#[cfg(test)]
mod tests;
mod words;

use super::dice::Dice;
use super::draft::Draft;
use answering::{Hand, answer};
use asking::ask;
use knowledge::Topic;
pub use words::vocabulary;

/// Most tokens of a prompt.
pub const PROMPT_TOKENS: usize = 24;
/// Most tokens of an answer; its end token comes on top.
pub const ANSWER_TOKENS: usize = 24;
/// Most tokens of a page.
pub const PAGE_TOKENS: usize = 96;

/// How often each hand of `Hand::ALL` is drawn for an answer. Poor hands are frequent, so that imitating the better of two
/// answers leaves much to learn.
const HANDS: [usize; 5] = [2, 2, 3, 5, 5];

/// A question with two answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// "human : ... assistant :", at most 24 tokens.
    pub prompt: String,
    /// Two different answers by different kinds of hands, in random order, at most 24 tokens each. Which is better, the scorer
    /// tells.
    pub answers: [String; 2],
}

/// `count` questions, each with two answers. Exchange `i` depends only on `seed` and `i`.
pub fn exchanges(seed: u64, count: usize) -> Vec<Exchange> {
    (0..count as u64).map(|index| exchange(&mut Dice::new("question", seed, index))).collect()
}

/// `count` texts for a base model, at most 96 tokens each: statements of the knowledge base, and conversations of one to three
/// exchanges in which one kind of hand gives all answers. Page `i` depends only on `seed` and `i`.
pub fn pages(seed: u64, count: usize) -> Vec<String> {
    (0..count as u64)
        .map(|index| {
            let mut dice = Dice::new("page", seed, index);
            loop {
                let page = pages::write(&mut dice);
                if page.split(' ').count() <= PAGE_TOKENS {
                    return page;
                }
            }
        })
        .collect()
}

/// A question with answers by two kinds of hands.
fn exchange(dice: &mut Dice) -> Exchange {
    let (topics, prompt) = fitting(dice, PROMPT_TOKENS, ask);
    let first = dice.weighted(&HANDS);
    let mut others = HANDS;
    others[first] = 0;
    let second = dice.weighted(&others);
    // A second hand drawn from the rest is distributed otherwise than the first, so the order needs a coin of its own.
    let hands = if dice.chance(0.5) { [first, second] } else { [second, first] };
    Exchange { prompt, answers: hands.map(|hand| answer_by(dice, Hand::ALL[hand], &topics)) }
}

/// An answer of this hand to `topics`.
fn answer_by(dice: &mut Dice, hand: Hand, topics: &[Topic]) -> String {
    fitting(dice, ANSWER_TOKENS, |draft| answer(draft, hand, topics)).1
}

/// The first text of at most `tokens` tokens that `writer` comes up with, and what the writer returned. Most fit, so this ends
/// after a few tries.
fn fitting<T>(dice: &mut Dice, tokens: usize, writer: impl Fn(&mut Draft) -> T) -> (T, String) {
    loop {
        let mut draft = Draft::new(dice);
        let returned = writer(&mut draft);
        if draft.len() <= tokens && !draft.repeats() {
            return (returned, draft.text());
        }
    }
}
