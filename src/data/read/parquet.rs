//! Parquet: a row at a time through the format's own record reader, so that of each column one page is in memory.

use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row as Record};
use serde_json::{Map, Value};

use super::guard::guarded;
use super::source::Source;
use super::{Row, Take, quoted, unpack};
use crate::error::{Error, Result};

/// Rows that are decoded together; few, since a text may be long.
const BATCH: usize = 64;

/// What ends the reading of a Parquet file.
enum Stop {
    Parquet(ParquetError),
    Panic(String),
    Value(String),
}

/// Reads all rows.
pub fn rows(source: &Source, take: Take) -> Result<usize> {
    let file = unpack::file(source)?;
    let opened =
        guarded(|| SerializedFileReader::new(file)).map_err(Stop::Panic).and_then(|opened| opened.map_err(Stop::Parquet));
    let reader = opened.map_err(|stop| complaint(source, None, stop))?;
    if reader.metadata().file_metadata().schema_descr().num_columns() == 0 {
        return Err(source.wrong("no columns; write the file again with its data"));
    }
    let mut records = RowIter::from_file_into(Box::new(reader)).with_batch_size(BATCH);
    let mut number = 0;
    loop {
        let next = guarded(|| records.next().map(|record| object(&record.map_err(Stop::Parquet)?, source.longest)));
        let fields = match next {
            Ok(None) => return Ok(number),
            Ok(Some(fields)) => fields,
            Err(said) => Err(Stop::Panic(said)),
        };
        number += 1;
        let fields = fields.map_err(|stop| complaint(source, Some(number), stop))?;
        take(Row { number, line: None, fields })?;
    }
}

fn complaint(source: &Source, row: Option<usize>, stop: Stop) -> Error {
    let damaged = |said: &str| {
        // Some of its messages hold whole values.
        let said: String = said.chars().take(200).collect();
        format!(
            "the Parquet data is damaged, ends too early or is of a kind that is not read ({said}); copy it again, or \
             write it again with columns of strings, numbers, lists and structs and snappy or zstd compression"
        )
    };
    let what = match stop {
        Stop::Value(what) => what,
        Stop::Panic(said) => damaged(&said),
        Stop::Parquet(ParquetError::External(inner)) => {
            let system = inner.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error);
            if let Some(code) = system {
                let what = format!("cannot read {}", source.path.display());
                return Error::Io { what, source: std::io::Error::from_raw_os_error(code) };
            }
            damaged(&inner.to_string())
        }
        Stop::Parquet(ParquetError::General(said) | ParquetError::NYI(said) | ParquetError::EOF(said)) => damaged(&said),
        Stop::Parquet(other) => damaged(&other.to_string()),
    };
    match row {
        Some(row) => Error::row(source.path, row, what),
        None => source.wrong(what),
    }
}

fn object(record: &Record, longest: u64) -> Result<Map<String, Value>, Stop> {
    let mut left = longest;
    let mut fields = Map::new();
    for (column, field) in record.get_column_iter() {
        let value = value(field, &mut left).map_err(|what| Stop::Value(format!("column {} {what}", quoted(column))))?;
        fields.insert(column.clone(), value);
    }
    Ok(fields)
}

/// A value of a column as JSON; `left` bytes of text fit into the row.
fn value(field: &Field, left: &mut u64) -> Result<Value, String> {
    let mut text = |text: &str| {
        let rest = left.checked_sub(text.len() as u64).ok_or("makes the row too long; shorten the text, or take the row out")?;
        *left = rest;
        Ok(Value::String(text.to_owned()))
    };
    match field {
        Field::Null => Ok(Value::Null),
        Field::Bool(value) => Ok((*value).into()),
        Field::Byte(value) => Ok((*value).into()),
        Field::Short(value) => Ok((*value).into()),
        Field::Int(value) => Ok((*value).into()),
        Field::Long(value) => Ok((*value).into()),
        Field::UByte(value) => Ok((*value).into()),
        Field::UShort(value) => Ok((*value).into()),
        Field::UInt(value) => Ok((*value).into()),
        Field::ULong(value) => Ok((*value).into()),
        // What JSON has no number for becomes null.
        Field::Float16(value) => Ok(value.to_f64().into()),
        Field::Float(value) => Ok((*value).into()),
        Field::Double(value) => Ok((*value).into()),
        Field::Str(value) => text(value),
        // Some writers leave out that a column of bytes is text.
        Field::Bytes(bytes) => match std::str::from_utf8(bytes.data()) {
            Ok(value) => text(value),
            Err(_) => Err("has bytes that are not text; write the file again without it".into()),
        },
        Field::Group(group) => {
            let fields = group.get_column_iter().map(|(name, field)| Ok((name.clone(), value(field, left)?)));
            fields.collect::<Result<_, String>>().map(Value::Object)
        }
        Field::ListInternal(list) => {
            let elements = list.elements().iter().map(|element| value(element, left));
            elements.collect::<Result<_, _>>().map(Value::Array)
        }
        Field::MapInternal(map) => {
            let mut fields = Map::new();
            for (key, field) in map.entries() {
                let key = match value(key, left)? {
                    Value::String(key) => key,
                    other => other.to_string(),
                };
                fields.insert(key, value(field, left)?);
            }
            Ok(Value::Object(fields))
        }
        Field::Decimal(_)
        | Field::Date(_)
        | Field::TimeMillis(_)
        | Field::TimeMicros(_)
        | Field::TimestampMillis(_)
        | Field::TimestampMicros(_) => text(&field.to_string()),
    }
}
