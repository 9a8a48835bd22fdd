//! LLaMA-Factory: a conversation, and a better and a worse reply to it, in messages of `from` and `value`.

use serde_json::Value;

use super::dropped::{Reason, Unusable};
use super::example::{Example, Message};
use super::fields::{Fields, list, required};
use super::messages::{Content, messages, prompt, reply};

/// A row as an example.
pub fn example(fields: &Fields) -> Result<Example, Unusable> {
    let before = turns(list(fields, "conversations")?, "conversations")?;
    let one = |name: &str| -> Result<String, Unusable> {
        let said = turns(std::slice::from_ref(required(fields, name)?), name)?;
        reply(&said).map(str::to_owned)
    };
    let (chosen, rejected) = (one("chosen")?, one("rejected")?);
    Ok(Example::Comparison { prompt: prompt(Content::Messages(before))?, chosen, rejected })
}

/// Messages with the roles that all other formats use.
fn turns(list: &[Value], name: &str) -> Result<Vec<Message>, Unusable> {
    let mut turns = messages(list, name, "from", "value")?;
    for turn in &mut turns {
        let role = match turn.role.as_str() {
            "human" | "user" => "user",
            "gpt" | "assistant" => "assistant",
            "system" => "system",
            // Calls of functions and their results are not trained on.
            _ => return Err(Reason::MalformedTurns.into()),
        };
        turn.role = role.to_owned();
    }
    Ok(turns)
}
