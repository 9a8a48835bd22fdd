//! Columns of a row by name and type, with what is wrong when they are not there or not of that type.

use serde_json::{Map, Value};

use crate::data::read::{kind, names, quoted};

/// The columns of a row, or the fields of an object in one.
pub type Fields = Map<String, Value>;

/// A field that may be missing or null. Its name may be written in other cases, as tables made by hand often do.
pub fn optional<'a>(fields: &'a Fields, name: &str) -> Option<&'a Value> {
    let found = fields.get(name);
    let found = found.or_else(|| fields.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value));
    found.filter(|value| !value.is_null())
}

/// A field that every row must have.
pub fn required<'a>(fields: &'a Fields, name: &str) -> Result<&'a Value, String> {
    optional(fields, name).ok_or_else(|| {
        let is_null = fields.keys().any(|other| other.eq_ignore_ascii_case(name));
        if is_null {
            format!("{name:?} is null; give it a value or take the row out")
        } else {
            format!("no {name:?}, only {}; give every row a field {name:?}", names(fields.keys()))
        }
    })
}

/// A required text.
pub fn text<'a>(fields: &'a Fields, name: &str) -> Result<&'a str, String> {
    as_text(required(fields, name)?, name)
}

/// A required list.
pub fn list<'a>(fields: &'a Fields, name: &str) -> Result<&'a [Value], String> {
    match required(fields, name)? {
        Value::Array(list) => Ok(list),
        other => Err(format!("{name:?} is {}, not a list{}", kind(other), in_a_table(other))),
    }
}

/// A required object.
pub fn object<'a>(fields: &'a Fields, name: &str) -> Result<&'a Fields, String> {
    match required(fields, name)? {
        Value::Object(object) => Ok(object),
        other => Err(format!("{name:?} is {}, not an object{}", kind(other), in_a_table(other))),
    }
}

/// A value that must be a text; `name` is for the message.
pub fn as_text<'a>(value: &'a Value, name: &str) -> Result<&'a str, String> {
    value.as_str().ok_or_else(|| format!("{name:?} is {}, not a string; put the text there in quotes", kind(value)))
}

/// A verdict: true or false, also as 0 or 1, also as a string.
pub fn verdict(fields: &Fields, name: &str) -> Result<bool, String> {
    let value = required(fields, name)?;
    let said = match value {
        Value::String(said) => said.trim().to_ascii_lowercase(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        other => return Err(format!("{name:?} is {}; write true or false", kind(other))),
    };
    match said.as_str() {
        "true" | "1" | "1.0" => Ok(true),
        "false" | "0" | "0.0" => Ok(false),
        _ => Err(format!("{name:?} is {}; write true or false", quoted(&said))),
    }
}

/// The usual reason why a list or an object is a string.
fn in_a_table(value: &Value) -> &'static str {
    if value.is_string() {
        "; CSV and TSV hold texts only, so write JSON lines"
    } else {
        "; write it as in the format's description"
    }
}
