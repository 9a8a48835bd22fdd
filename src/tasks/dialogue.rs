//! Dialogue (Rafailov et al. 2023, section 6): a helpful answer to a question.

use super::preference::first_is_chosen;
use crate::data::builtin::questions;
use crate::data::formats::{Example, Prompt};
use crate::random::Stream;
use crate::spec::Labelling;

/// Questions of the built-in world with two answers, of which the true reward chooses one.
pub fn comparisons(seed: u64, count: usize, labelling: Option<&Labelling>) -> Vec<Example> {
    let exchanges = questions::exchanges(seed, count);
    let example = |(row, exchange): (usize, questions::Exchange)| {
        let reward = |answer: &String| questions::scorer::score_answer(&exchange.prompt, answer).reward;
        let [one, other] = exchange.answers;
        let difference = reward(&one) - reward(&other);
        let first = match labelling {
            Some(labelling) => first_is_chosen(difference, labelling, Stream::new(seed, 0, "labels", row as u64))?,
            None => difference > 0.0,
        };
        let (chosen, rejected) = if first { (one, other) } else { (other, one) };
        Some(Example::Comparison { prompt: Prompt::Text(exchange.prompt), chosen, rejected })
    };
    exchanges.into_iter().enumerate().filter_map(example).collect()
}
