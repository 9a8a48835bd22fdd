//! Examples of data files as a trainer sees them: tokens, where the completion begins, and the token that ends it.

use crate::data::formats::{Example, Message, Prompt, transcript};
use crate::error::{Error, Result};
use crate::models::Tokenizer;
use crate::models::chat::ChatTemplate;

/// How examples become tokens.
pub struct RowEncoder<'a> {
    /// The model's tokenizer.
    pub tokenizer: &'a Tokenizer,
    /// The model's chat template, where conversations are to be put through it.
    pub template: Option<&'a ChatTemplate>,
    /// Longest prompt in tokens.
    pub max_prompt_tokens: usize,
    /// Longest completion in tokens, its end token included.
    pub max_completion_tokens: usize,
}

/// One example in tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedRow {
    /// What is given; it carries no loss.
    pub prompt: Vec<u32>,
    /// The text or the completions, in the order of [`Example::texts`], each with its end token: they carry the loss.
    pub completions: Vec<Vec<u32>>,
}

/// Why an example has no place in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftOut {
    /// Its prompt or a completion is longer than asked for. Rows are left out rather than cut: a cut completion would be taught
    /// never to end.
    TooLong,
    /// A message spells one of the tokens that a chat template sets between messages, and would be taken for it.
    ControlTokens,
}

impl RowEncoder<'_> {
    /// The tokens of an example. Prompt and completion are tokenised apart, so that the boundary between them is exact.
    pub fn encode(&self, example: &Example) -> Result<Result<EncodedRow, LeftOut>> {
        let special = self.tokenizer.special();
        let end = *special.ends.first().ok_or_else(|| {
            Error::Data("the tokenizer has no end token; name one as eos_token in its tokenizer_config.json".into())
        })?;
        let (mut prompt, rendered) = match example.prompt() {
            None => (Vec::new(), false),
            Some(prompt) => match self.rendered(prompt)? {
                Ok(Some(tokens)) => (tokens, true),
                Ok(None) => (self.plain(prompt)?, false),
                Err(left_out) => return Ok(Err(left_out)),
            },
        };
        if prompt.is_empty() {
            // The first token of a text is predicted from something.
            prompt.push(special.start.unwrap_or(end));
        }
        let mut completions = Vec::new();
        for text in example.texts() {
            // A template has its own space between a role and what is said.
            let mut tokens = self.tokenizer.encode(if rendered { text.trim() } else { text })?;
            if tokens.last() != Some(&end) {
                tokens.push(end);
            }
            completions.push(tokens);
        }
        let fits = prompt.len() <= self.max_prompt_tokens
            && completions.iter().all(|completion| completion.len() <= self.max_completion_tokens);
        Ok(if fits { Ok(EncodedRow { prompt, completions }) } else { Err(LeftOut::TooLong) })
    }

    /// A prompt's text in tokens, as the tokenizer opens texts.
    fn plain(&self, prompt: &Prompt) -> Result<Vec<u32>> {
        let text = match prompt {
            Prompt::Text(text) => text.clone(),
            Prompt::Messages(messages) => transcript::of(messages),
        };
        let mut tokens: Vec<u32> = self.tokenizer.opening()?.into_iter().collect();
        tokens.extend(self.tokenizer.encode(&text)?);
        Ok(tokens)
    }

    /// A conversation through the chat template; nothing for a plain text, or without a template.
    fn rendered(&self, prompt: &Prompt) -> Result<Result<Option<Vec<u32>>, LeftOut>> {
        let Some(template) = self.template else { return Ok(Ok(None)) };
        let messages: Vec<Message> = match prompt {
            Prompt::Messages(messages) => messages.clone(),
            Prompt::Text(text) => match transcript::messages(text) {
                Some(messages) => messages,
                None => return Ok(Ok(None)),
            },
        };
        for message in &messages {
            if self.tokenizer.encode(&message.content)? != self.tokenizer.encode_with_special(&message.content)? {
                return Ok(Err(LeftOut::ControlTokens));
            }
        }
        Ok(Ok(Some(self.tokenizer.encode_with_special(&template.render(&messages, true)?)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: [&str; 6] = ["\n\nHuman:", "Assistant:", "hello", "there", "friend", "yes"];

    fn encode(max: usize, example: &Example) -> Result<EncodedRow, LeftOut> {
        let tokenizer = Tokenizer::words(&WORDS.map(str::trim)).expect("a tokenizer");
        let encoder = RowEncoder { tokenizer: &tokenizer, template: None, max_prompt_tokens: max, max_completion_tokens: max };
        encoder.encode(example).expect("tokens")
    }

    #[test]
    fn a_completion_ends_once_and_an_empty_prompt_is_the_start() {
        let pair = |chosen: &str| Example::Comparison {
            prompt: Prompt::Text("hello there".into()),
            chosen: chosen.into(),
            rejected: "yes".into(),
        };
        let row = encode(9, &pair("friend")).expect("a row");
        assert_eq!((row.prompt, row.completions), (vec![4, 5], vec![vec![6, 0], vec![7, 0]]));
        let text = encode(9, &Example::Text { text: "hello".into(), label: None }).expect("a row");
        assert_eq!((text.prompt, text.completions), (vec![0], vec![vec![4, 0]]));
        assert_eq!(encode(2, &pair("friend yes")), Err(LeftOut::TooLong));
    }

    /// Data must not be able to end a turn or to speak for another.
    #[test]
    fn a_message_that_spells_a_control_token_is_left_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let source = "{% for m in messages %}{{ m.content }}<|endoftext|>{% endfor %}";
        std::fs::write(folder.path().join("chat_template.jinja"), source).expect("written");
        let template = ChatTemplate::open(folder.path()).expect("Jinja").expect("a template");
        let tokenizer = Tokenizer::byte_level_bpe(["hello there"].into_iter(), 260).expect("a tokenizer");
        let encoder =
            RowEncoder { tokenizer: &tokenizer, template: Some(&template), max_prompt_tokens: 99, max_completion_tokens: 99 };
        let says = |content: &str| {
            let prompt = Prompt::Messages(vec![Message { role: "user".into(), content: content.into() }]);
            encoder.encode(&Example::Completion { prompt, completion: "yes".into() }).expect("tokens")
        };
        let end = tokenizer.special().ends[0];
        assert_eq!(says("hello").expect("a row").prompt.last(), Some(&end), "the template's own token is one");
        assert_eq!(says("hello <|endoftext|>"), Err(LeftOut::ControlTokens));
    }

    #[test]
    fn a_conversation_without_a_template_is_a_transcript() {
        let said = |role: &str, content: &str| Message { role: role.into(), content: content.into() };
        let prompt = Prompt::Messages(vec![said("user", "hello"), said("assistant", "yes"), said("user", "there")]);
        let row = encode(9, &Example::Completion { prompt, completion: "friend".into() }).expect("a row");
        assert_eq!(row.prompt, [2, 4, 3, 7, 2, 5, 3]);
    }
}
