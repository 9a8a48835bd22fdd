//! What a row becomes, whatever format it comes from.

use serde::{Deserialize, Serialize};

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks: `system`, `user`, `assistant`, or what else the data says.
    pub role: String,
    /// What is said.
    pub content: String,
}

/// What comes before a completion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prompt {
    /// A text that the completion goes on from.
    Text(String),
    /// A conversation that a chat template has yet to make into a text.
    Messages(Vec<Message>),
}

/// One example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Example {
    /// A text, and whether its author liked what it is about.
    Text {
        /// The text, as it is in the file.
        text: String,
        /// The label, where there is one.
        label: Option<bool>,
    },
    /// A demonstration.
    Completion {
        /// The prompt.
        prompt: Prompt,
        /// What a good model says.
        completion: String,
    },
    /// Two completions, one better than the other.
    Comparison {
        /// The prompt of both.
        prompt: Prompt,
        /// The better one.
        chosen: String,
        /// The worse one.
        rejected: String,
    },
    /// One completion with a verdict.
    Judged {
        /// The prompt.
        prompt: Prompt,
        /// The completion.
        completion: String,
        /// The verdict.
        desirable: bool,
    },
    /// Several completions in order.
    Ranking {
        /// The prompt of all.
        prompt: Prompt,
        /// The completions, best first.
        completions: Vec<String>,
    },
}

impl Prompt {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        match self {
            Prompt::Text(text) => text.trim().is_empty(),
            Prompt::Messages(messages) => messages.iter().all(|message| message.content.trim().is_empty()),
        }
    }

    /// How often the human speaks; a text that is no transcript has no turns.
    pub fn human_turns(&self) -> usize {
        match self {
            Prompt::Text(text) => text.matches("\n\nHuman:").count(),
            Prompt::Messages(messages) => messages.iter().filter(|message| message.role == "user").count(),
        }
    }
}

impl Example {
    /// What comes before the completions, if this has any.
    pub fn prompt(&self) -> Option<&Prompt> {
        match self {
            Example::Text { .. } => None,
            Example::Completion { prompt, .. }
            | Example::Comparison { prompt, .. }
            | Example::Judged { prompt, .. }
            | Example::Ranking { prompt, .. } => Some(prompt),
        }
    }

    /// The text or the completions.
    pub fn texts(&self) -> Vec<&str> {
        match self {
            Example::Text { text, .. } => vec![text],
            Example::Completion { completion, .. } | Example::Judged { completion, .. } => vec![completion],
            Example::Comparison { chosen, rejected, .. } => vec![chosen, rejected],
            Example::Ranking { completions, .. } => completions.iter().map(String::as_str).collect(),
        }
    }
}
