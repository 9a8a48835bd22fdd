//! Prompts and completions that are texts or lists of messages.

use serde_json::Value;

use super::dropped::{Reason, Unusable};
use super::example::{Message, Prompt};
use super::fields::{Fields, required, text};
use crate::data::read::kind;

/// Who completes.
pub const ASSISTANT: &str = "assistant";

/// A prompt or a completion as it is in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A text.
    Text(String),
    /// A part of a conversation.
    Messages(Vec<Message>),
}

/// A required field that is a text or a list of messages.
pub fn content(fields: &Fields, name: &str) -> Result<Content, String> {
    parse(required(fields, name)?, name)
}

/// A value that is a text or a list of messages.
pub fn parse(value: &Value, name: &str) -> Result<Content, String> {
    match value {
        Value::String(text) => Ok(Content::Text(text.clone())),
        Value::Array(list) => Ok(Content::Messages(messages(list, name, "role", "content")?)),
        other => {
            Err(format!("{name:?} is {}; write a text or a list of messages {{\"role\": ..., \"content\": ...}}", kind(other)))
        }
    }
}

/// A list of objects with these two fields.
pub fn messages(list: &[Value], name: &str, role: &str, content: &str) -> Result<Vec<Message>, String> {
    let one = |(index, value): (usize, &Value)| {
        let message = match value {
            Value::Object(fields) => {
                let both = text(fields, role).and_then(|role| Ok((role, text(fields, content)?)));
                both.map(|(role, content)| Message { role: role.to_owned(), content: content.to_owned() })
            }
            other => Err(format!("it is {}; write {{{role:?}: ..., {content:?}: ...}}", kind(other))),
        };
        message.map_err(|what| format!("message {} of {name:?}: {what}", index + 1))
    };
    list.iter().enumerate().map(one).collect()
}

/// A prompt whose last message is somebody else's than the assistant's.
pub fn prompt(content: Content) -> Result<Prompt, Unusable> {
    match content {
        Content::Text(text) => Ok(Prompt::Text(text)),
        Content::Messages(messages) if messages.last().is_some_and(|last| last.role != ASSISTANT) => {
            Ok(Prompt::Messages(messages))
        }
        Content::Messages(_) => Err(Reason::MalformedTurns.into()),
    }
}

/// The end of a conversation, which is what the assistant says there.
pub fn reply(messages: &[Message]) -> Result<&str, Unusable> {
    match messages {
        [message] if message.role == ASSISTANT => Ok(&message.content),
        _ => Err(Reason::MalformedTurns.into()),
    }
}

/// A prompt with one completion of it. A list of messages as the completion may repeat the prompt, and after a text prompt
/// it makes that the user's message.
pub fn completed(before: Content, after: Content) -> Result<(Prompt, String), Unusable> {
    match (before, after) {
        (before, Content::Text(completion)) => Ok((prompt(before)?, completion)),
        (Content::Messages(before), Content::Messages(after)) => {
            let rest = after.strip_prefix(before.as_slice()).unwrap_or(&after);
            let completion = reply(rest)?.to_owned();
            Ok((prompt(Content::Messages(before))?, completion))
        }
        (Content::Text(before), Content::Messages(after)) => {
            let before = vec![Message { role: "user".into(), content: before }];
            completed(Content::Messages(before), Content::Messages(after))
        }
    }
}
