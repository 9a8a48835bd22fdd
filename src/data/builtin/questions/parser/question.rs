//! Reads what a question asks.

use super::super::super::cursor::Cursor;
use super::super::knowledge::{Animal, Attribute, Topic};
use super::{name, named};

/// What stands before and after the animal in a clause that asks for an attribute.
const FORMS: &[(&str, &str, Attribute)] = &[
    ("what does", "eat", Attribute::Food),
    ("what food does", "eat", Attribute::Food),
    ("what", "eats", Attribute::Food),
    ("what food", "eats", Attribute::Food),
    ("", "eats what", Attribute::Food),
    ("where does", "live", Attribute::Home),
    ("in which place does", "live", Attribute::Home),
    ("where", "lives", Attribute::Home),
    ("in which place", "lives", Attribute::Home),
    ("", "lives where", Attribute::Home),
    ("what colour is", "", Attribute::Colour),
    ("what colour does", "have", Attribute::Colour),
    ("what colour", "is", Attribute::Colour),
    ("what colour", "has", Attribute::Colour),
    ("", "is what colour", Attribute::Colour),
    ("what does", "fear", Attribute::Fear),
    ("what is", "afraid of", Attribute::Fear),
    ("what", "fears", Attribute::Fear),
    ("what", "is afraid of", Attribute::Fear),
    ("", "is afraid of what", Attribute::Fear),
];

/// The topics that a question asks about, each once, in order, and the animal that it names last.
pub fn asked(tokens: &[&str]) -> (Vec<Topic>, Option<&'static Animal>) {
    let mut cursor = Cursor::new(tokens);
    let (mut topics, mut referent) = (Vec::new(), None);
    while !cursor.finished() {
        if let Some(topic) = clause(&mut cursor, referent) {
            referent = Some(topic.animal);
            if !topics.contains(&topic) {
                topics.push(topic);
            }
        } else if let Some(animal) = name(&mut cursor) {
            referent = Some(animal);
        } else {
            let word = cursor.peek();
            cursor.eat(word);
        }
    }
    (topics, referent)
}

/// A clause that asks: "what does the fox eat", "what it eats", "it eats what".
pub fn clause(cursor: &mut Cursor, referent: Option<&'static Animal>) -> Option<Topic> {
    FORMS.iter().find_map(|&(before, after, attribute)| {
        cursor.attempt(|c| {
            if !before.is_empty() {
                c.need(before)?;
            }
            let animal = named(c, referent)?;
            if !after.is_empty() {
                c.need(after)?;
            }
            Some(Topic { animal, attribute })
        })
    })
}
