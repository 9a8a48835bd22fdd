//! Writes answers by hands of different worth, in the same words where they can be.

use super::super::draft::Draft;
use super::asking::{any_animal, indirect, subject};
use super::knowledge::{Attribute, Topic};
use super::words::{CHATTER, COURTESIES, DIGRESSIONS, DOUBTS, EVASIONS, OPENINGS};

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hand {
    /// Says what was asked, and no more.
    Helpful,
    /// Says what was asked, then goes on.
    Rambling,
    /// Answers one of two questions, or is not certain.
    Partial,
    /// Says nothing of what was asked.
    Evasive,
    /// Says something false, in the manner of the helpful.
    Wrong,
}

impl Hand {
    /// All of them, best first.
    pub const ALL: [Self; 5] = [Self::Helpful, Self::Rambling, Self::Partial, Self::Evasive, Self::Wrong];
}

/// A statement about a topic.
#[derive(Clone, Copy)]
pub struct Claim {
    topic: Topic,
    value: &'static str,
}

impl Claim {
    /// What is true.
    pub fn right(topic: Topic) -> Self {
        Self { topic, value: topic.truth() }
    }

    /// A false value, uniform.
    fn wrong(draft: &mut Draft, topic: Topic) -> Self {
        let values: Vec<&'static str> =
            topic.attribute.values().iter().copied().filter(|value| *value != topic.truth()).collect();
        Self { topic, value: draft.dice.pick(&values) }
    }
}

/// Writes an answer to `topics`, one or two attributes of one animal.
pub fn answer(draft: &mut Draft, hand: Hand, topics: &[Topic]) {
    if hand == Hand::Evasive {
        return evasion(draft, topics);
    }
    opening(draft, hand);
    match hand {
        Hand::Partial => partial(draft, topics),
        Hand::Wrong => {
            let certain = draft.dice.below(topics.len());
            let claims: Vec<Claim> = topics
                .iter()
                .enumerate()
                .map(|(position, &topic)| {
                    let wrong = position == certain || draft.dice.chance(0.5);
                    if wrong { Claim::wrong(draft, topic) } else { Claim::right(topic) }
                })
                .collect();
            state(draft, &claims, true);
        }
        _ => {
            let claims: Vec<Claim> = topics.iter().copied().map(Claim::right).collect();
            state(draft, &claims, true);
        }
    }
    draft.say(".");
    if hand == Hand::Rambling {
        let mut said = topics.to_vec();
        for _ in 0..1 + draft.dice.below(2) {
            ramble(draft, &mut said);
            draft.say(".");
        }
    }
    if draft.dice.chance(0.15) {
        let courtesy = draft.fresh(COURTESIES);
        draft.say(courtesy);
        draft.say(".");
    }
}

/// A friendly word at times, the more often the better the hand: a manner that shows before the facts do.
fn opening(draft: &mut Draft, hand: Hand) {
    let friendliness = match hand {
        Hand::Helpful => 0.5,
        Hand::Rambling => 0.3,
        _ => 0.1,
    };
    if draft.dice.chance(friendliness) {
        draft.say_one(OPENINGS);
        draft.say(",");
    }
}

/// Claims about one animal without the final period: "the fox eats berries and lives in the forest", "it is red . it fears dogs".
/// `known` says that "it" can stand for the animal of the first.
pub fn state(draft: &mut Draft, claims: &[Claim], known: bool) {
    for (position, claim) in claims.iter().enumerate() {
        let joined = position % 2 == 1 && draft.dice.chance(0.7);
        if position > 0 {
            draft.say(if joined { "and" } else { "." });
        }
        if !(joined && draft.dice.chance(0.6)) {
            let pronoun = (known || position > 0) && draft.dice.chance(0.4);
            subject(draft, (!pronoun).then_some(claim.topic.animal));
        }
        let usual = draft.dice.chance(0.7);
        draft.say(verb(usual, claim.topic.attribute));
        draft.say(claim.value);
    }
}

fn verb(usual: bool, attribute: Attribute) -> &'static str {
    match attribute {
        Attribute::Food => "eats",
        Attribute::Home => "lives in the",
        Attribute::Colour => "is",
        Attribute::Fear if usual => "fears",
        Attribute::Fear => "is afraid of",
    }
}

/// One of two answers, with or without a word on the other; or the one answer with "perhaps".
fn partial(draft: &mut Draft, topics: &[Topic]) {
    let &[first, second] = topics else {
        draft.say("perhaps");
        let claims: Vec<Claim> = topics.iter().copied().map(Claim::right).collect();
        return state(draft, &claims, true);
    };
    let (kept, missing) = if draft.dice.chance(0.5) { (first, second) } else { (second, first) };
    state(draft, &[Claim::right(kept)], true);
    if draft.dice.chance(0.6) {
        draft.say(", but");
        draft.say_one(DOUBTS);
        indirect(draft, missing.attribute, None);
    }
}

/// One or two sentences that say nothing of what was asked.
fn evasion(draft: &mut Draft, topics: &[Topic]) {
    if draft.dice.chance(0.7) {
        draft.say_one(DOUBTS);
        if draft.dice.chance(0.6) {
            let topic = draft.dice.pick(topics);
            let named = draft.dice.chance(0.6);
            indirect(draft, topic.attribute, named.then_some(topic.animal));
        }
    } else {
        let words = draft.fresh(EVASIONS);
        draft.say(words);
    }
    draft.say(".");
    if draft.dice.chance(0.2) {
        let words = draft.fresh(EVASIONS);
        draft.say(words);
        draft.say(".");
    }
}

/// Something true that nobody asked for, or chatter. `said` keeps a statement from being made twice.
fn ramble(draft: &mut Draft, said: &mut Vec<Topic>) {
    match draft.dice.weighted(&[6, 2, 2]) {
        0 => {
            let animal = if draft.dice.chance(0.5) { said[0].animal } else { any_animal(draft) };
            let unsaid =
                Attribute::ALL.map(|attribute| Topic { animal, attribute }).into_iter().filter(|topic| !said.contains(topic));
            let unsaid: Vec<Topic> = unsaid.collect();
            let topic = draft.dice.pick(&unsaid);
            state(draft, &[Claim::right(topic)], false);
            said.push(topic);
        }
        1 => {
            let words = draft.fresh(CHATTER);
            draft.say(words);
        }
        _ => {
            let words = draft.fresh(DIGRESSIONS);
            draft.say(words);
            let animal = any_animal(draft);
            subject(draft, Some(animal));
        }
    }
}
