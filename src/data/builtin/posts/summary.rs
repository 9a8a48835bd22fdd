//! What a person writes under a post: some are careful, others forget, chat and get things wrong.

use super::Dice;
use super::story::{Event, Story};
use super::words::{EVENTS, TRIFLES, VALUABLES};

/// Most tokens of a summary; its end token comes on top.
pub const MOST_TOKENS: usize = 20;

/// A summary by someone whose carelessness is between 0 and 1. Only events that matter are stated, each once, when it is 0.
pub fn write(dice: &mut Dice, story: &Story, carelessness: f64) -> String {
    let mut sentences: Vec<Vec<&'static str>> = Vec::new();
    for event in &story.events {
        let stated = if event.matters { 1.0 - 0.6 * carelessness } else { 0.55 * carelessness };
        if dice.chance(stated) {
            sentences.push(statement(dice, story, event, carelessness));
        }
    }
    if sentences.is_empty() {
        let event = dice.pick(&story.events);
        sentences.push(statement(dice, story, &event, carelessness));
    }
    if let Some(aside) = story.asides.first()
        && dice.chance(0.5 * carelessness)
    {
        sentences.insert(dice.below(sentences.len() + 1), aside.split(' ').chain(["."]).collect());
    }
    while sentences.iter().map(Vec::len).sum::<usize>() > MOST_TOKENS {
        sentences.remove(dice.below(sentences.len()));
    }
    sentences.concat().join(" ")
}

/// One event in plain words, sometimes with its time, sometimes with another person, deed or thing than in the story.
fn statement(dice: &mut Dice, story: &Story, event: &Event, carelessness: f64) -> Vec<&'static str> {
    let (mut who, mut deed, mut what) = (event.who, event.deed, event.what);
    if dice.chance(0.2 * carelessness) {
        let other = dice.pick(&story.events);
        match dice.below(5) {
            0 | 1 => who = other.who,
            2 => what = other.what,
            3 => deed = dice.pick(EVENTS).0,
            _ => what = dice.pick(&[VALUABLES, TRIFLES].concat()),
        }
    }
    let mut words = vec![who, deed, what];
    if dice.chance(0.5 * carelessness) {
        words.extend(event.when.unwrap_or_default().split_whitespace());
    }
    words.push(".");
    words
}
