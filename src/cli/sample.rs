//! `dpo-lab sample`

use super::model::Model;
use crate::console::harmless;
use crate::error::{Doing, Error, Exit, Result};
use crate::models::chat::{ChatTemplate, Message};
use crate::models::generate::{continue_one, generate};
use crate::models::{Policy, Sampling};
use crate::random::Stream;
use burn::tensor::Device;
use clap::Args;
use std::io::{BufRead, IsTerminal, Write};
use std::path::Path;

/// Completions of prompts, as text.
///
/// Without --prompt every line of standard input is one; on a terminal this is a conversation.
#[derive(Debug, Args)]
pub(super) struct Sample {
    #[command(flatten)]
    model: Model,
    /// What the model goes on from
    #[arg(long, value_name = "TEXT")]
    prompt: Option<String>,
    /// The prompt is a message of a user, and the model's chat template says how it is put
    #[arg(long)]
    chat: bool,
    /// Completions of each prompt
    #[arg(short, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=MOST), value_name = "N")]
    n: u64,
    /// Longest completion in tokens
    #[arg(long, default_value_t = 256, value_parser = at_least_one, value_name = "M")]
    max_new_tokens: usize,
    /// Divides the logits; 0 takes the most probable token
    #[arg(long, default_value_t = 1.0, value_parser = temperature, allow_negative_numbers = true, value_name = "T")]
    temperature: f64,
    /// Draw from so many most probable tokens only; 0 is all
    #[arg(long, default_value_t = 0, value_name = "K")]
    top_k: usize,
    /// Draw from the most probable tokens that have this probability together
    #[arg(long, default_value_t = 1.0, value_parser = share, allow_negative_numbers = true, value_name = "P")]
    top_p: f64,
    /// Seed of the draws
    #[arg(long, default_value_t = 0, value_name = "S")]
    seed: u64,
}

/// Completions that are kept in memory together, at most.
const MOST: u64 = 4096;

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "must be a whole number from 1".to_owned())
}

fn temperature(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0);
    number.ok_or_else(|| "must be a number from 0".to_owned())
}

fn share(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| *number > 0.0 && *number <= 1.0);
    number.ok_or_else(|| "must be a number above 0, at most 1".to_owned())
}

impl Sample {
    pub(super) fn run(self) -> Result<Exit> {
        let model = self.model.open()?;
        let (policy, folder, device) = (model.policy()?, &model.folder, &model.device);
        if policy.decoder.config.scores > 0 {
            return Err(Error::Data(format!("{} scores sequences and writes nothing; use `dpo-lab classify`", folder.display())));
        }
        let template = if self.chat { Some(template(folder)?) } else { None };
        if let Some(prompt) = &self.prompt {
            self.answer(&policy, template.as_ref(), &mut Vec::new(), prompt, 0, device)?;
            return Ok(Exit::Done);
        }
        let asks = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
        let (mut conversation, mut turn) = (Vec::new(), 0);
        loop {
            if asks {
                prompt_sign();
            }
            let mut line = String::new();
            let input = std::io::stdin().lock().read_line(&mut line);
            if input.doing("read", Path::new("standard input"))? == 0 {
                return Ok(Exit::Done);
            }
            let line = line.trim_end_matches(['\n', '\r']);
            if asks && line.is_empty() {
                continue;
            }
            if !asks {
                conversation.clear();
            }
            if !self.answer(&policy, template.as_ref(), &mut conversation, line, turn, device)? {
                return Ok(Exit::Done);
            }
            turn += 1;
        }
    }

    /// Writes the completions of one prompt; with a template, behind the messages before it. Says whether anybody still reads.
    fn answer(
        &self,
        policy: &Policy,
        template: Option<&ChatTemplate>,
        conversation: &mut Vec<Message>,
        prompt: &str,
        turn: u64,
        device: &Device,
    ) -> Result<bool> {
        let tokens = match template {
            Some(template) => {
                conversation.push(Message { role: "user".into(), content: prompt.to_owned() });
                policy.tokenizer.encode_with_special(&template.render(conversation, true)?)?
            }
            None => opened(policy, prompt)?,
        };
        let room = policy.decoder.config.context.saturating_sub(tokens.len());
        if room == 0 {
            let (length, context) = (tokens.len(), policy.decoder.config.context);
            return Err(Error::Data(format!("the prompt's {length} tokens leave no room in the model's context of {context}")));
        }
        if room < self.max_new_tokens {
            tell!("the model's context has room for {room} more tokens");
        }
        let Sample { temperature, top_k, top_p, .. } = *self;
        let max_new_tokens = self.max_new_tokens.min(room);
        let sampling = Sampling { temperature, top_k, top_p, max_new_tokens, samples: self.n as usize };
        let ends = &policy.tokenizer.special().ends;
        let stream = |_: usize, sample: usize| Stream::new(self.seed, sample as u64, "sample", turn);
        if self.n > 1 {
            let drawn = generate(&policy.decoder, std::slice::from_ref(&tokens), ends, sampling, device, stream, |_| ())?;
            for (index, completion) in drawn.iter().flatten().enumerate() {
                let mut text = policy.tokenizer.stream(&tokens);
                let mut whole = String::new();
                for token in &completion.tokens {
                    whole.push_str(&text.push(*token)?.unwrap_or_default());
                }
                say!("{}{whole}{}", if index > 0 { "\n" } else { "" }, text.finish()?);
            }
            return Ok(true);
        }
        let (mut text, mut writer) = (policy.tokenizer.stream(&tokens), std::io::stdout());
        let (mut answer, mut is_read) = (String::new(), true);
        let mut show = |piece: String| {
            // Nobody reading any more is no failure, but there is no use in going on.
            is_read &= writer.write_all(harmless(&piece).as_bytes()).and_then(|()| writer.flush()).is_ok();
            answer.push_str(&piece);
        };
        let completion = continue_one(&policy.decoder, &tokens, ends, sampling, device, stream(0, 0), |token| {
            if let Some(piece) = text.push(token)? {
                show(piece);
            }
            Ok(())
        })?;
        show(text.finish()?);
        show("\n".to_owned());
        if !completion.ended {
            tell!("(cut after {} tokens)", completion.tokens.len());
        }
        if template.is_some() {
            conversation.push(Message { role: "assistant".into(), content: answer.trim().to_owned() });
        }
        Ok(is_read)
    }
}

/// A prompt as the tokenizer opens texts; an empty one is the token that starts them.
fn opened(policy: &Policy, prompt: &str) -> Result<Vec<u32>> {
    let mut tokens: Vec<u32> = policy.tokenizer.opening()?.into_iter().collect();
    tokens.extend(policy.tokenizer.encode_with_special(prompt)?);
    if tokens.is_empty() {
        let start = policy.tokenizer.special().start;
        tokens
            .push(start.ok_or_else(|| Error::Usage("error: this model needs a prompt\nhelp: give it one with --prompt".into()))?);
    }
    Ok(tokens)
}

pub(super) fn template(folder: &Path) -> Result<ChatTemplate> {
    ChatTemplate::open(folder)?.ok_or_else(|| {
        let what = "has no chat template (chat_template.jinja, or chat_template in tokenizer_config.json); leave out --chat";
        Error::Usage(format!("error: {} {what}", folder.display()))
    })
}

fn prompt_sign() {
    let mut error = std::io::stderr();
    let _ = error.write_all(b"> ").and_then(|()| error.flush());
}
