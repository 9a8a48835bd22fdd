//! JSON lines: one object on each line.

use std::io::{BufRead, Read};

use serde_json::error::Category;
use serde_json::{Map, Value};

use super::source::Source;
use super::{Row, Take};
use crate::error::Result;

const TOO_LONG: &str = "write one JSON object on each line";

/// Reads all rows.
pub fn rows(source: &Source, input: &mut dyn BufRead, take: Take) -> Result<usize> {
    let (mut number, mut line, mut bytes) = (0, 0u64, Vec::new());
    loop {
        bytes.clear();
        let read = input
            .take(source.longest)
            .read_until(b'\n', &mut bytes)
            .map_err(|e| source.unreadable(number + 1, None, e, TOO_LONG))?;
        if read == 0 {
            return Ok(number);
        }
        line += 1;
        if read as u64 == source.longest && bytes.last() != Some(&b'\n') {
            return Err(source.too_long(number + 1, Some(line), TOO_LONG));
        }
        if bytes.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        number += 1;
        let fields = object(&bytes).map_err(|what| source.at(number, line, what))?;
        take(Row { number, line: Some(line), fields })?;
    }
}

/// One line as a row, or what is wrong with it.
fn object(line: &[u8]) -> Result<Map<String, Value>, String> {
    let line = std::str::from_utf8(line).map_err(not_utf8)?;
    // A parser that sees the line end says that an unfinished object is wrong there, in column 0.
    serde_json::from_str(line.trim_ascii_end()).map_err(|error| match error.classify() {
        Category::Data => {
            "not a JSON object; write one object such as {\"text\": \"...\", \"label\": 0} on each line".to_string()
        }
        _ => invalid(&error, "write one complete JSON object on each line"),
    })
}

/// What a JSON parser found, without the line number, which only the caller knows.
pub fn invalid(error: &serde_json::Error, what_to_do: &str) -> String {
    let said = error.to_string();
    let said = said.split(" at line ").next().unwrap_or(&said);
    format!("invalid JSON at column {} ({said}); {what_to_do}", error.column())
}

/// Where a text stops being UTF-8.
pub fn not_utf8(error: std::str::Utf8Error) -> String {
    format!("not UTF-8 after byte {}; save the file as UTF-8", error.valid_up_to())
}
