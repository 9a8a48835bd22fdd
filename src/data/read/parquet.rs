//! Parquet: a row at a time through the format's own record reader, so that of each column one page is in memory.

use std::time::Duration;

use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row as Record};
use serde_json::{Map, Value};

use super::source::Source;
use super::{Row, Take, parquet_footer, parquet_pages, quoted, unpack};
use crate::error::{Doing, Error, Result};
use crate::guard::guarded;
use crate::watch::{Exceeded, Limits, Watched};

/// Rows that are decoded together; few, since a text may be long.
const BATCH: usize = 64;

/// What [`BATCH`] rows may take. A page of a few kilobytes can unpack to gigabytes, and a row of a few bytes can repeat one
/// element billions of times; the library builds both whole before anybody sees them.
const LIMITS: Limits = Limits { memory: 1 << 30, time: Duration::from_secs(600) };

/// What ends the reading of a Parquet file.
enum Stop {
    Parquet(ParquetError),
    Panic(String),
    Value(String),
}

/// Rows as far as they could be read, and what came then: the end, or what stopped the reading.
struct Batch {
    rows: Vec<Map<String, Value>>,
    last: Option<Result<(), Stop>>,
}

/// Reads all rows.
pub fn rows(source: &Source, take: Take) -> Result<usize> {
    let mut file = unpack::file(source)?;
    parquet_footer::check(&mut file).doing("read", source.path)?.map_err(|said| complaint(source, None, Stop::Panic(said)))?;
    let mut pages = file.try_clone().doing("read", source.path)?;
    let opened =
        guarded(|| SerializedFileReader::new(file)).map_err(Stop::Panic).and_then(|opened| opened.map_err(Stop::Parquet));
    let reader = opened.map_err(|stop| complaint(source, None, stop))?;
    if reader.metadata().file_metadata().schema_descr().num_columns() == 0 {
        return Err(source.wrong("no columns; write the file again with its data"));
    }
    let chunks = guarded(|| chunks(reader.metadata())).map_err(|said| complaint(source, None, Stop::Panic(said)))?;
    let checked = parquet_pages::check(&mut pages, chunks).doing("read", source.path)?;
    checked.map_err(|said| complaint(source, None, Stop::Panic(said)))?;
    let mut records = RowIter::from_file_into(Box::new(reader)).with_batch_size(BATCH);
    let longest = source.longest;
    let reading = Watched::start(LIMITS, move |()| batch(&mut records, longest)).doing("start a thread to read", source.path)?;
    let mut number = 0;
    loop {
        let Batch { rows, last } = reading.ask(()).map_err(|exceeded| too_much(source, number, exceeded))?;
        for fields in rows {
            number += 1;
            take(Row { number, line: None, fields })?;
        }
        match last {
            None => {}
            Some(Ok(())) => return Ok(number),
            Some(Err(stop)) => return Err(complaint(source, Some(number + 1), stop)),
        }
    }
}

/// First byte and length of every column chunk.
fn chunks(metadata: &ParquetMetaData) -> Vec<(u64, u64)> {
    metadata.row_groups().iter().flat_map(|group| group.columns()).map(ColumnChunkMetaData::byte_range).collect()
}

/// The next rows: as many as are decoded together, or fewer that fill a row's space.
fn batch(records: &mut RowIter<'static>, longest: u64) -> Batch {
    let (mut rows, mut left) = (Vec::new(), longest);
    while rows.len() < BATCH && (rows.is_empty() || left > longest / 2) {
        let before = left;
        left = longest;
        let next = guarded(|| records.next().map(|record| object(&record.map_err(Stop::Parquet)?, &mut left)));
        match next {
            Ok(Some(Ok(fields))) => rows.push(fields),
            Ok(Some(Err(stop))) => return Batch { rows, last: Some(Err(stop)) },
            Ok(None) => return Batch { rows, last: Some(Ok(())) },
            Err(said) => return Batch { rows, last: Some(Err(Stop::Panic(said))) },
        }
        left = before.saturating_sub(longest - left);
    }
    Batch { rows, last: None }
}

fn too_much(source: &Source, number: usize, exceeded: Exceeded) -> Error {
    let what = match exceeded {
        Exceeded::Memory => format!("takes more than {} MiB of memory to read", LIMITS.memory >> 20),
        Exceeded::Time => format!("takes more than {} s to read", LIMITS.time.as_secs()),
        Exceeded::Gone => "cannot be read".to_owned(),
    };
    let what = format!("{what}; write the file again with smaller pages and row groups, and shorter lists, if you trust it");
    Error::row(source.path, number + 1, what)
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

/// A record's columns; `left` bytes of text fit into the row.
fn object(record: &Record, left: &mut u64) -> Result<Map<String, Value>, Stop> {
    let mut fields = Map::new();
    for (column, field) in record.get_column_iter() {
        let value = value(field, left).map_err(|what| Stop::Value(format!("column {} {what}", quoted(column))))?;
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
