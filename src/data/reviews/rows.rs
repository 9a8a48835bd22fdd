//! The rows of one file: JSON lines or CSV, plain or gzipped, one at a time, each checked as it is read.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use serde_json::{Map, Value};

use super::{Review, clean};
use crate::error::{Doing, Error, Result};

/// More than any review; a "line" beyond it means that the file is something else, and must not fill the memory.
const LONGEST_LINE: u64 = 64 << 20;

/// Reads all rows of a format; the path is for messages.
type Reader = fn(&Path, &mut dyn BufRead, &mut dyn FnMut(Review)) -> Result<usize>;

/// Calls `take` with every row of `path`, in order, and returns how many there were.
pub fn each(path: &Path, take: &mut dyn FnMut(Review)) -> Result<usize> {
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let (plain, gzipped) = match name.strip_suffix(".gz") {
        Some(plain) => (plain, true),
        None => (name.as_str(), false),
    };
    let read: Reader = match plain.rsplit_once('.') {
        Some((_, "jsonl")) => json_lines,
        Some((_, "csv")) => comma_separated,
        _ => {
            let what = "not a format that is read; convert it to .jsonl, .csv, .jsonl.gz or .csv.gz";
            return Err(Error::Data(format!("{}: {what}", path.display())));
        }
    };
    let file = File::open(path).doing("open", path)?;
    let mut input: Box<dyn BufRead> = if gzipped {
        Box::new(BufReader::new(MultiGzDecoder::new(BufReader::new(file))))
    } else {
        Box::new(BufReader::new(file))
    };
    read(path, &mut *input, take)
}

/// A failure to read row `row`: the decompressor's complaints are about the data, all others about the machine.
fn unreadable(path: &Path, row: usize, source: std::io::Error) -> Error {
    if source.raw_os_error().is_some() {
        return Error::Io { what: format!("cannot read {}", path.display()), source };
    }
    Error::row(path, row, format!("the gzip data is damaged or ends too early ({source}); copy or download the file again"))
}

/// Says the line as well where it is not the row's number: that is what an editor jumps to.
fn at(path: &Path, row: usize, line: u64, what: String) -> Error {
    if line == row as u64 { Error::row(path, row, what) } else { Error::row(path, row, format!("{what} (line {line})")) }
}

fn json_lines(path: &Path, input: &mut dyn BufRead, take: &mut dyn FnMut(Review)) -> Result<usize> {
    let (mut row, mut line, mut bytes) = (0, 0u64, Vec::new());
    loop {
        bytes.clear();
        let read = input.take(LONGEST_LINE).read_until(b'\n', &mut bytes).map_err(|e| unreadable(path, row + 1, e))?;
        if read == 0 {
            return Ok(row);
        }
        line += 1;
        if read as u64 == LONGEST_LINE && bytes.last() != Some(&b'\n') {
            let what = format!("longer than {} MiB; write one JSON object on each line", LONGEST_LINE >> 20);
            return Err(at(path, row + 1, line, what));
        }
        let content = if line == 1 { bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes) } else { &bytes };
        if content.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        row += 1;
        take(json_row(content).map_err(|what| at(path, row, line, what))?);
    }
}

/// One line as a row, or what is wrong with it.
fn json_row(line: &[u8]) -> Result<Review, String> {
    // A parser that sees the line end says that an unfinished object is wrong there, in column 0.
    let line = std::str::from_utf8(line).map_err(not_utf8)?.trim_ascii_end();
    let fields: Map<String, Value> = serde_json::from_str(line).map_err(|e| match e.classify() {
        serde_json::error::Category::Data => {
            "not a JSON object; write {\"text\": \"...\", \"label\": 0} on each line".to_string()
        }
        _ => {
            let said = e.to_string();
            // The line number that it knows is always 1.
            let said = said.split(" at line ").next().unwrap_or(&said);
            format!("invalid JSON at column {} ({said}); write one complete JSON object on each line", e.column())
        }
    })?;
    let text = match fields.get("text") {
        None | Some(Value::Null) => return Err(NO_TEXT.into()),
        Some(Value::String(text)) => text,
        Some(other) => return Err(format!("\"text\" is {}, not a string; put the review's text there in quotes", kind(other))),
    };
    let positive = match fields.get("label") {
        None | Some(Value::Null) => return Err(NO_LABEL.into()),
        Some(Value::Bool(positive)) => *positive,
        Some(Value::String(label)) => parse_label(label)?,
        Some(Value::Number(label)) => parse_label(&label.to_string())?,
        Some(other) => return Err(format!("the label is {}; write 0 or 1", kind(other))),
    };
    review(text, positive)
}

