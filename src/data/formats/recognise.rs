//! A file's format from the columns of its first row.

use super::Format;
use super::fields::{Fields, optional};
use crate::data::read::names;

/// The columns that tell a format, those with the most to tell first: a row with `prompt`, `completion` and `label` is also
/// one with `prompt` and `completion`.
const COLUMNS: &[(Format, &[&str])] = &[
    (Format::ShareGpt, &["conversations", "chosen", "rejected"]),
    (Format::SummaryComparison, &["info", "summaries", "choice"]),
    (Format::Post, &["subreddit", "title", "post", "summary"]),
    (Format::Article, &["article", "highlights"]),
    (Format::Ranking, &["prompt", "completions", "ranking"]),
    (Format::Judged, &["messages", "label"]),
    (Format::Judged, &["prompt", "completion", "label"]),
    (Format::Preference, &["prompt", "chosen", "rejected"]),
    (Format::Dialogue, &["chosen", "rejected"]),
    (Format::Completion, &["prompt", "completion"]),
    (Format::Text, &["text"]),
];

/// The format of a file whose first row is this, or what is there and what could be.
pub fn recognise(fields: &Fields) -> Result<Format, String> {
    let has = |name: &&str| fields.keys().any(|column| column.eq_ignore_ascii_case(name));
    let found = COLUMNS.iter().find(|(_, columns)| columns.iter().all(has)).map(|(format, _)| *format);
    match found {
        // Without a prompt, what is chosen begins with it: as a transcript or as messages.
        Some(Format::Dialogue) if optional(fields, "chosen").is_some_and(|chosen| chosen.is_array()) => Ok(Format::Preference),
        Some(format) => Ok(format),
        None => {
            let known: Vec<String> =
                COLUMNS.iter().map(|(format, columns)| format!("{} ({})", format.name(), columns.join(", "))).collect();
            let what_to_do = "rename the columns to those of a format";
            Err(format!("the columns {} are of no known format; {what_to_do}: {}", names(fields.keys()), known.join(", ")))
        }
    }
}
