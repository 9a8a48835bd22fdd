//! `dpo-lab data`

use super::model::{downloads, folder};
use crate::data::files;
use crate::data::formats::{Example, Format, Options, Prompt, Turns, examples};
use crate::error::{Error, Exit, Result};
use crate::hub::{self, Hub};
use crate::models::Tokenizer;
use crate::models::chat::ChatTemplate;
use crate::tasks::rows::{EncodedRow, LeftOut, RowEncoder};
use clap::Args;
use std::path::Path;

/// Rows of data files as the trainer sees them: what they are, what is left out and why, where tokens begin and end, and
/// which of them carry loss.
#[derive(Debug, Args)]
pub(super) struct Data {
    /// Files or globs, of one format, or data sets of the hub as hub:OWNER/NAME
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    /// Show the first rows
    #[arg(long, default_value_t = 2, value_name = "N")]
    show: usize,
    /// The model whose tokenizer to read them with: a folder, or hub:OWNER/NAME[@REVISION]
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// Put conversations through the model's chat template
    #[arg(long, requires = "model")]
    chat: bool,
    /// Their format, where the columns do not say it
    #[arg(long, value_parser = format, value_name = "NAME")]
    format: Option<Format>,
    /// Keep dialogues with one turn of the human only
    #[arg(long)]
    single_turn: bool,
    /// Longest prompt in tokens
    #[arg(long, default_value_t = usize::MAX, hide_default_value = true, requires = "model", value_name = "N")]
    max_prompt_tokens: usize,
    /// Longest completion in tokens
    #[arg(long, default_value_t = usize::MAX, hide_default_value = true, requires = "model", value_name = "N")]
    max_completion_tokens: usize,
    /// Never use the network
    #[arg(long, env = "DPO_LAB_OFFLINE", value_parser = clap::builder::FalseyValueParser::new())]
    offline: bool,
}

fn format(name: &str) -> Result<Format, String> {
    name.parse()
}

/// What the rows have in common.
#[derive(Default)]
struct Counts {
    kept: usize,
    too_long: usize,
    control_tokens: usize,
    prompts: Vec<usize>,
    completions: Vec<usize>,
}

impl Data {
    pub(super) fn run(self) -> Result<Exit> {
        let (on_hub, local): (Vec<String>, Vec<String>) =
            self.files.iter().cloned().partition(|name| name.starts_with(hub::PREFIX));
        let mut paths = if local.is_empty() { Vec::new() } else { files::expand(&local, Path::new("."))? };
        for name in on_hub {
            paths.extend(Hub::new(self.offline)?.dataset(&name.parse()?, &mut downloads())?.1);
        }
        let opened = match &self.model {
            Some(name) => {
                let folder = folder(name, self.offline)?;
                let template = if self.chat { Some(super::sample::template(&folder)?) } else { None };
                Some((Tokenizer::open(&folder)?, template))
            }
            None => None,
        };
        let turns = if self.single_turn { Turns::Single } else { Turns::Any };
        let mut counts = Counts::default();
        let reading = examples(&paths, &Options { format: self.format, turns }, &mut |example| {
            self.row(&example, opened.as_ref(), &mut counts)
        })?;
        say!("{}, {} rows", reading.format.name(), reading.rows);
        say!("  kept     {}", counts.kept);
        say!("  dropped  {}", reading.dropped);
        if counts.too_long + counts.control_tokens > 0 {
            say!("  left out {} too long, {} spelling control tokens", counts.too_long, counts.control_tokens);
        }
        let unit = if opened.is_some() { "tokens" } else { "bytes" };
        for (name, mut sizes) in [("prompts", counts.prompts), ("completions", counts.completions)] {
            sizes.sort_unstable();
            if let (Some(median), Some(most)) = (sizes.get(sizes.len() / 2), sizes.last()) {
                let many = sizes[(sizes.len() * 19 / 20).min(sizes.len() - 1)];
                say!("  {name}: median {median} {unit}, 95 % up to {many}, longest {most}");
            }
        }
        if opened.is_none() {
            tell!("sizes and rows are in bytes and text; --model MODEL shows a model's tokens");
        }
        Ok(Exit::Done)
    }

    fn row(&self, example: &Example, opened: Option<&(Tokenizer, Option<ChatTemplate>)>, counts: &mut Counts) -> Result<()> {
        let Some((tokenizer, template)) = opened else {
            let prompt = example.prompt().map(text).unwrap_or_default();
            if counts.kept < self.show {
                show(counts.kept, example, &prompt.escape_debug().to_string(), |index| {
                    example.texts()[index].escape_debug().to_string()
                });
            }
            counts.prompts.push(prompt.len());
            counts.completions.extend(example.texts().iter().map(|text| text.len()));
            counts.kept += 1;
            return Ok(());
        };
        let encoder = RowEncoder {
            tokenizer,
            template: template.as_ref(),
            max_prompt_tokens: self.max_prompt_tokens,
            max_completion_tokens: self.max_completion_tokens,
        };
        let EncodedRow { prompt, completions } = match encoder.encode(example)? {
            Ok(row) => row,
            Err(LeftOut::TooLong) => {
                counts.too_long += 1;
                return Ok(());
            }
            Err(LeftOut::ControlTokens) => {
                counts.control_tokens += 1;
                return Ok(());
            }
        };
        if counts.kept < self.show {
            let pieces = |tokens: &[u32]| {
                let piece = |token: &u32| tokenizer.decode_all(&[*token]).map(|text| text.escape_debug().to_string());
                Ok::<_, Error>(format!(
                    "{} tokens: {}",
                    tokens.len(),
                    tokens.iter().map(piece).collect::<Result<Vec<_>>>()?.join("|")
                ))
            };
            let completions = completions.iter().map(|tokens| pieces(tokens)).collect::<Result<Vec<_>>>()?;
            show(counts.kept, example, &pieces(&prompt)?, |index| completions[index].clone());
        }
        counts.prompts.push(prompt.len());
        counts.completions.extend(completions.iter().map(Vec::len));
        counts.kept += 1;
        Ok(())
    }
}

/// A prompt as text.
fn text(prompt: &Prompt) -> String {
    match prompt {
        Prompt::Text(text) => text.clone(),
        Prompt::Messages(messages) => crate::data::formats::transcript::of(messages),
    }
}

/// Prints a row: what is given, and what carries loss.
fn show(index: usize, example: &Example, prompt: &str, completion: impl Fn(usize) -> String) {
    say!("row {index}");
    say!("  given, without loss\n    {prompt}");
    let names: Vec<String> = match example {
        Example::Text { .. } => vec!["text".into()],
        Example::Completion { .. } => vec!["completion".into()],
        Example::Comparison { .. } => vec!["chosen".into(), "rejected".into()],
        Example::Judged { desirable, .. } => vec![if *desirable { "desirable".into() } else { "undesirable".into() }],
        Example::Ranking { completions, .. } => (1..=completions.len()).map(|rank| format!("rank {rank}")).collect(),
    };
    for (index, name) in names.iter().enumerate() {
        say!("  {name}, with loss\n    {}", completion(index));
    }
}
