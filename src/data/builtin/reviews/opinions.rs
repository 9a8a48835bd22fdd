//! Writes clauses that carry an opinion of a wanted sign.

use super::draft::Draft;
use super::wording::{Sign, adjective, denied, fresh_aspect, object, predicate, qualified, signed, signed_verb, subject};
use super::words::{
    COMPARATIVES, EFFECTS, FATES, FEELINGS, GOODS, LINKS, QUALITIES, REACTIONS, VERB_DIMINISHERS, VERB_INTENSIFIERS, Verb,
    WASTED, YARDSTICKS,
};

/// A clause with an opinion of this sign.
pub fn clause(draft: &mut Draft, sign: Sign) {
    match draft.dice.weighted(&[48, 13, 8, 7, 8, 7, 4, 3, 1, 1]) {
        0 => {
            draft.maybe_one(0.08, &["i think", "i thought"]);
            described(draft, sign);
        }
        1 => felt(draft, sign),
        2 => moved(draft, sign),
        3 => fared(draft, sign),
        4 => owned(draft, sign),
        5 => found(draft, sign),
        6 => compared(draft, sign),
        7 if draft.claim("reaction") => reacted(draft, sign),
        8 => {
            draft.say("nobody could call");
            object(draft);
            let word = adjective(draft, sign.opposite());
            draft.say(word);
        }
        _ => {
            // Denying the whole clause, so the clause itself says the opposite, without a negation of its own.
            draft.say("i do not think");
            let plural = subject(draft);
            draft.say(if plural { "were" } else { "was" });
            let word = adjective(draft, sign.opposite());
            draft.say(word);
        }
    }
}

/// "the plot was not bad at all", "the jokes never felt rushed"
fn described(draft: &mut Draft, sign: Sign) {
    let plural = subject(draft);
    if draft.dice.chance(0.75) {
        draft.say(if plural { "were" } else { "was" });
        let other = draft.dice.chance(0.15).then_some(sign.opposite());
        return predicate(draft, sign, other);
    }
    let (past, base) = draft.dice.pick(LINKS);
    if draft.dice.chance(0.9) {
        draft.say(past);
        return qualified(draft, sign);
    }
    if draft.dice.chance(0.6) {
        draft.say("never");
        draft.say(past);
    } else {
        draft.say("did not");
        draft.say(base);
    }
    denied(draft, sign);
}

/// The verb of a clause: plain, with a degree, or the denial of an opposite one ("never" or "did not"); whether it is denied.
fn verb(draft: &mut Draft, table: &[Verb], sign: Sign) -> bool {
    if draft.dice.chance(0.1) {
        let (past, base) = signed_verb(draft, table, sign.opposite());
        if draft.dice.chance(0.4) {
            draft.say("never");
            draft.say(past);
        } else {
            draft.say("did not");
            draft.say(base);
        }
        return true;
    }
    match draft.dice.weighted(&[75, 15, 10]) {
        0 => {}
        1 => draft.say_one(VERB_INTENSIFIERS),
        _ => draft.say_one(VERB_DIMINISHERS),
    }
    let (past, _) = signed_verb(draft, table, sign);
    draft.say(past);
    false
}

/// "i loved the plot", "i did not enjoy it at all"
fn felt(draft: &mut Draft, sign: Sign) {
    draft.say("i");
    let denied = verb(draft, FEELINGS, sign);
    if draft.dice.chance(0.15) {
        draft.say("both the");
        let (first, _) = fresh_aspect(draft);
        draft.say(first);
        draft.say("and the");
        let (second, _) = fresh_aspect(draft);
        draft.say(second);
    } else {
        object(draft);
    }
    draft.maybe(if denied { 0.3 } else { 0.0 }, "at all");
}

/// "the ending moved me"
fn moved(draft: &mut Draft, sign: Sign) {
    subject(draft);
    let denied = verb(draft, EFFECTS, sign);
    draft.say("me");
    draft.maybe(if denied { 0.3 } else { 0.0 }, "at all");
}

