//! Rows of data files, one at a time, whatever they are stored in: JSON lines, JSON, CSV, TSV and Parquet, each also as
//! `.gz` or `.zst`. What the columns mean is not known here.

mod input;
mod json;
mod json_lines;
mod parquet;
mod parquet_footer;
mod parquet_pages;
#[cfg(test)]
mod parquet_tests;
mod source;
mod table;
#[cfg(test)]
mod tests;
mod thrift;
mod unpack;

use std::path::Path;

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use source::{Source, Storage};

/// A line, element or record longer than this means that the file is something else, and must not fill the memory: a number of
/// two bytes takes 72 as a value.
const LONGEST: u64 = 16 << 20;

/// One row of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its number in the file, from 1, headers and blank lines not counted.
    pub number: usize,
    /// The line where it begins, from 1; Parquet has no lines.
    pub line: Option<u64>,
    /// Its columns, in the order of the file. In CSV and TSV every value is a string.
    pub fields: Map<String, Value>,
}

impl Row {
    /// The error of a row that can be read, but is not what it should be.
    pub fn wrong(&self, path: &Path, what: impl std::fmt::Display) -> Error {
        at(path, self.number, self.line, what)
    }
}

/// What takes the rows.
type Take<'a> = &'a mut dyn FnMut(Row) -> Result<()>;

/// Calls `take` with every row of `path`, in order, and returns how many there were. The first error ends the reading,
/// also one of `take`.
pub fn rows(path: &Path, take: &mut dyn FnMut(Row) -> Result<()>) -> Result<usize> {
    let (storage, packing) = source::of_file(path)?;
    let source = Source { path, packing, longest: LONGEST };
    match storage {
        Storage::Parquet => parquet::rows(&source, take),
        Storage::JsonLines => json_lines::rows(&source, &mut *input::text(&source)?, take),
        Storage::Json => json::rows(&source, &mut *input::text(&source)?, take),
        Storage::Table { delimiter } => table::rows(&source, &mut *input::text(&source)?, delimiter, take),
    }
}

/// Whether [`rows`] reads files of this name.
pub fn reads(path: &Path) -> bool {
    source::of_file(path).is_ok()
}

/// What a value is, for messages.
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The names of the columns, for messages: in quotes, and not more than a person reads.
pub fn names<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    let mut shown: Vec<String> = names.into_iter().take(13).map(|name| quoted(name)).collect();
    if shown.len() == 13 {
        shown[12] = "...".into();
    }
    if shown.is_empty() { "nothing".into() } else { shown.join(", ") }
}

/// A text from a file in quotes, for messages: what may be a whole document must not fill the screen.
pub fn quoted(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// Says the line as well where it is not the row's number: that is what an editor jumps to.
fn at(path: &Path, row: usize, line: Option<u64>, what: impl std::fmt::Display) -> Error {
    match line {
        Some(line) if line != row as u64 => Error::row(path, row, format!("{what} (line {line})")),
        _ => Error::row(path, row, what),
    }
}
