//! A hand-written recursive-descent parser of the built-in world's sentences, independent of the code that writes them.
//!
//! ```text
//! sentence  = [adverbial ","] (compound | concession | despite) mark | exclamation "!" | fragment mark
//! compound  = clause [connective clause]
//! clause    = opinion (clauses.rs) | fact (facts.rs)
//! ```
//!
//! The grammar is ordered choice without ambiguity: a rule that fails consumes nothing and the next one is tried.

mod clauses;
mod facts;
mod phrases;

use super::composition::{EXCLAIMED, Opinion, contrast, scale};
use super::cursor::Cursor;
use super::words::{ADVERBIALS, WHOLES};
use phrases::{attributed, predicate};

/// What a sentence says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statement {
    /// Opinions with their composed values.
    pub opinions: Vec<Opinion>,
    /// Statements without sentiment, and the form "fragment": things that a text should say only once.
    pub facts: Vec<String>,
}

impl Statement {
    fn opinions(opinions: Vec<Opinion>) -> Self {
        Self { opinions, facts: Vec::new() }
    }

    fn merge(mut facts: Vec<String>, more: Vec<String>, opinions: Vec<Opinion>) -> Self {
        facts.extend(more);
        Self { opinions, facts }
    }
}

/// Parses one sentence whose last token is its mark, "." or "!". None when it is not a sentence of the grammar.
pub fn sentence(tokens: &[&str]) -> Option<Statement> {
    let (mark, body) = tokens.split_last()?;
    let exclaimed = match *mark {
        "." => false,
        "!" => true,
        _ => return None,
    };
    let mut cursor = Cursor::new(body);
    let statement = cursor
        .whole(full_sentence)
        .or_else(|| cursor.whole(exclamation).filter(|_| exclaimed))
        .or_else(|| cursor.whole(fragment))?;
    let opinions = if exclaimed { scale(statement.opinions, EXCLAIMED) } else { statement.opinions };
    Some(Statement { opinions, facts: statement.facts })
}

fn full_sentence(cursor: &mut Cursor) -> Option<Statement> {
    cursor.attempt(|c| {
        c.one_of(ADVERBIALS)?;
        c.need(",")
    });
    cursor.whole(concession).or_else(|| cursor.whole(despite)).or_else(|| cursor.whole(compound))
}

/// "although the plot was thin , the jokes worked"
fn concession(cursor: &mut Cursor) -> Option<Statement> {
    cursor.need("although")?;
    let conceded = clauses::clause(cursor)?;
    cursor.need(",")?;
    let asserted = clauses::clause(cursor)?;
    Some(contrasted(conceded, asserted))
}

/// "despite a thin plot , the jokes worked"
fn despite(cursor: &mut Cursor) -> Option<Statement> {
    cursor.need("despite")?;
    let conceded = attributed(cursor)?;
    cursor.need(",")?;
    let asserted = clauses::clause(cursor)?;
    Some(contrasted(Statement::opinions(conceded), asserted))
}

/// One clause, or two with "and", "but", "yet" or "although" between.
fn compound(cursor: &mut Cursor) -> Option<Statement> {
    let first = clauses::clause(cursor)?;
    if cursor.finished() {
        return Some(first);
    }
    let comma = cursor.eat(",");
    match cursor.one_of(&["and", "but", "yet", "although"])? {
        "and" => {
            let second = clauses::clause(cursor)?;
            let opinions = [first.opinions, second.opinions].concat();
            Some(Statement::merge(first.facts, second.facts, opinions))
        }
        "although" => Some(contrasted(clauses::clause(cursor)?, first)),
        "yet" if !comma => None,
        _ => Some(contrasted(first, clauses::clause(cursor)?)),
    }
}

fn contrasted(conceded: Statement, asserted: Statement) -> Statement {
    Statement::merge(conceded.facts, asserted.facts, contrast(conceded.opinions, asserted.opinions))
}

/// "what a clever plot !", "what clever jokes !"
fn exclamation(cursor: &mut Cursor) -> Option<Statement> {
    cursor.need("what")?;
    attributed(cursor).map(Statement::opinions)
}

/// A sentence without a verb: "slow , but moving", "a clever plot but weak jokes", "a film with a clever plot".
/// Reviews use one at most, so "fragment" is noted like a fact: a text of nothing but fragments is repeating itself.
fn fragment(cursor: &mut Cursor) -> Option<Statement> {
    let opinions =
        cursor.whole(|c| predicate(c, "film")).or_else(|| cursor.whole(attributed_pair)).or_else(|| cursor.whole(film_with))?;
    Some(Statement { opinions, facts: vec!["fragment".to_owned()] })
}

fn film_with(cursor: &mut Cursor) -> Option<Vec<Opinion>> {
    cursor.need("a")?;
    cursor.one_of(WHOLES)?;
    cursor.need("with")?;
    attributed_pair(cursor)
}

/// One or two attributed nouns: "a clever plot , but weak jokes".
fn attributed_pair(cursor: &mut Cursor) -> Option<Vec<Opinion>> {
    let first = attributed(cursor)?;
    if cursor.finished() {
        return Some(first);
    }
    match cursor.one_of(&["and", "but", ", but"])? {
        "and" => Some([first, attributed(cursor)?].concat()),
        _ => Some(contrast(first, attributed(cursor)?)),
    }
}
