//! Conversations written as one text, as HH does: "\n\nHuman: ...\n\nAssistant: ...".

use super::Message;

pub(super) const HUMAN: &str = "\n\nHuman:";
pub(super) const ASSISTANT: &str = "\n\nAssistant:";

/// The turns of a transcript that ends where the assistant is to speak; nothing for any other text.
pub fn messages(transcript: &str) -> Option<Vec<Message>> {
    let mut rest = transcript.strip_suffix(ASSISTANT)?.strip_prefix(HUMAN)?;
    let mut messages = Vec::new();
    let mut role = "user";
    loop {
        let next = [(HUMAN, "user"), (ASSISTANT, "assistant")].into_iter();
        let next = next.filter_map(|(mark, role)| Some((rest.find(mark)?, mark, role))).min();
        let (said, mark) = next.map_or((rest, ""), |(at, mark, _)| (&rest[..at], mark));
        messages.push(Message { role: role.to_owned(), content: said.trim().to_owned() });
        let Some((at, _, speaker)) = next else { return Some(messages) };
        (rest, role) = (&rest[at + mark.len()..], speaker);
    }
}

/// A transcript of messages, up to where the assistant is to speak. Other roles speak as the human.
pub fn of(messages: &[Message]) -> String {
    let turn = |message: &Message| {
        let speaker = if message.role == "assistant" { ASSISTANT } else { HUMAN };
        format!("{speaker} {}", message.content.trim())
    };
    messages.iter().map(turn).collect::<String>() + ASSISTANT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_read_as_they_are_written() {
        let text = "\n\nHuman: Hi.\n\nTwo lines.\n\nAssistant: Yes?\n\nHuman: Bye\n\nAssistant:";
        let read = messages(text).expect("a transcript");
        let roles: Vec<(&str, &str)> = read.iter().map(|m| (m.role.as_str(), m.content.as_str())).collect();
        assert_eq!(roles, [("user", "Hi.\n\nTwo lines."), ("assistant", "Yes?"), ("user", "Bye")]);
        assert_eq!(of(&read), text);
        assert_eq!(messages("SUBREDDIT: r/x"), None);
    }
}