fn comma_separated(path: &Path, input: &mut dyn BufRead, take: &mut dyn FnMut(Review)) -> Result<usize> {
    let mut reader = csv::Reader::from_reader(input);
    let header = reader.byte_headers().map_err(|e| csv_error(path, 1, e))?.clone();
    if header.is_empty() {
        return Ok(0);
    }
    let column = |wanted: &str| {
        let is = |name: &[u8]| name.trim_ascii().eq_ignore_ascii_case(wanted.as_bytes());
        header.iter().position(is).ok_or_else(|| {
            let names = header.iter().map(|name| format!("\"{}\"", name.escape_ascii())).collect::<Vec<_>>().join(", ");
            let what = format!("no column \"{wanted}\" among {names}; make the first line the header text,label");
            Error::Data(format!("{}: {what}", path.display()))
        })
    };
    let (text, label) = (column("text")?, column("label")?);
    let (mut row, mut record) = (0, csv::ByteRecord::new());
    while reader.read_byte_record(&mut record).map_err(|e| csv_error(path, row + 1, e))? {
        row += 1;
        let line = record.position().map_or(0, csv::Position::line);
        let field = |column: usize| std::str::from_utf8(record.get(column).unwrap_or_default()).map_err(not_utf8);
        let parsed = (|| {
            let label = field(label)?;
            let label = if label.trim().is_empty() { Err(NO_LABEL.to_string()) } else { parse_label(label) };
            review(field(text)?, label?)
        })();
        take(parsed.map_err(|what| at(path, row, line, what))?);
    }
    Ok(row)
}

fn csv_error(path: &Path, row: usize, error: csv::Error) -> Error {
    let said = error.to_string();
    match error.into_kind() {
        csv::ErrorKind::Io(source) => unreadable(path, row, source),
        csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
            let what = format!("has {len} columns, the header {expected_len}; put texts with commas or quotes in double quotes");
            at(path, row, pos.map_or(row as u64, |pos| pos.line()), what)
        }
        _ => Error::row(path, row, format!("not CSV ({said}); write it again as text,label")),
    }
}

const NO_TEXT: &str = "no text; give every row a field \"text\"";
const NO_LABEL: &str = "no label; give every row a field \"label\" of 0 (negative) or 1 (positive)";

fn review(text: &str, positive: bool) -> Result<Review, String> {
    let text = clean(text);
    if text.is_empty() {
        Err("the text is empty; write a text or take the row out".into())
    } else {
        Ok(Review { text, positive })
    }
}

fn parse_label(label: &str) -> Result<bool, String> {
    match label.trim().to_ascii_lowercase().as_str() {
        "0" | "neg" | "negative" | "false" => Ok(false),
        "1" | "pos" | "positive" | "true" => Ok(true),
        _ => {
            // A label that is really a text would fill the screen.
            let shown: String = label.chars().take(40).collect();
            Err(format!("unknown label {shown:?}; write 0, false, \"neg\" or \"negative\", or 1, true, \"pos\" or \"positive\""))
        }
    }
}

fn not_utf8(error: std::str::Utf8Error) -> String {
    format!("not UTF-8 after byte {}; save the file as UTF-8", error.valid_up_to())
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
