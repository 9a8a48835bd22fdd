//! Writes general text for a base model: statements of the knowledge base, and conversations.

use super::super::dice::Dice;
use super::super::draft::Draft;
use super::answering::{Claim, Hand, state};
use super::asking::{any_animal, ask};
use super::knowledge::{Attribute, Topic};
use super::{PROMPT_TOKENS, answer_by, fitting};

/// How often each hand of `Hand::ALL` writes a conversation.
const HANDS: [usize; 5] = [4, 2, 2, 3, 2];

/// Most tokens of a page of statements: facts stand denser there than in conversations, so such pages can be shorter.
const STATEMENT_TOKENS: usize = 48;

/// A page of either sort. Conversations are of any length.
pub fn write(dice: &mut Dice) -> String {
    if dice.chance(0.4) { fitting(dice, STATEMENT_TOKENS, statements).1 } else { conversation(dice) }
}

/// What is true of one to three animals, two to four things of each.
fn statements(draft: &mut Draft) {
    for _ in 0..1 + draft.dice.below(3) {
        let animal = any_animal(draft);
        if !draft.claim(animal.name) {
            continue;
        }
        if draft.len() > 0 {
            draft.say(".");
        }
        let mut attributes = Attribute::ALL;
        for last in (1..attributes.len()).rev() {
            attributes.swap(last, draft.dice.below(last + 1));
        }
        let kept = 2 + draft.dice.below(3);
        let claims: Vec<Claim> =
            attributes.into_iter().take(kept).map(|attribute| Claim::right(Topic { animal, attribute })).collect();
        state(draft, &claims, false);
    }
    draft.say(".");
}

/// One to three exchanges, all answers by one kind of hand, so that the manner of an answer can be told from those before it.
fn conversation(dice: &mut Dice) -> String {
    let hand = Hand::ALL[dice.weighted(&HANDS)];
    let exchanges: Vec<String> = (0..1 + dice.below(3))
        .map(|_| {
            let (topics, prompt) = fitting(dice, PROMPT_TOKENS, ask);
            format!("{prompt} {}", answer_by(dice, hand, &topics))
        })
        .collect();
    exchanges.join(" ")
}
