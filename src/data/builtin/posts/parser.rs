//! Reads sentences of posts, articles and summaries, independently of the code that writes them.
//!
//! ```text
//! sentence = (fact | aside) ("." | "!")
//! fact     = [source] (person verb thing | thing "got" verb "by" person) [time]
//! ```

use super::words::{ASIDES, EVENTS, FAMILIARS, PUBLIC, SOURCES, TIMES, TRIFLES, VALUABLES, importance};

/// What a sentence says.
#[derive(Clone, Debug, PartialEq)]
pub enum Sentence<'a> {
    /// Something happened.
    Fact(Fact<'a>),
    /// Nothing to the point; its words without the mark.
    Aside(String),
}

/// Who did what to which thing, and when.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fact<'a> {
    /// Who did it.
    pub who: &'a str,
    /// The verb.
    pub deed: &'a str,
    /// The thing.
    pub what: &'a str,
    /// When it happened, if said.
    pub when: Option<&'static str>,
    /// Whether a source is named.
    pub sourced: bool,
    /// Whether the sentence ends in "!".
    pub stressed: bool,
}

impl Fact<'_> {
    /// Whether both tell the same event; the time is another matter.
    pub fn is_event_of(&self, other: &Fact) -> bool {
        (self.who, self.deed, self.what) == (other.who, other.deed, other.what)
    }

    /// Importance of the event by its kind alone, 0 to 3.
    pub fn importance(&self) -> f64 {
        let change = EVENTS.iter().find(|(verb, _)| *verb == self.deed).map(|(_, change)| *change);
        change.map_or(0.0, |change| importance(change, VALUABLES.contains(&self.what)))
    }
}

/// Tokens cut after each "." or "!"; the last piece may lack its mark.
pub fn sentences<'t, 'a>(tokens: &'t [&'a str]) -> impl Iterator<Item = &'t [&'a str]> {
    tokens.split_inclusive(|token| matches!(*token, "." | "!"))
}

/// Parses one sentence with its mark. None when it is not a sentence of the grammar.
pub fn sentence<'a>(tokens: &[&'a str]) -> Option<Sentence<'a>> {
    let (mark, body) = tokens.split_last()?;
    let stressed = match *mark {
        "." => false,
        "!" => true,
        _ => return None,
    };
    let text = body.join(" ");
    if ASIDES.contains(&text.as_str()) {
        return Some(Sentence::Aside(text));
    }
    let (sourced, body) = without(body, SOURCES, |rest, words| rest.strip_prefix(words));
    let (when, body) = without(body, TIMES, |rest, words| rest.strip_suffix(words));
    let (who, deed, what) = match *body {
        [who, deed, what] => (who, deed, what),
        [what, "got", deed, "by", who] => (who, deed, what),
        _ => return None,
    };
    let known = [FAMILIARS, PUBLIC].concat().contains(&who)
        && EVENTS.iter().any(|(verb, _)| *verb == deed)
        && [VALUABLES, TRIFLES].concat().contains(&what);
    known.then_some(Sentence::Fact(Fact { who, deed, what, when, sourced: sourced.is_some(), stressed }))
}

/// The phrase that `strip` can take off `body`, and what is left.
fn without<'t, 'a>(
    body: &'t [&'a str],
    phrases: &[&'static str],
    strip: impl Fn(&'t [&'a str], &[&'static str]) -> Option<&'t [&'a str]>,
) -> (Option<&'static str>, &'t [&'a str]) {
    for phrase in phrases {
        let words: Vec<&'static str> = phrase.split(' ').collect();
        if let Some(rest) = strip(body, &words) {
            return (Some(phrase), rest);
        }
    }
    (None, body)
}
