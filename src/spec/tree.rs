//! TOML tables that remember where each value was written: parsing, merging, looking up, setting.

use super::source::{Problem, Sources, Span};
use std::borrow::Cow;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A table whose keys and values know their byte range in the virtual text of [`Sources`].
pub type Table = DeTable<'static>;
/// A value that knows its byte range.
pub type Value = Spanned<DeValue<'static>>;
/// A key that knows its byte range.
pub type Key = Spanned<Cow<'static, str>>;

/// Parses one text and shifts all its ranges to its place in the virtual text.
pub fn parse(sources: &mut Sources, name: &str, text: &str) -> Result<Table, Problem> {
    let offset = sources.add(name, text);
    // An experiment's texts are few and small and live as long as the program, so values may borrow from them.
    let text: &'static str = Box::leak(text.to_owned().into_boxed_str());
    let parsed = DeTable::parse(text).map_err(|error| {
        let span = error.span().unwrap_or(0..0);
        Problem::at(span.start + offset..span.end + offset, format!("this is not TOML: {}", error.message().trim()))
    })?;
    Ok(shift_table(parsed.into_inner(), offset))
}

/// The key with no place of its own.
pub fn key(name: &str, span: Span) -> Key {
    Spanned::new(span, Cow::Owned(name.to_owned()))
}

fn shift_table(table: Table, offset: usize) -> Table {
    let moved = |span: Span| span.start + offset..span.end + offset;
    table.into_iter().map(|(key, value)| (Spanned::new(moved(key.span()), key.into_inner()), shift(value, offset))).collect()
}

fn shift(value: Value, offset: usize) -> Value {
    let span = value.span();
    let value = match value.into_inner() {
        DeValue::Array(items) => DeValue::Array(items.into_iter().map(|item| shift(item, offset)).collect()),
        DeValue::Table(table) => DeValue::Table(shift_table(table, offset)),
        other => other,
    };
    Spanned::new(span.start + offset..span.end + offset, value)
}

/// Tables that say which of several things is meant, so that another choice takes the place of the one below.
const CHOICES: [&str; 1] = ["reward"];

/// Puts `over` on top of `base`: tables merge, everything else is replaced.
pub fn merge(base: &mut Table, over: Table) {
    for (key, value) in over {
        let span = value.span();
        if CHOICES.contains(&key.get_ref().as_ref()) {
            base.remove(key.get_ref().as_ref());
        }
        match (base.get_mut(key.get_ref().as_ref()).map(Spanned::get_mut), value.into_inner()) {
            (Some(DeValue::Table(below)), DeValue::Table(above)) => {
                // The range of the upper table stands for both: messages about a missing key then point at the user's table.
                let mut merged = std::mem::take(below);
                merge(&mut merged, above);
                base.remove(key.get_ref().as_ref());
                base.insert(key, Spanned::new(span, DeValue::Table(merged)));
            }
            (_, value) => {
                base.remove(key.get_ref().as_ref());
                base.insert(key, Spanned::new(span, value));
            }
        }
    }
}

/// The value at a dotted path.
pub fn get<'a>(table: &'a Table, path: &str) -> Option<&'a Value> {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let value = table.get(first)?;
    match rest {
        None => Some(value),
        Some(rest) => value.get_ref().as_table().and_then(|table| get(table, rest)),
    }
}

/// Takes a sub-table out; an absent one is empty.
pub fn take_table(table: &mut Table, name: &str) -> Result<(Table, Option<Span>), Problem> {
    match table.remove_entry(name) {
        None => Ok((Table::new(), None)),
        Some((key, value)) => {
            let span = value.span();
            match value.into_inner() {
                DeValue::Table(inner) => Ok((inner, Some(key.span()))),
                _ => {
                    Err(Problem::at(span, format!("`{name}` must be a table"))
                        .hint(format!("write [{name}] and its keys below it")))
                }
            }
        }
    }
}

/// Deserialises a table into a typed struct; the error points at the key or value.
pub fn read<T: serde::de::DeserializeOwned>(table: Table, span: Span) -> Result<T, Problem> {
    let deserializer = toml::de::ValueDeserializer::from(Spanned::new(span.clone(), DeValue::Table(table)));
    T::deserialize(deserializer).map_err(|error| explain(&error, span))
}

/// Turns serde's message into one with a hint: the nearest known key, or the type that is wanted.
pub fn explain(error: &toml::de::Error, fallback: Span) -> Problem {
    let message = error.message().trim().to_owned();
    let problem = Problem::at(error.span().unwrap_or(fallback), message.clone());
    if let Some((found, wanted)) = message.split_once(", expected ") {
        let wanted = match wanted {
            "f32" | "f64" => "a number",
            "u32" | "u64" | "usize" => "a whole number, at least 0",
            "a string" => "a string in quotes",
            other => other,
        };
        if found.starts_with("invalid type") || found.starts_with("invalid value") {
            return Problem {
                what: format!("wrong type: {}", found.split_once(": ").map_or(found, |(_, found)| found)),
                ..problem
            }
            .hint(format!("this key takes {wanted}"));
        }
    }
    if let Some(key) = message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
        return Problem { what: format!("`{key}` is missing"), ..problem }.hint(format!("add {key} = ... to this table"));
    }
    let Some(rest) = message.strip_prefix("unknown field `").or_else(|| message.strip_prefix("unknown variant `")) else {
        return problem;
    };
    let (unknown, known) = rest.split_once('`').unwrap_or((rest, ""));
    let known: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
    let what = if message.starts_with("unknown field") { "key" } else { "value" };
    Problem { what: format!("unknown {what} `{unknown}`"), ..problem }.hint(nearest(unknown, &known))
}

/// "did you mean ...", or the list of what is known.
pub fn nearest(unknown: &str, known: &[&str]) -> String {
    let best = known.iter().min_by_key(|known| strsim::damerau_levenshtein(unknown, known));
    match best {
        Some(best) if strsim::damerau_levenshtein(unknown, best) <= unknown.len().div_ceil(3) => {
            format!("did you mean `{best}`?")
        }
        _ if known.is_empty() => "this table has no keys of its own".to_owned(),
        _ => format!("known here: {}", known.join(", ")),
    }
}