/// "the jokes failed"
fn fared(draft: &mut Draft, sign: Sign) {
    subject(draft);
    let denied = verb(draft, FATES, sign);
    draft.maybe(if denied { 0.3 } else { 0.0 }, "at all");
}

/// "the script lacked wit", "there was real tension"
fn owned(draft: &mut Draft, sign: Sign) {
    let impersonal = draft.dice.chance(0.4);
    let denial = draft.dice.chance(0.25);
    if impersonal {
        draft.say("there was");
    } else {
        subject(draft);
    }
    if denial {
        draft.say_one(if impersonal { &["no", "little"] } else { &["had no", "had little", "lacked"] });
        let word = signed(draft, QUALITIES, sign.opposite());
        draft.say(word);
    } else {
        draft.maybe(if impersonal { 0.0 } else { 1.0 }, "had");
        draft.say_one(&["some", "real", "enough", "plenty of"]);
        let word = signed(draft, QUALITIES, sign);
        draft.say(word);
    }
    if impersonal && draft.dice.chance(0.4) {
        let (word, _) = fresh_aspect(draft);
        draft.say("in the");
        draft.say(word);
    }
}

/// "i found the plot dull"
fn found(draft: &mut Draft, sign: Sign) {
    let denial = draft.dice.chance(0.1);
    draft.say(if denial { "i did not find" } else { "i found" });
    object(draft);
    if denial { denied(draft, sign) } else { qualified(draft, sign) }
}

/// "the ending was much better than expected"
fn compared(draft: &mut Draft, sign: Sign) {
    let plural = subject(draft);
    draft.say(if plural { "were" } else { "was" });
    let denial = draft.dice.chance(0.1);
    let word = signed(draft, COMPARATIVES, if denial { sign.opposite() } else { sign });
    if denial {
        draft.say("no");
    } else {
        draft.maybe_one(0.4, &["much", "slightly"]);
    }
    draft.say(word);
    draft.say("than");
    draft.say_one(YARDSTICKS);
}

/// "i never laughed"
fn reacted(draft: &mut Draft, sign: Sign) {
    let denial = draft.dice.chance(0.2);
    draft.say("i");
    if denial {
        draft.say_one(&["never", "rarely"]);
    } else {
        draft.maybe(0.25, "often");
    }
    let word = signed(draft, REACTIONS, if denial { sign.opposite() } else { sign });
    draft.say(word);
}

/// A verdict on the film as a whole, for the end of a review.
pub fn advice(draft: &mut Draft, sign: Sign) {
    let positive = sign == Sign::Positive;
    match draft.dice.weighted(if positive { &[5, 3, 3, 1] } else { &[2, 5, 1, 4] }) {
        0 => {
            draft.say("i would");
            if positive {
                draft.maybe(0.3, "gladly");
            } else {
                draft.say_one(&["not", "never"]);
            }
            draft.say_one(&["recommend it", "recommend this film", "see it again", "watch it again"]);
        }
        1 => draft.say_one(if positive {
            &["you should see it", "you should watch it", "you should not miss it", "you should not skip this film"]
        } else {
            &[
                "you should avoid it",
                "you should skip it",
                "i would skip it",
                "you should avoid this movie",
                "you should not watch it",
            ]
        }),
        2 => {
            draft.say(if positive { "it was" } else { "it was not" });
            draft.maybe(if positive { 0.3 } else { 0.0 }, "well");
            draft.say("worth");
            draft.say_one(GOODS);
        }
        _ if positive => {
            draft.say("it was not a waste of");
            draft.say_one(WASTED);
        }
        _ if draft.dice.chance(0.4) => draft.say("i wanted my money back"),
        _ => {
            draft.say("it was a waste of");
            draft.say_one(WASTED);
        }
    }
}
