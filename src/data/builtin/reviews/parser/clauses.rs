//! Clauses that carry an opinion, by who speaks: "the plot ...", "i ...", "you should ...", "nobody could ...".

use super::super::composition::{DENIED, FAINT, FIRMLY_DENIED, INTENSE, Opinion, REFUSED, scale};
use super::super::cursor::Cursor;
use super::super::words::{
    ADVICE, COMPARATIVES, EFFECTS, FATES, FEELINGS, GOODS, LINKS, QUALITIES, REACTIONS, REFUND, VERB_DIMINISHERS,
    VERB_INTENSIFIERS, Verb, WASTE, WASTED, WORTH, YARDSTICKS,
};
use super::phrases::{aspect, denied, predicate, whole_film};
use super::{Statement, facts};

/// A clause with an opinion, or a fact.
pub fn clause(cursor: &mut Cursor) -> Option<Statement> {
    let opinions = cursor.attempt(first_person).or_else(|| cursor.attempt(there_was)).or_else(|| cursor.attempt(address));
    opinions.or_else(|| cursor.attempt(described)).map(Statement::opinions).or_else(|| cursor.attempt(facts::fact))
}

/// A clause whose subject is the film or an aspect of it.
fn described(cursor: &mut Cursor) -> Option<Vec<Opinion>> {
    let (aspect, plural) = aspect(cursor)?;
    if cursor.eat(if plural { "were" } else { "was" }) {
        return cursor
            .attempt(|c| worth(c, aspect))
            .or_else(|| cursor.attempt(|c| compared(c, aspect)))
            .or_else(|| predicate(cursor, aspect));
    }
    cursor
        .attempt(|c| linked(c, aspect))
        .or_else(|| cursor.attempt(|c| owned(c, aspect)))
        .or_else(|| cursor.attempt(|c| acted(c, aspect, EFFECTS, "me")))
        .or_else(|| cursor.attempt(|c| acted(c, aspect, FATES, "")))
}

fn one(aspect: &'static str, head: &'static str, value: f64) -> Vec<Opinion> {
    vec![Opinion { aspect, head, value }]
}

/// "worth seeing", "a waste of time"; said of the film as a whole.
fn worth(cursor: &mut Cursor, aspect: &'static str) -> Option<Vec<Opinion>> {
    if aspect != "film" {
        return None;
    }
    let modifier = cursor.one_of(&["not", "hardly", "well"]);
    let factor = match modifier {
        Some("well") => INTENSE,
        Some(_) => DENIED,
        None => 1.0,
    };
    if cursor.eat("worth") {
        cursor.one_of(GOODS)?;
        return Some(one(aspect, "worth", factor * WORTH));
    }
    cursor.need("a waste of")?;
    cursor.one_of(WASTED)?;
    (modifier != Some("well")).then(|| one(aspect, "waste", factor * WASTE))
}

/// "much better than the book"
fn compared(cursor: &mut Cursor, aspect: &'static str) -> Option<Vec<Opinion>> {
    let factor = match cursor.one_of(&["much", "slightly", "no", "not"]) {
        Some("much") => INTENSE,
        Some("slightly") => FAINT,
        Some(_) => DENIED,
        None => 1.0,
    };
    let (head, strength) = cursor.weighed(COMPARATIVES)?;
    cursor.need("than")?;
    cursor.one_of(YARDSTICKS)?;
    Some(one(aspect, head, factor * strength))
}

/// "felt rushed", "never felt rushed", "did not feel rushed"
fn linked(cursor: &mut Cursor, aspect: &'static str) -> Option<Vec<Opinion>> {
    let link = |c: &mut Cursor, base: bool| LINKS.iter().find(|(past, root)| c.eat(if base { root } else { past })).map(|_| ());
    if cursor.eat("did not") {
        link(cursor, true)?;
        return denied(cursor, aspect);
    }
    let never = cursor.eat("never");
    link(cursor, false)?;
    if never { denied(cursor, aspect) } else { predicate(cursor, aspect) }
}

/// "had no wit", "lacked tension"
fn owned(cursor: &mut Cursor, aspect: &'static str) -> Option<Vec<Opinion>> {
    if cursor.eat("lacked") {
        let (head, strength) = cursor.weighed(QUALITIES)?;
        return Some(one(aspect, head, FIRMLY_DENIED * strength));
    }
    cursor.need("had")?;
    quality(cursor, aspect)
}

fn quality(cursor: &mut Cursor, aspect: &'static str) -> Option<Vec<Opinion>> {
    let factor = match cursor.one_of(&["no", "little", "some", "real", "enough", "plenty of"])? {
        "no" => FIRMLY_DENIED,
        "little" => DENIED,
        "some" => FAINT,
        "enough" => 1.0,
        _ => INTENSE,
    };
    let (head, strength) = cursor.weighed(QUALITIES)?;
    Some(one(aspect, head, factor * strength))
}

