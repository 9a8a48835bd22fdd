//! HH: two transcripts that differ in the assistant's last turn.

use super::dropped::{Reason, Unusable};
use super::example::{Example, Prompt};
use super::fields::{Fields, text};
use super::transcript::{ASSISTANT, HUMAN};

/// A row as an example.
pub fn example(fields: &Fields) -> Result<Example, Unusable> {
    let (prompt, chosen) = split(text(fields, "chosen")?)?;
    let (other, rejected) = split(text(fields, "rejected")?)?;
    if prompt != other {
        return Err(Reason::PromptsDiffer.into());
    }
    Ok(Example::Comparison { prompt: Prompt::Text(prompt.to_owned()), chosen: chosen.to_owned(), rejected: rejected.to_owned() })
}

/// A transcript up to the assistant's last turn, and that turn, which keeps its leading space.
fn split(transcript: &str) -> Result<(&str, &str), Unusable> {
    let end = transcript.rfind(ASSISTANT).ok_or(Reason::MalformedTurns)? + ASSISTANT.len();
    let (prompt, completion) = transcript.split_at(end);
    // A transcript that goes on after the assistant's last turn has no completion.
    if !prompt.contains(HUMAN) || completion.contains(HUMAN) {
        return Err(Reason::MalformedTurns.into());
    }
    Ok((prompt, completion.trim_end()))
}
