//! JSON: a list of objects, or one object with such a list in a field, read element by element. A file with one object a
//! line is read as the JSON lines that it is, whatever its name says.

use std::cell::RefCell;
use std::io::{self, BufRead, BufReader, Cursor, Read};

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::{Map, Value};

use super::input::{Meter, Metered};
use super::json_lines::{self, invalid};
use super::source::Source;
use super::{Row, Take, kind, quoted};
use crate::error::{Error, Result};

const TOO_LONG: &str = "write a list of objects, one for each row";
const SHAPE: &str = "write a list of objects, one for each row, or one object with such a list in a field";

/// Reads all rows.
pub fn rows(source: &Source, input: &mut dyn BufRead, take: Take) -> Result<usize> {
    let failed = |error| source.unreadable(1, None, error, TOO_LONG);
    let before = skip_blanks(input).map_err(failed)?;
    let first = input.fill_buf().map_err(failed)?.first().copied();
    match first {
        None => return Ok(0),
        Some(b'{') => {}
        Some(_) => return elements(source, lines(before).chain(input), take),
    }
    // What the object is shows in its line: one that is complete is a row if others follow, or if it has no list of rows.
    let mut line = Vec::new();
    input.take(source.longest).read_until(b'\n', &mut line).map_err(failed)?;
    let between = skip_blanks(input).map_err(failed)?;
    let is_row = match serde_json::from_slice::<Map<String, Value>>(&line) {
        Ok(fields) => {
            let lists =
                fields.values().filter(|value| matches!(value, Value::Array(list) if list.first().is_some_and(Value::is_object)));
            !input.fill_buf().map_err(failed)?.is_empty() || lists.count() != 1
        }
        Err(_) => false,
    };
    let mut all = lines(before).chain(Cursor::new(line)).chain(lines(between)).chain(input);
    if is_row { json_lines::rows(source, &mut all, take) } else { elements(source, all, take) }
}

/// Goes to the next byte that is not white space, and returns how many lines end before it.
fn skip_blanks(input: &mut dyn BufRead) -> io::Result<u64> {
    let mut lines = 0;
    loop {
        let buffer = input.fill_buf()?;
        let blanks = buffer.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let all = blanks == buffer.len();
        lines += buffer[..blanks].iter().filter(|&&byte| byte == b'\n').count() as u64;
        input.consume(blanks);
        if blanks == 0 || !all {
            return Ok(lines);
        }
    }
}

/// The line ends that were skipped, so that everything after them keeps its line.
fn lines(count: u64) -> impl BufRead {
    BufReader::new(io::repeat(b'\n').take(count))
}

/// The rows of a list, or of the one list in an object.
fn elements(source: &Source, input: impl BufRead, take: Take) -> Result<usize> {
    let meter = Meter::new(source.longest);
    let progress = RefCell::new(Progress { source, meter: &meter, take, number: 0, list: None, empty: false, failed: None });
    let mut parser = serde_json::Deserializer::from_reader(Metered::new(input, &meter));
    let read = Level { progress: &progress, field: None }.deserialize(&mut parser).and_then(|()| parser.end());
    let progress = progress.into_inner();
    if let Some(error) = progress.failed {
        return Err(error);
    }
    let row = progress.number + 1;
    match read {
        Ok(()) if progress.list.is_none() && !progress.empty => {
            Err(source.wrong(format!("an object without a list of rows; {SHAPE}")))
        }
        Ok(()) => Ok(progress.number),
        Err(error) if error.is_io() => Err(source.unreadable(row, Some(meter.line()), error.into(), TOO_LONG)),
        Err(error) => {
            let what = match error.classify() {
                Category::Eof => invalid(&error, "the file ends too early; copy or download it again"),
                _ if error.to_string().starts_with("invalid unicode code point") => {
                    format!("not UTF-8 before column {}; save the file as UTF-8", error.column())
                }
                _ => invalid(&error, SHAPE),
            };
            Err(source.at(row, error.line() as u64, what))
        }
    }
}

