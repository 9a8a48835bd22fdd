//! The formats in which preference data is published, as examples to train and measure on: which format a file has shows
//! in its columns, and every row is checked as it is read.

mod article;
mod completion;
mod dialogue;
mod dropped;
mod example;
mod fields;
mod imdb;
mod judged;
mod messages;
mod post;
mod preference;
mod ranking;
mod recognise;
mod sharegpt;
mod summary_comparison;
#[cfg(test)]
mod tests;
pub mod transcript;

use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde_json::{Map, Value};

use super::read;
use crate::error::{Error, Result};

pub use dropped::Dropped;
pub use example::{Example, Message, Prompt};
pub use imdb::parse as labelled_text;
pub use recognise::recognise;

use dropped::{Reason, Unusable};

/// What the columns of a file mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Labelled texts, as IMDb: `text`, `label`.
    Text,
    /// Pairs of transcripts, as Anthropic's HH: `chosen`, `rejected`.
    Dialogue,
    /// Posts with their summaries, as TL;DR: `subreddit`, `title`, `post`, `summary`.
    Post,
    /// Two summaries of one text, as OpenAI's comparisons: `info`, `summaries`, `choice`.
    SummaryComparison,
    /// Articles with their summaries, as CNN/DailyMail: `article`, `highlights`.
    Article,
    /// Pairs of completions, as TRL: `prompt`, `chosen`, `rejected`, each a text or a list of messages.
    Preference,
    /// Pairs of replies, as LLaMA-Factory: `conversations`, `chosen`, `rejected`.
    ShareGpt,
    /// Single completions with a verdict, for KTO: `prompt`, `completion`, `label`, or `messages`, `label`.
    Judged,
    /// Several completions in order: `prompt`, `completions`, `ranking`.
    Ranking,
    /// Demonstrations: `prompt`, `completion`.
    Completion,
}

/// Which dialogues are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Turns {
    /// All.
    #[default]
    Any,
    /// Those in which the human speaks once.
    Single,
}

/// How files are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Their format; without one, the first row's columns say it.
    pub format: Option<Format>,
    /// Which dialogues are kept.
    pub turns: Turns,
}

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The format of all the files.
    pub format: Format,
    /// Rows in the files, with those that were dropped.
    pub rows: usize,
    /// Rows that became no example.
    pub dropped: Dropped,
}

impl Format {
    /// The names of all formats, in the order of the variants.
    pub const NAMES: [&str; 10] =
        ["imdb", "hh", "tldr", "tldr-comparisons", "cnn-dailymail", "preference", "sharegpt", "kto", "ranking", "completion"];

    /// All formats, in the order of their names.
    pub const ALL: [Format; 10] = [
        Format::Text,
        Format::Dialogue,
        Format::Post,
        Format::SummaryComparison,
        Format::Article,
        Format::Preference,
        Format::ShareGpt,
        Format::Judged,
        Format::Ranking,
        Format::Completion,
    ];

    /// Whether its rows say which completions are better: of two, of several, or by themselves.
    pub fn has_preferences(self) -> bool {
        let of_two = matches!(self, Format::Dialogue | Format::SummaryComparison | Format::Preference | Format::ShareGpt);
        of_two || matches!(self, Format::Ranking | Format::Judged)
    }

    /// Whether its rows are prompts with what a person wrote after them.
    pub fn has_demonstrations(self) -> bool {
        matches!(self, Format::Post | Format::Article | Format::Completion)
    }

    /// Its name in an experiment file.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// A row as an example, or why it is none.
    fn example(self, fields: &Map<String, Value>) -> Result<Example, Unusable> {
        match self {
            Format::Text => imdb::example(fields),
            Format::Dialogue => dialogue::example(fields),
            Format::Post => post::example(fields),
            Format::SummaryComparison => summary_comparison::example(fields),
            Format::Article => article::example(fields),
            Format::Preference => preference::example(fields),
            Format::ShareGpt => sharegpt::example(fields),
            Format::Judged => judged::example(fields),
            Format::Ranking => ranking::example(fields),
            Format::Completion => completion::example(fields),
        }
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let unknown = || format!("unknown format {}; the formats are {}", read::quoted(name), Format::NAMES.join(", "));
        Format::ALL.into_iter().find(|format| format.name() == name).ok_or_else(unknown)
    }
}

/// The format of a file's first row.
pub fn of_file(path: &Path) -> Result<Format> {
    let mut found = None;
    let read = read::rows(path, &mut |row| {
        found = Some(recognise(&row.fields).map_err(|what| row.wrong(path, what)));
        // Nothing else is read.
        Err(Error::Interrupted)
    });
    match (found, read) {
        (Some(found), _) => found,
        (None, Ok(_)) => Err(Error::Data(format!("{}: no rows; give it rows, or leave the file out", path.display()))),
        (None, Err(error)) => Err(error),
    }
}

/// Calls `take` with every example of `files`, which are all of one format, in order.
pub fn examples(files: &[PathBuf], options: &Options, take: &mut dyn FnMut(Example) -> Result<()>) -> Result<Reading> {
    let (mut found, mut rows, mut dropped) = (options.format, 0, Dropped::default());
    for path in files {
        let count = read::rows(path, &mut |row| {
            let format = match found {
                Some(format) if row.number > 1 || options.format.is_some() => format,
                _ => {
                    let format = recognise(&row.fields).map_err(|what| row.wrong(path, what))?;
                    one_format(found, format, &files[0], path)?;
                    *found.insert(format)
                }
            };
            match format.example(&row.fields).and_then(|example| usable(example, options.turns)) {
                Ok(example) => take(example),
                Err(Unusable::Dropped(reason)) => {
                    dropped.count(reason);
                    Ok(())
                }
                Err(Unusable::Wrong(what)) => Err(row.wrong(path, what)),
            }
        })?;
        if count == 0 {
            return Err(Error::Data(format!("{}: no rows; give it rows, or leave the file out", path.display())));
        }
        rows += count;
    }
    let format = found.ok_or_else(|| Error::Data("no data files; name at least one".into()))?;
    Ok(Reading { format, rows, dropped })
}

/// Examples of different kinds cannot be trained on together.
fn one_format(found: Option<Format>, format: Format, first: &Path, path: &Path) -> Result<()> {
    match found {
        Some(found) if found != format => Err(Error::Data(format!(
            "{}: is of the format {}, but {} of {}; give files of one format",
            path.display(),
            format.name(),
            first.display(),
            found.name()
        ))),
        _ => Ok(()),
    }
}

/// What holds in every format: texts say something, a pair has a difference, and a dialogue has the turns asked for.
fn usable(example: Example, turns: Turns) -> Result<Example, Unusable> {
    if let Some(prompt) = example.prompt() {
        if prompt.is_empty() {
            return Err(Reason::Empty.into());
        }
        if turns == Turns::Single && prompt.human_turns() > 1 {
            return Err(Reason::OtherTurns.into());
        }
    }
    let texts = example.texts();
    if texts.iter().any(|text| text.trim().is_empty()) {
        return Err(Reason::Empty.into());
    }
    let mut sorted = texts;
    sorted.sort_unstable();
    if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(Reason::Same.into());
    }
    Ok(example)
}
