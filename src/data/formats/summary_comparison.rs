//! OpenAI's comparisons: two summaries of a post or an article, and which of them a person chose.

use super::dropped::Unusable;
use super::example::Example;
use super::fields::{Fields, as_text, list, object, optional, required, text};
use super::{article, post};
use crate::data::read::kind;

/// A row as an example.
pub fn example(fields: &Fields) -> Result<Example, Unusable> {
    let info = object(fields, "info")?;
    let prompt = match (optional(info, "post"), optional(info, "article")) {
        (Some(_), _) => post::prompt(info)?,
        (None, Some(_)) => article::prompt(info)?,
        (None, None) => {
            return Err("\"info\" has neither \"post\" nor \"article\"; give it the text that was summarised".to_owned().into());
        }
    };
    let [first, second] = list(fields, "summaries")? else {
        return Err("\"summaries\" has not two elements; give the two that were compared".to_owned().into());
    };
    let of = |value: &serde_json::Value| match value {
        serde_json::Value::Object(one) => text(one, "text").map(post::summary),
        other => as_text(other, "summaries").map(post::summary),
    };
    let (first, second) = (of(first)?, of(second)?);
    let choice = required(fields, "choice")?;
    let (chosen, rejected) = match choice.as_f64() {
        Some(0.0) => (first, second),
        Some(1.0) => (second, first),
        Some(_) => return Err(format!("\"choice\" is {choice}; write 0 for the first summary or 1 for the second").into()),
        None => return Err(format!("\"choice\" is {}; write 0 for the first summary or 1 for the second", kind(choice)).into()),
    };
    Ok(Example::Comparison { prompt, chosen, rejected })
}
