//! Reads the sentences of an answer.
//!
//! ```text
//! sentence = [opening ","] ["perhaps"] claim {"and" claim} [", but" doubt] "." | doubt "." | evasion "." | courtesy "." | chatter "."
//! claim    = [animal | "it"] verb value
//! doubt    = ("i do not know" | ...) [clause that asks]
//! ```

use super::super::super::cursor::Cursor;
use super::super::knowledge::{Animal, Attribute, Topic};
use super::super::words::{CHATTER, COURTESIES, DIGRESSIONS, DOUBTS, EVASIONS, OPENINGS};
use super::question::clause;
use super::{name, named};

/// A statement that a topic has a value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Claim {
    /// What it is about.
    pub topic: Topic,
    /// What is said of it.
    pub value: &'static str,
    /// False in a sentence that begins with "perhaps".
    pub certain: bool,
}

/// What else a sentence can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Remark {
    /// Refuses to answer.
    Evasion,
    /// Is friendly.
    Courtesy,
    /// Fills time.
    Chatter,
}

/// What a sentence says.
#[derive(Debug)]
pub struct Sentence {
    /// Its statements.
    pub claims: Vec<Claim>,
    /// Everything else that it says, with its wording.
    pub remarks: Vec<(Remark, String)>,
    /// The animal that "it" stands for in the next sentence.
    pub referent: Option<&'static Animal>,
}

/// Parses one sentence whose last token is "."; `referent` is what "it" stands for. None when it is not a sentence of the
/// grammar.
pub fn sentence(tokens: &[&str], referent: Option<&'static Animal>) -> Option<Sentence> {
    let (mark, body) = tokens.split_last()?;
    if *mark != "." {
        return None;
    }
    let mut cursor = Cursor::new(body);
    cursor.whole(|c| statement(c, referent)).or_else(|| cursor.whole(|c| remark(c, referent)))
}

/// "sure , the fox eats berries and lives in the forest , but i do not know what it fears"
fn statement(cursor: &mut Cursor, referent: Option<&'static Animal>) -> Option<Sentence> {
    let mut found = Sentence { claims: Vec::new(), remarks: Vec::new(), referent };
    let opening = cursor.attempt(|c| {
        let words = c.one_of(OPENINGS)?;
        c.need(",").map(|()| words.to_owned())
    });
    found.remarks.extend(opening.map(|words| (Remark::Courtesy, words)));
    let certain = !cursor.eat("perhaps");
    let mut subject = named(cursor, referent)?;
    loop {
        found.claims.push(claim(cursor, subject, certain)?);
        found.referent = Some(subject);
        if !cursor.eat("and") {
            break;
        }
        subject = named(cursor, Some(subject)).unwrap_or(subject);
    }
    if cursor.eat(", but") {
        found.remarks.push((Remark::Evasion, doubt(cursor, found.referent)?));
    }
    Some(found)
}

/// "eats berries", "is red"
fn claim(cursor: &mut Cursor, animal: &'static Animal, certain: bool) -> Option<Claim> {
    let verbs = [
        ("is afraid of", Attribute::Fear),
        ("eats", Attribute::Food),
        ("lives in the", Attribute::Home),
        ("is", Attribute::Colour),
        ("fears", Attribute::Fear),
    ];
    let (_, attribute) = verbs.into_iter().find(|(verb, _)| cursor.eat(verb))?;
    let value = cursor.one_of(attribute.values())?;
    Some(Claim { topic: Topic { animal, attribute }, value, certain })
}

/// "i do not know", "i do not know what the fox eats"; its first words, by which it is told from others.
fn doubt(cursor: &mut Cursor, referent: Option<&'static Animal>) -> Option<String> {
    let words = cursor.one_of(DOUBTS)?;
    clause(cursor, referent);
    Some(words.to_owned())
}

/// A sentence without a statement.
fn remark(cursor: &mut Cursor, referent: Option<&'static Animal>) -> Option<Sentence> {
    let mut referent = referent;
    let remark = if let Some(words) = doubt(cursor, referent) {
        (Remark::Evasion, words)
    } else if let Some(words) = cursor.one_of(EVASIONS) {
        (Remark::Evasion, words.to_owned())
    } else if let Some(words) = cursor.one_of(COURTESIES) {
        (Remark::Courtesy, words.to_owned())
    } else if let Some(words) = cursor.one_of(CHATTER) {
        (Remark::Chatter, words.to_owned())
    } else {
        let words = cursor.one_of(DIGRESSIONS)?;
        referent = Some(name(cursor)?);
        (Remark::Chatter, words.to_owned())
    };
    Some(Sentence { claims: Vec::new(), remarks: vec![remark], referent })
}
