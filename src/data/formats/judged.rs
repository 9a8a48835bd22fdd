//! KTO: a completion, and whether it is desirable. The completion may be the last of `messages`.

use super::dropped::{Reason, Unusable};
use super::example::Example;
use super::fields::{Fields, list, optional, verdict};
use super::messages::{Content, completed, content, messages, prompt, reply};

/// A row as an example.
pub fn example(fields: &Fields) -> Result<Example, Unusable> {
    let desirable = verdict(fields, "label")?;
    if optional(fields, "messages").is_none() {
        let (prompt, completion) = completed(content(fields, "prompt")?, content(fields, "completion")?)?;
        return Ok(Example::Judged { prompt, completion, desirable });
    }
    let mut before = messages(list(fields, "messages")?, "messages", "role", "content")?;
    let last = before.pop().ok_or(Reason::MalformedTurns)?;
    let completion = reply(&[last])?.to_owned();
    Ok(Example::Judged { prompt: prompt(Content::Messages(before))?, completion, desirable })
}