/// "there was no tension in the plot"
fn there_was(cursor: &mut Cursor) -> Option<Vec<Opinion>> {
    cursor.need("there was")?;
    let found = quality(cursor, "film")?;
    let place = cursor.attempt(|c| {
        c.need("in")?;
        aspect(c)
    });
    Some(found.into_iter().map(|opinion| Opinion { aspect: place.map_or("film", |(aspect, _)| aspect), ..opinion }).collect())
}

/// A verb of `table` with its negation or degree, then `object` (a word, or nothing).
fn acted(cursor: &mut Cursor, aspect: &'static str, table: &[Verb], object: &str) -> Option<Vec<Opinion>> {
    let (head, strength, factor) = verb(cursor, table)?;
    if !object.is_empty() {
        cursor.need(object)?;
    }
    let factor = firmly(cursor, factor);
    Some(one(aspect, head, factor * strength))
}

/// "did not move", "never moved", "really moved", "moved": base form, strength, and the factor of what stands before.
fn verb(cursor: &mut Cursor, table: &[Verb]) -> Option<(&'static str, f64, f64)> {
    if cursor.eat("did not") {
        return table.iter().find(|(_, base, _)| cursor.eat(base)).map(|(_, base, strength)| (*base, *strength, DENIED));
    }
    let factor = if cursor.eat("never") {
        DENIED
    } else if cursor.one_of(VERB_INTENSIFIERS).is_some() {
        INTENSE
    } else if cursor.one_of(VERB_DIMINISHERS).is_some() {
        FAINT
    } else {
        1.0
    };
    table.iter().find(|(past, ..)| cursor.eat(past)).map(|(_, base, strength)| (*base, *strength, factor))
}

/// "... at all" makes a denial firm, and belongs nowhere else.
fn firmly(cursor: &mut Cursor, factor: f64) -> f64 {
    if factor < 0.0 && cursor.eat("at all") { factor * INTENSE } else { factor }
}

/// What "i" felt, found, would do, did, or thought.
fn first_person(cursor: &mut Cursor) -> Option<Vec<Opinion>> {
    cursor.need("i")?;
    cursor
        .attempt(|c| {
            c.need("do not think")?;
            described(c).map(|opinions| scale(opinions, DENIED))
        })
        .or_else(|| {
            cursor.attempt(|c| {
                c.one_of(&["think", "thought"])?;
                described(c)
            })
        })
        .or_else(|| cursor.attempt(found))
        .or_else(|| cursor.attempt(felt))
        .or_else(|| cursor.attempt(would))
        .or_else(|| cursor.attempt(reacted))
        .or_else(|| cursor.eat("wanted my money back").then(|| one("film", "refund", REFUND)))
}

/// "found the plot dull", "did not find the plot dull"
fn found(cursor: &mut Cursor) -> Option<Vec<Opinion>> {
    if cursor.eat("did not find") {
        let (aspect, _) = aspect(cursor)?;
        return denied(cursor, aspect);
    }
    cursor.need("found")?;
    let (aspect, _) = aspect(cursor)?;
    predicate(cursor, aspect)
}

/// "loved the plot", "did not love it at all", "loved both the plot and the cast"
fn felt(cursor: &mut Cursor) -> Option<Vec<Opinion>> {
    let (head, strength, factor) = verb(cursor, FEELINGS)?;
    let both = cursor.eat("both");
    let mut liked = vec![aspect(cursor)?];
    if both {
        cursor.need("and")?;
        liked.push(aspect(cursor)?);
    }
    let factor = firmly(cursor, factor);
    Some(liked.into_iter().map(|(aspect, _)| Opinion { aspect, head, value: factor * strength }).collect())
}

/// "would gladly recommend it", "would never see it again"
fn would(cursor: &mut Cursor) -> Option<Vec<Opinion>> {
    cursor.need("would")?;
    let factor = match cursor.one_of(&["gladly", "not", "never"]) {
        Some("gladly") => INTENSE,
        Some(_) => REFUSED,
        None => 1.0,
    };
    let (head, strength) = cursor.weighed(ADVICE).filter(|(head, _)| *head != "miss")?;
    let film = whole_film(cursor)?;
    if matches!(head, "see" | "watch") {
        cursor.need("again")?;
    }
    Some(one(film, head, factor * strength))
}

/// "laughed", "never laughed", "often laughed"
fn reacted(cursor: &mut Cursor) -> Option<Vec<Opinion>> {
    let factor = match cursor.one_of(&["often", "never", "rarely"]) {
        Some("often") => INTENSE,
        Some(_) => DENIED,
        None => 1.0,
    };
    let (head, strength) = cursor.weighed(REACTIONS)?;
    Some(one("film", head, factor * strength))
}

/// What the reader should do, and what nobody could say.
fn address(cursor: &mut Cursor) -> Option<Vec<Opinion>> {
    if cursor.eat("nobody could call") {
        let (aspect, _) = aspect(cursor)?;
        return denied(cursor, aspect).map(|opinions| scale(opinions, INTENSE));
    }
    cursor.need("you should")?;
    let factor = if cursor.eat("not") { REFUSED } else { 1.0 };
    let (head, strength) = cursor.weighed(ADVICE).filter(|(head, _)| *head != "recommend")?;
    Some(one(whole_film(cursor)?, head, factor * strength))
}
