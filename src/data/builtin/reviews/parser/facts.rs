//! Clauses without sentiment: how the film was seen, what it tells, who made it.

use super::super::cursor::Cursor;
use super::super::words::{
    CREW, DEEDS, DESTINATIONS, HOURS, JOURNEYS, MAKINGS, PEOPLE, RELATIVES, SETTINGS, TELLINGS, TIMES, TRAITS, VENUES, WHOLES,
    WRITINGS,
};
use super::Statement;
use super::phrases::{article, whole_film};

/// A fact. How the film was seen is one fact in whatever words; other facts are told apart by their words.
pub fn fact(cursor: &mut Cursor) -> Option<Statement> {
    let before = *cursor;
    let said = if cursor.attempt(viewing).is_some() {
        "viewing".to_owned()
    } else {
        cursor.attempt(plot).or_else(|| cursor.attempt(deed)).or_else(|| cursor.attempt(production))?;
        cursor.since(&before)
    };
    Some(Statement { opinions: Vec::new(), facts: vec![said] })
}

/// "last night i saw this film at home with my sister", "my brother took me to this film on friday"
fn viewing(cursor: &mut Cursor) -> Option<()> {
    let early = cursor.one_of(TIMES).is_some();
    if cursor.eat("my") {
        cursor.one_of(RELATIVES)?;
        cursor.one_of(&["took me to", "chose"])?;
        whole_film(cursor)?;
    } else {
        cursor.one_of(&["i", "we"])?;
        cursor.one_of(&["saw", "watched"])?;
        whole_film(cursor)?;
        cursor.one_of(VENUES);
        if !cursor.eat("alone") {
            cursor.attempt(|c| {
                c.need("with my")?;
                c.one_of(RELATIVES)
            });
        }
    }
    if !early {
        cursor.one_of(TIMES);
    }
    Some(())
}

/// "the film follows a young doctor in a small town"
fn plot(cursor: &mut Cursor) -> Option<()> {
    cursor.one_of(&["the", "this"])?;
    cursor.one_of(WHOLES).or_else(|| cursor.one_of(&["story", "plot"]))?;
    cursor.one_of(TELLINGS)?;
    person(cursor)?;
    cursor.one_of(SETTINGS);
    Some(())
}

/// "she meets an old soldier near the border", "he returns to the sea", "she works as a nurse"
fn deed(cursor: &mut Cursor) -> Option<()> {
    cursor.one_of(&["he", "she"])?;
    if cursor.one_of(JOURNEYS).is_some() {
        return cursor.one_of(DESTINATIONS).map(|_| ());
    }
    if !cursor.eat("works as") {
        cursor.one_of(DEEDS)?;
    }
    person(cursor)?;
    cursor.one_of(SETTINGS);
    Some(())
}

/// An article, at most one trait, and a person.
fn person(cursor: &mut Cursor) -> Option<()> {
    article(cursor)?;
    cursor.one_of(TRAITS);
    cursor.one_of(PEOPLE).map(|_| ())
}

/// Who made the film, where, and how long it is.
fn production(cursor: &mut Cursor) -> Option<()> {
    cursor
        .attempt(|c| {
            c.need("it was")?;
            c.one_of(MAKINGS)?;
            c.one_of(SETTINGS).map(|_| ())
        })
        .or_else(|| {
            cursor.attempt(|c| {
                whole_film(c)?;
                c.need("runs for")?;
                c.one_of(HOURS).map(|_| ())
            })
        })
        .or_else(|| {
            cursor.attempt(|c| {
                c.need("the cast includes")?;
                person(c)?;
                c.need("and")?;
                person(c)
            })
        })
        .or_else(|| cursor.attempt(authorship))
        .or_else(|| {
            cursor.attempt(|c| {
                person(c)?;
                c.need("plays the")?;
                c.one_of(PEOPLE).map(|_| ())
            })
        })
}

/// "the director also wrote the script", "the director is a retired sailor", "the music was written by a teacher"
fn authorship(cursor: &mut Cursor) -> Option<()> {
    cursor.need("the")?;
    if cursor.one_of(WRITINGS).is_some() {
        cursor.need("was written by")?;
        return person(cursor);
    }
    cursor.one_of(CREW)?;
    if cursor.eat("is") {
        return person(cursor);
    }
    cursor.eat("also");
    cursor.need("wrote the")?;
    cursor.one_of(WRITINGS).map(|_| ())
}
