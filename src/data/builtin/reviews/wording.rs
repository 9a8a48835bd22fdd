//! Writes the parts of opinions: what they are about, and adjectives of a wanted sign with their negations and degrees.

use super::draft::Draft;
use super::words::{ADJECTIVES, ASPECTS, DIMINISHERS, INTENSIFIERS, Number, Verb, WHOLES};

/// What the writer wants an opinion to come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// Praise.
    Positive,
    /// Blame.
    Negative,
}

use Sign::{Negative, Positive};

impl Sign {
    /// The other sign.
    pub fn opposite(self) -> Self {
        if self == Positive { Negative } else { Positive }
    }

    /// Whether a strength has this sign.
    pub fn fits(self, strength: f64) -> bool {
        (strength > 0.0) == (self == Positive)
    }
}

/// The film or an aspect not yet mentioned, as a subject; whether it is plural.
pub fn subject(draft: &mut Draft) -> bool {
    if draft.dice.chance(0.16) {
        draft.say_one(&["it", "it", "the film", "this film", "the movie", "this movie"]);
        return false;
    }
    let (word, number) = fresh_aspect(draft);
    draft.say_one(&["the", "the", "the", "its"]);
    draft.say(word);
    number == Number::Plural
}

/// The same as an object.
pub fn object(draft: &mut Draft) {
    subject(draft);
}

/// An aspect not yet mentioned, and how it behaves as a noun.
pub fn fresh_aspect(draft: &mut Draft) -> (&'static str, Number) {
    let words: Vec<&'static str> = ASPECTS.iter().map(|(word, _)| *word).collect();
    let chosen = draft.fresh(&words);
    let number = ASPECTS.iter().find(|(word, _)| *word == chosen).map_or(Number::Mass, |(_, number)| *number);
    (chosen, number)
}

/// An unused word of this sign from a table of strengths.
pub fn signed(draft: &mut Draft, table: &[(&'static str, f64)], sign: Sign) -> &'static str {
    let words: Vec<&'static str> = table.iter().filter(|(_, strength)| sign.fits(*strength)).map(|(word, _)| *word).collect();
    draft.fresh(&words)
}

/// An unused verb of this sign: past and base form.
pub fn signed_verb(draft: &mut Draft, table: &[Verb], sign: Sign) -> (&'static str, &'static str) {
    let bases: Vec<&'static str> = table.iter().filter(|(.., strength)| sign.fits(*strength)).map(|(_, base, _)| *base).collect();
    let chosen = draft.fresh(&bases);
    let past = table.iter().find(|(_, base, _)| *base == chosen).map_or(chosen, |(past, ..)| past);
    (past, chosen)
}

/// An unused adjective of this sign.
pub fn adjective(draft: &mut Draft, sign: Sign) -> &'static str {
    signed(draft, ADJECTIVES, sign)
}

/// What comes after "was": one adjective, or with `other` two. Of opposite ones, that of the wanted sign comes last.
pub fn predicate(draft: &mut Draft, sign: Sign, other: Option<Sign>) {
    match other {
        Some(second) if second == sign => {
            qualified(draft, sign);
            draft.say("and");
            qualified(draft, second);
        }
        Some(second) => {
            // The last word decides.
            qualified(draft, second);
            draft.say_one(&["but", ", but", ", but", "yet", ", yet"]);
            qualified(draft, sign);
        }
        None if draft.dice.chance(0.05) => {
            draft.say("neither");
            let first = adjective(draft, sign.opposite());
            draft.say(first);
            draft.say("nor");
            let second = adjective(draft, sign.opposite());
            draft.say(second);
        }
        None => qualified(draft, sign),
    }
}

/// One adjective with a degree, or the denial of an opposite one.
pub fn qualified(draft: &mut Draft, sign: Sign) {
    if draft.dice.chance(0.9) {
        match draft.dice.weighted(&[60, 20, 14, 6]) {
            0 => {}
            1 => draft.say_one(INTENSIFIERS),
            2 => draft.say_one(DIMINISHERS),
            _ => draft.say("a bit"),
        }
        let word = adjective(draft, sign);
        return draft.say(word);
    }
    match draft.dice.weighted(&[10, 3, 2, 2, 2]) {
        0 => {
            draft.say("not");
            denied(draft, sign);
        }
        1 => {
            draft.say("never");
            denied(draft, sign);
        }
        choice => {
            draft.say(["hardly", "far from", "anything but"][choice - 2]);
            let word = adjective(draft, sign.opposite());
            draft.say(word);
        }
    }
}

/// What follows "not" so that the whole has this sign.
pub fn denied(draft: &mut Draft, sign: Sign) {
    let form = draft.dice.weighted(&[50, 15, 20, 15]);
    if form == 1 {
        draft.say_one(INTENSIFIERS);
    }
    let word = adjective(draft, sign.opposite());
    draft.say(word);
    if form == 2 {
        draft.say("at all");
    }
    if form == 3 {
        draft.say("or");
        let second = adjective(draft, sign.opposite());
        draft.say(second);
    }
}

/// "a slow but moving film", "very silly jokes"; `other` as in `predicate`. With `whole`, the noun is often the film.
pub fn attributed(draft: &mut Draft, sign: Sign, other: Option<Sign>, whole: bool) {
    let (noun, number) =
        if whole && draft.dice.chance(0.5) { (draft.dice.pick(WHOLES), Number::Count) } else { fresh_aspect(draft) };
    let degree = match draft.dice.weighted(&[70, 18, 12]) {
        0 => None,
        1 => Some(draft.dice.pick(INTENSIFIERS)),
        _ => Some(draft.dice.pick(DIMINISHERS)),
    };
    // Of two opposite adjectives the last decides, as after "was".
    let first = adjective(draft, other.unwrap_or(sign));
    if number == Number::Count {
        draft.say_article(degree.unwrap_or(first));
    }
    draft.say(degree.unwrap_or_default());
    draft.say(first);
    if let Some(second) = other {
        draft.say_one(if second == sign { &["and"] } else { &["but", "yet", ", but"] });
        let word = adjective(draft, sign);
        draft.say(word);
    }
    draft.say(noun);
}
