//! Demonstrations: a prompt and what a good model says.

use super::dropped::Unusable;
use super::example::Example;
use super::fields::Fields;
use super::messages::{completed, content};

/// A row as an example.
pub fn example(fields: &Fields) -> Result<Example, Unusable> {
    let (prompt, completion) = completed(content(fields, "prompt")?, content(fields, "completion")?)?;
    Ok(Example::Completion { prompt, completion })
}
