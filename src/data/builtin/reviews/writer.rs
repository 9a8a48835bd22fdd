//! Writes the sentences of a review: openings, single opinions, contrasts and concessions, exclamations.

use super::draft::Draft;
use super::notes;
use super::opinions::{advice, clause};
use super::wording::{Sign, attributed, predicate};
use super::words::{ADVERBIALS, WHOLES};

/// A review whose opinions are each positive with probability `positivity`.
pub fn write(draft: &mut Draft, positivity: f64) {
    let opened = draft.dice.chance(0.4);
    if opened {
        opening(draft);
    }
    let sentences = if opened { 1 + draft.dice.weighted(&[10, 10, 1]) } else { 1 + draft.dice.weighted(&[2, 6, 4, 1]) };
    for index in 0..sentences {
        if index > 0 && index + 1 == sentences && draft.dice.chance(0.25) {
            let sign = sign(draft, positivity);
            advice(draft, sign);
            draft.say_one(&[".", ".", "!"]);
        } else {
            sentence(draft, positivity);
        }
    }
}

/// Positive with probability `positivity`.
fn sign(draft: &mut Draft, positivity: f64) -> Sign {
    if draft.dice.chance(positivity) { Sign::Positive } else { Sign::Negative }
}

/// A neutral first sentence: mostly how the film was seen.
fn opening(draft: &mut Draft) {
    match draft.dice.weighted(&[6, 3, 1]) {
        0 => notes::viewing(draft),
        1 => notes::telling(draft),
        _ => notes::production(draft),
    }
    draft.say(".");
}

/// One sentence: a clause, two clauses, a concession to a noun, a fragment, or an exclamation (also in place of a second fragment).
fn sentence(draft: &mut Draft, positivity: f64) {
    let first = sign(draft, positivity);
    match draft.dice.weighted(&[44, 30, 8, 12, 6]) {
        0 => {
            adverbial(draft);
            clause(draft, first);
            end(draft);
        }
        1 => {
            let second = sign(draft, positivity);
            adverbial(draft);
            paired(draft, first, second);
            end(draft);
        }
        2 => {
            let second = sign(draft, positivity);
            despite(draft, first, second);
            end(draft);
        }
        3 if draft.claim("fragment") => {
            fragment(draft, first, positivity);
            end(draft);
        }
        _ => {
            draft.say("what");
            attributed(draft, first, None, true);
            draft.say("!");
        }
    }
}

fn adverbial(draft: &mut Draft) {
    if draft.dice.chance(0.15) {
        draft.say_one(ADVERBIALS);
        draft.say(",");
    }
}

fn end(draft: &mut Draft) {
    draft.say_one(&[".", ".", ".", ".", ".", ".", "!"]);
}

/// Two clauses: joined when they agree, contrasted when they do not.
fn paired(draft: &mut Draft, first: Sign, second: Sign) {
    if first == second {
        clause(draft, first);
        draft.say_one(&["and", ", and"]);
    } else if draft.dice.chance(0.2) {
        draft.say("although");
        clause(draft, first);
        draft.say(",");
    } else {
        clause(draft, first);
        draft.say_one(&[", but", ", but", ", but", "but", ", yet", "although", ", although"]);
    }
    clause(draft, second);
}

/// "despite a thin plot , the jokes worked"; between like opinions there is nothing to concede, so they are joined.
fn despite(draft: &mut Draft, first: Sign, second: Sign) {
    if first == second {
        return paired(draft, first, second);
    }
    draft.say("despite");
    attributed(draft, first, None, false);
    draft.say(",");
    clause(draft, second);
}

/// A sentence without a verb.
fn fragment(draft: &mut Draft, first: Sign, positivity: f64) {
    match draft.dice.weighted(&[3, 3, 4]) {
        0 => {
            let other = draft.dice.chance(0.6).then(|| sign(draft, positivity));
            predicate(draft, first, other);
        }
        1 => {
            let other = draft.dice.chance(0.5).then(|| sign(draft, positivity));
            attributed(draft, first, other, true);
        }
        _ => {
            draft.say("a");
            draft.say_one(WHOLES);
            draft.say("with");
            attributed(draft, first, None, false);
            if draft.dice.chance(0.6) {
                let second = sign(draft, positivity);
                draft.say_one(if first == second { &["and"] } else { &["but", ", but"] });
                attributed(draft, second, None, false);
            }
        }
    }
}
