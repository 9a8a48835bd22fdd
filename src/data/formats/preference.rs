//! TRL: a prompt with a better and a worse completion, as texts or as messages. Without a prompt, the two are whole
//! conversations, and what they share before their last message is the prompt.

use super::dropped::{Reason, Unusable};
use super::example::Example;
use super::fields::{Fields, optional};
use super::messages::{Content, completed, content, prompt, reply};

/// A row as an example.
pub fn example(fields: &Fields) -> Result<Example, Unusable> {
    let (chosen, rejected) = (content(fields, "chosen")?, content(fields, "rejected")?);
    match (chosen, rejected) {
        // Beside whole conversations, a text prompt only repeats how they begin.
        (Content::Messages(chosen), Content::Messages(rejected))
            if optional(fields, "prompt").is_none_or(|prompt| prompt.is_string() && chosen.len() > 1) =>
        {
            let (Some((better, before)), Some((worse, other))) = (chosen.split_last(), rejected.split_last()) else {
                return Err(Reason::MalformedTurns.into());
            };
            if before != other {
                return Err(Reason::PromptsDiffer.into());
            }
            let better = reply(std::slice::from_ref(better))?.to_owned();
            let worse = reply(std::slice::from_ref(worse))?.to_owned();
            Ok(Example::Comparison { prompt: prompt(Content::Messages(before.to_vec()))?, chosen: better, rejected: worse })
        }
        (chosen, rejected) => {
            let before = content(fields, "prompt")?;
            let (prompt, chosen) = completed(before.clone(), chosen)?;
            let (other, rejected) = completed(before, rejected)?;
            if prompt != other {
                return Err("\"chosen\" and \"rejected\" are a text and a list; write both as texts or both as messages"
                    .to_owned()
                    .into());
            }
            Ok(Example::Comparison { prompt, chosen, rejected })
        }
    }
}
