//! CSV and TSV: a header line, then one record a row. Both take double quotes around values with delimiters, quotes or
//! line ends in them.

use std::io::BufRead;

use serde_json::{Map, Value};

use super::input::{Meter, Metered};
use super::json_lines::not_utf8;
use super::source::Source;
use super::{Row, Take, quoted};
use crate::error::{Error, Result};

/// Most often a quote that opens and never closes swallows the rest of the file.
const TOO_LONG: &str = "close every double quote, and write quotes inside a text as \"\"";

/// More columns than any data set of texts has.
const MOST_COLUMNS: usize = 10_000;

/// Reads all rows.
pub fn rows(source: &Source, input: &mut dyn BufRead, delimiter: u8, take: Take) -> Result<usize> {
    let meter = Meter::new(source.longest);
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(Metered::new(input, &meter));
    let mut record = csv::ByteRecord::new();
    let header = reader.byte_headers().map_err(|error| complaint(source, 1, 1, delimiter, error))?;
    let columns = columns(header).map_err(|what| source.wrong(what))?;
    if columns.is_empty() {
        return Ok(0);
    }
    let mut number = 0;
    loop {
        meter.begin();
        let read = reader.read_byte_record(&mut record);
        // Where the reader itself says that a record begins, it counts the blank lines before it to it.
        let inside = record.as_slice().iter().filter(|&&byte| byte == b'\n').count() as u64;
        let line = meter.last_line().saturating_sub(inside).max(1);
        if !read.map_err(|error| complaint(source, number + 1, line, delimiter, error))? {
            return Ok(number);
        }
        number += 1;
        let mut fields = Map::new();
        for (column, value) in columns.iter().zip(&record) {
            let text = std::str::from_utf8(value)
                .map_err(|error| source.at(number, line, format!("column {} is {}", quoted(column), not_utf8(error))))?;
            fields.insert(column.clone(), Value::String(text.to_owned()));
        }
        take(Row { number, line: Some(line), fields })?;
    }
}

/// The names in the header, each once.
fn columns(header: &csv::ByteRecord) -> Result<Vec<String>, String> {
    if header.len() > MOST_COLUMNS {
        return Err(format!(
            "{} columns, and {MOST_COLUMNS} are read at most; write a header line with the columns' names",
            header.len()
        ));
    }
    let mut columns: Vec<String> = Vec::new();
    for name in header {
        let name = std::str::from_utf8(name).map_err(|error| format!("the header is {}", not_utf8(error)))?.trim();
        columns.push(name.to_owned());
    }
    let mut sorted: Vec<&String> = columns.iter().collect();
    sorted.sort();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("two columns are called {}; rename one of them", quoted(pair[0]))),
        None => Ok(columns),
    }
}

fn complaint(source: &Source, row: usize, line: u64, delimiter: u8, error: csv::Error) -> Error {
    let said = error.to_string();
    match error.into_kind() {
        csv::ErrorKind::Io(error) => source.unreadable(row, None, error, TOO_LONG),
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            let delimiters = if delimiter == b'\t' { "tabs" } else { "commas" };
            let what =
                format!("has {len} columns, the header {expected_len}; put texts with {delimiters} or quotes in double quotes");
            source.at(row, line, what)
        }
        _ => Error::row(source.path, row, format!("not a table ({said}); write it again with a header line")),
    }
}
