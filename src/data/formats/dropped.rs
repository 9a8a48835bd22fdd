//! Rows that are as their format says and still no use, counted by reason; rows that are not as it says are errors.

use std::fmt;

/// How many rows were left out, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// The prompt, the text or a completion is empty.
    pub empty: usize,
    /// The completions to compare are the same.
    pub same: usize,
    /// The completions to compare answer different prompts.
    pub prompts_differ: usize,
    /// Dialogues with more turns than were asked for.
    pub other_turns: usize,
    /// Dialogues whose turns do not end with exactly one of the assistant's after another's.
    pub malformed_turns: usize,
}

/// Why a row was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// See [`Dropped::empty`].
    Empty,
    /// See [`Dropped::same`].
    Same,
    /// See [`Dropped::prompts_differ`].
    PromptsDiffer,
    /// See [`Dropped::other_turns`].
    OtherTurns,
    /// See [`Dropped::malformed_turns`].
    MalformedTurns,
}

/// Why a row is no example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// It is left out.
    Dropped(Reason),
    /// It is an error: what, and what to do.
    Wrong(String),
}

impl From<Reason> for Unusable {
    fn from(reason: Reason) -> Self {
        Unusable::Dropped(reason)
    }
}

impl From<String> for Unusable {
    fn from(what: String) -> Self {
        Unusable::Wrong(what)
    }
}

impl Dropped {
    /// One more row.
    pub fn count(&mut self, reason: Reason) {
        *match reason {
            Reason::Empty => &mut self.empty,
            Reason::Same => &mut self.same,
            Reason::PromptsDiffer => &mut self.prompts_differ,
            Reason::OtherTurns => &mut self.other_turns,
            Reason::MalformedTurns => &mut self.malformed_turns,
        } += 1;
    }

    /// All rows that were left out.
    pub fn total(&self) -> usize {
        let Dropped { empty, same, prompts_differ, other_turns, malformed_turns } = self;
        empty + same + prompts_differ + other_turns + malformed_turns
    }
}

/// The reasons that occur, such as `2 empty, 9 with different prompts`; `none` where nothing was left out.
impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let reasons = [
            (self.empty, "empty"),
            (self.same, "with equal completions"),
            (self.prompts_differ, "with different prompts"),
            (self.other_turns, "with more than one turn"),
            (self.malformed_turns, "with malformed turns"),
        ];
        let said: Vec<String> =
            reasons.iter().filter(|(count, _)| *count > 0).map(|(count, reason)| format!("{count} {reason}")).collect();
        f.write_str(if said.is_empty() { "none" } else { "" })?;
        f.write_str(&said.join(", "))
    }
}
