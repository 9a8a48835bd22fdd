//! IMDb: a text and whether its author liked what it is about.

use serde_json::Value;

use super::dropped::Unusable;
use super::example::Example;
use super::fields::{Fields, optional, text};
use crate::data::read::{kind, quoted};

/// A row as an example.
pub fn example(fields: &Fields) -> Result<Example, Unusable> {
    let (text, label) = parse(fields)?;
    Ok(Example::Text { text: text.to_owned(), label })
}

/// The text of a row, and its label if it has one.
pub fn parse(fields: &Fields) -> Result<(&str, Option<bool>), String> {
    let label = match optional(fields, "label") {
        None => None,
        Some(Value::Bool(positive)) => Some(*positive),
        Some(Value::String(label)) if label.trim().is_empty() => None,
        Some(Value::String(label)) => Some(parse_label(label)?),
        Some(Value::Number(label)) => Some(parse_label(&label.to_string())?),
        Some(other) => return Err(format!("the label is {}; write 0 or 1", kind(other))),
    };
    Ok((text(fields, "text")?, label))
}

fn parse_label(label: &str) -> Result<bool, String> {
    match label.trim().to_ascii_lowercase().as_str() {
        "0" | "neg" | "negative" | "false" => Ok(false),
        "1" | "pos" | "positive" | "true" => Ok(true),
        _ => {
            let what_to_do = "write 0, false, \"neg\" or \"negative\", or 1, true, \"pos\" or \"positive\"";
            Err(format!("unknown label {}; {what_to_do}", quoted(label)))
        }
    }
}
