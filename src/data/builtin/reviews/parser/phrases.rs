//! Noun and adjective phrases: what an opinion is about, and how it is qualified.

use super::super::composition::{DEGREE_DENIED, DENIED, FAINT, FIRMLY_DENIED, INTENSE, Opinion, contrast, scale};
use super::super::cursor::Cursor;
use super::super::words::{ADJECTIVES, ASPECTS, DIMINISHERS, INTENSIFIERS, Number, WHOLES};

/// The film as a whole: "it", "the film", "this movie".
pub fn whole_film(cursor: &mut Cursor) -> Option<&'static str> {
    cursor.attempt(|c| {
        if !c.eat("it") {
            c.one_of(&["the", "this"])?;
            c.one_of(WHOLES)?;
        }
        Some("film")
    })
}

/// An aspect with "the" or "its", or the whole film, and whether it is plural.
pub fn aspect(cursor: &mut Cursor) -> Option<(&'static str, bool)> {
    whole_film(cursor).map(|film| (film, false)).or_else(|| {
        cursor.attempt(|c| {
            c.one_of(&["the", "its"])?;
            let (word, number) = aspect_noun(c)?;
            Some((word, number == Number::Plural))
        })
    })
}

fn aspect_noun(cursor: &mut Cursor) -> Option<(&'static str, Number)> {
    ASPECTS.iter().find(|(word, _)| cursor.eat(word)).copied()
}

/// "a" before a consonant, "an" before a vowel.
pub fn article(cursor: &mut Cursor) -> Option<()> {
    cursor.attempt(|c| {
        let written = c.one_of(&["an", "a"])?;
        let vowel = c.peek().starts_with(['a', 'e', 'i', 'o', 'u']);
        (vowel == (written == "an")).then_some(())
    })
}

/// A noun with its adjectives: "a slow but moving film", "very silly jokes". Only countable singular nouns take an article.
pub fn attributed(cursor: &mut Cursor) -> Option<Vec<Opinion>> {
    cursor.attempt(|c| {
        let with_article = article(c).is_some();
        let first = attribute(c)?;
        let second = c.attempt(|c| {
            let connective = c.one_of(&["and", "but", "yet", ", but"])?;
            Some((connective, attribute(c)?))
        });
        let noun = if c.one_of(WHOLES).is_some() { Some(("film", Number::Count)) } else { aspect_noun(c) };
        let (aspect, _) = noun.filter(|(_, number)| with_article == (*number == Number::Count))?;
        let about = |(head, value)| vec![Opinion { aspect, head, value }];
        Some(match second {
            None => about(first),
            Some(("and", second)) => [about(first), about(second)].concat(),
            Some((_, second)) => contrast(about(first), about(second)),
        })
    })
}

/// An adjective with an optional degree, as it stands before a noun.
fn attribute(cursor: &mut Cursor) -> Option<(&'static str, f64)> {
    let factor = degree(cursor);
    cursor.weighed(ADJECTIVES).map(|(head, strength)| (head, factor * strength))
}

fn degree(cursor: &mut Cursor) -> f64 {
    if cursor.one_of(INTENSIFIERS).is_some() {
        INTENSE
    } else if cursor.one_of(DIMINISHERS).is_some() {
        FAINT
    } else {
        1.0
    }
}

/// What follows "was": "good", "slow , but moving", "not bad at all", "neither good nor bad".
pub fn predicate(cursor: &mut Cursor, aspect: &'static str) -> Option<Vec<Opinion>> {
    cursor.attempt(|c| {
        if c.eat("neither") {
            let first = adjective(c, aspect)?;
            c.need("nor")?;
            return Some(scale(vec![first, adjective(c, aspect)?], DENIED));
        }
        let first = qualified(c, aspect)?;
        let second = c.attempt(|c| {
            let connective = c.one_of(&["and", "but", "yet", ", but", ", yet"])?;
            Some((connective, qualified(c, aspect)?))
        });
        Some(match second {
            None => first,
            Some(("and", second)) => [first, second].concat(),
            Some((_, second)) => contrast(first, second),
        })
    })
}

/// An adjective with a degree, or a denied one.
fn qualified(cursor: &mut Cursor, aspect: &'static str) -> Option<Vec<Opinion>> {
    cursor.attempt(|c| match c.one_of(&["not", "never", "hardly", "far from", "anything but", "a bit"]) {
        Some("not" | "never") => denied(c, aspect),
        Some("hardly") => alternatives(c, aspect).map(|opinions| scale(opinions, DENIED)),
        Some("a bit") => adjective(c, aspect).map(|opinion| scale(vec![opinion], FAINT)),
        Some(_) => alternatives(c, aspect).map(|opinions| scale(opinions, FIRMLY_DENIED)),
        None => attribute(c).map(|(head, value)| vec![Opinion { aspect, head, value }]),
    })
}

/// What follows a negation: "good", "very good", "dull or slow at all".
pub fn denied(cursor: &mut Cursor, aspect: &'static str) -> Option<Vec<Opinion>> {
    cursor.attempt(|c| {
        let early = c.eat("at all");
        let factor = if !early && c.one_of(INTENSIFIERS).is_some() { DEGREE_DENIED } else { DENIED };
        let opinions = alternatives(c, aspect)?;
        let firm = early || c.eat("at all");
        Some(scale(opinions, if firm { factor * INTENSE } else { factor }))
    })
}

/// "dull" or "dull or slow": under a denial, "or" denies both.
fn alternatives(cursor: &mut Cursor, aspect: &'static str) -> Option<Vec<Opinion>> {
    let mut opinions = vec![adjective(cursor, aspect)?];
    opinions.extend(cursor.attempt(|c| {
        c.need("or")?;
        adjective(c, aspect)
    }));
    Some(opinions)
}

fn adjective(cursor: &mut Cursor, aspect: &'static str) -> Option<Opinion> {
    cursor.weighed(ADJECTIVES).map(|(head, value)| Opinion { aspect, head, value })
}
