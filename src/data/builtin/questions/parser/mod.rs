//! A parser of the world of questions, independent of the code that writes them.
//!
//! `question` looks for clauses that ask, wherever they stand, so that any wording around them will do. `answer` accepts whole
//! sentences only, so that it can tell how much of an answer is grammatical. Both keep track of what "it" stands for: the animal
//! named last.

mod answer;
mod question;

use super::super::cursor::Cursor;
use super::knowledge::{ANIMALS, Animal};
pub use answer::{Claim, Remark, Sentence, sentence};
pub use question::asked;

/// "the fox"
fn name(cursor: &mut Cursor) -> Option<&'static Animal> {
    cursor.attempt(|c| {
        c.need("the")?;
        ANIMALS.iter().find(|animal| c.eat(animal.name))
    })
}

/// "the fox" or "it"
fn named(cursor: &mut Cursor, referent: Option<&'static Animal>) -> Option<&'static Animal> {
    name(cursor).or_else(|| cursor.attempt(|c| if c.eat("it") { referent } else { None }))
}