/// What is known of the file so far.
struct Progress<'a> {
    source: &'a Source<'a>,
    meter: &'a Meter,
    take: Take<'a>,
    /// Rows taken.
    number: usize,
    /// The field with the rows; empty where they are not in a field.
    list: Option<String>,
    /// Whether there was a list without elements.
    empty: bool,
    /// Why reading stopped; it cannot travel through the parser.
    failed: Option<Error>,
}

impl Progress<'_> {
    fn row(&mut self, line: u64, value: Value) -> Result<()> {
        let fields = match value {
            Value::Object(fields) => fields,
            other => {
                let what = format!("{}, not an object; {SHAPE}", kind(&other));
                return Err(self.source.at(self.number + 1, line, what));
            }
        };
        self.number += 1;
        (self.take)(Row { number: self.number, line: Some(line), fields })
    }

    /// Rows begin in this field; there is only one such field in a file.
    fn begin(&mut self, field: &str) -> Result<()> {
        if let Some(first) = &self.list {
            let what = format!("two lists of rows, {} and {}; keep one, or write JSON lines", quoted(first), quoted(field));
            return Err(self.source.wrong(what));
        }
        self.list = Some(field.to_owned());
        Ok(())
    }
}

/// The whole file, or the value of one of its fields.
struct Level<'p, 'a> {
    progress: &'p RefCell<Progress<'a>>,
    field: Option<&'p str>,
}

impl Level<'_, '_> {
    /// Stops the parser and keeps the reason.
    fn check<T, E: serde::de::Error>(&self, result: Result<T>) -> Result<T, E> {
        result.map_err(|error| {
            self.progress.borrow_mut().failed = Some(error);
            E::custom("stopped")
        })
    }

    /// A value that is neither list nor object: no place for rows.
    fn scalar<E: serde::de::Error>(self) -> Result<(), E> {
        match self.field {
            Some(_) => Ok(()),
            None => {
                let wrong = self.progress.borrow().source.wrong(format!("neither a list nor an object; {SHAPE}"));
                self.check(Err(wrong))
            }
        }
    }
}

impl<'de> DeserializeSeed<'de> for Level<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Some((line, first)) = list.next_element_seed(Element(self.progress))? else {
            self.progress.borrow_mut().empty = true;
            return Ok(());
        };
        if self.field.is_some() && !first.is_object() {
            while list.next_element::<IgnoredAny>()?.is_some() {
                self.progress.borrow().meter.begin();
            }
            return Ok(());
        }
        let begun = self.progress.borrow_mut().begin(self.field.unwrap_or_default());
        self.check(begun)?;
        let mut next = Some((line, first));
        while let Some((line, value)) = next {
            let taken = self.progress.borrow_mut().row(line, value);
            self.check(taken)?;
            next = list.next_element_seed(Element(self.progress))?;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(field) = map.next_key::<String>()? {
            self.progress.borrow().meter.begin();
            match self.field {
                Some(_) => map.next_value::<IgnoredAny>().map(|_| ())?,
                None => map.next_value_seed(Level { progress: self.progress, field: Some(&field) })?,
            }
        }
        Ok(())
    }

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<(), E> {
        self.scalar()
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<(), E> {
        self.scalar()
    }

    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<(), E> {
        self.scalar()
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<(), E> {
        self.scalar()
    }

    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<(), E> {
        self.scalar()
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.scalar()
    }
}

/// One element of a list, with the line where it begins.
struct Element<'p, 'a>(&'p RefCell<Progress<'a>>);

impl<'de> DeserializeSeed<'de> for Element<'_, '_> {
    type Value = (u64, Value);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(u64, Value), D::Error> {
        let line = {
            let progress = self.0.borrow();
            progress.meter.begin();
            progress.meter.line()
        };
        Ok((line, Value::deserialize(deserializer)?))
    }
}
