//! `dpo-lab score`

use super::model::Model;
use super::output::Output;
use crate::data::read::{self, Row};
use crate::error::{Error, Exit, Result};
use crate::models::Policy;
use crate::train::{Sequence, completion_log_probs};
use burn::tensor::Device;
use clap::Args;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Log-probs of completions, in nats: rows `prompt`, `completion` of a JSON Lines, CSV or Parquet file.
#[derive(Debug, Args)]
pub(super) struct Score {
    #[command(flatten)]
    model: Model,
    /// Rows with `prompt` and `completion`
    data: PathBuf,
    /// Count the end token behind every completion, too
    #[arg(long)]
    append_eos: bool,
    /// Write here instead of to standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Serialize)]
struct Scored {
    row: usize,
    prompt_tokens: usize,
    completion_tokens: usize,
    logprob_sum: f64,
    logprob_mean: Option<f64>,
}

/// Rows that are scored together.
const ROWS: usize = 512;

/// One row in tokens.
struct Tokens {
    /// What is given: the prompt, or what stands for an empty one.
    given: Vec<u32>,
    prompt_tokens: usize,
    completion: Vec<u32>,
    /// How many of the completion's tokens are given because nothing else is.
    unscored: usize,
}

impl Score {
    pub(super) fn run(self) -> Result<Exit> {
        let model = self.model.open()?;
        let (policy, device) = (model.policy()?, &model.device);
        if policy.decoder.config.scores > 0 {
            let what = "scores sequences and predicts no tokens; use `dpo-lab classify`";
            return Err(Error::Data(format!("{} {what}", model.folder.display())));
        }
        let mut output = Output::create(self.out.as_deref(), &self.data)?;
        let (mut waiting, mut first, mut without_start) = (Vec::new(), 0, 0);
        let count = read::rows(is_there(&self.data)?, &mut |row| {
            let tokens = self.tokens(&row, &policy)?;
            without_start += usize::from(tokens.unscored > 0);
            waiting.push(tokens);
            if waiting.len() == ROWS {
                first = score(&policy, &waiting, first, device, &mut output)?;
                waiting.clear();
            }
            Ok(())
        })?;
        score(&policy, &waiting, first, device, &mut output)?;
        some_rows(count, &self.data)?;
        if without_start > 0 {
            tell!(
                "{without_start} rows have an empty prompt, and this model has no token that starts a text: they are scored from their \
                 second token"
            );
        }
        output.finish()?;
        Ok(Exit::Done)
    }

    fn tokens(&self, row: &Row, policy: &Policy) -> Result<Tokens> {
        let tokenizer = &policy.tokenizer;
        let prompt = tokenizer.encode_with_special(text(row, "prompt", &self.data)?)?;
        let mut completion = tokenizer.encode_with_special(text(row, "completion", &self.data)?)?;
        if self.append_eos {
            let end = tokenizer.special().ends.first();
            completion.push(*end.ok_or_else(|| Error::Usage("error: --append-eos, but the tokenizer has no end token".into()))?);
        }
        let (total, context) = (prompt.len() + completion.len(), policy.decoder.config.context);
        if total > context {
            return Err(row.wrong(&self.data, format!("{total} tokens exceed the model's context of {context}; shorten the row")));
        }
        let prompt_tokens = prompt.len();
        let start = tokenizer.special().start;
        let (given, unscored) = match (prompt.is_empty(), start) {
            (false, _) => (prompt, 0),
            (true, Some(start)) => (vec![start], 0),
            (true, None) => (completion.iter().take(1).copied().collect(), 1.min(completion.len())),
        };
        Ok(Tokens { given, prompt_tokens, completion, unscored })
    }
}

/// A data file that is there.
pub(super) fn is_there(path: &Path) -> Result<&Path> {
    if path.is_file() { Ok(path) } else { Err(Error::Data(format!("there is no file {}; name a data file", path.display()))) }
}

/// No rows are a mistake, not a result.
pub(super) fn some_rows(count: usize, path: &Path) -> Result<()> {
    if count > 0 { Ok(()) } else { Err(Error::Data(format!("{}: no rows; give it rows, or name another file", path.display()))) }
}

/// A row's text in a column.
pub(super) fn text<'a>(row: &'a Row, column: &str, path: &Path) -> Result<&'a str> {
    match row.fields.get(column) {
        Some(serde_json::Value::String(text)) => Ok(text),
        Some(other) => Err(row.wrong(path, format!("\"{column}\" is {}, not a text", read::kind(other)))),
        None => {
            let found = read::names(row.fields.keys());
            Err(row.wrong(path, format!("no column \"{column}\" among {found}; give every row one")))
        }
    }
}

/// Scores rows, writes them, and returns the number of the next one.
fn score(policy: &Policy, rows: &[Tokens], first: usize, device: &Device, output: &mut Output) -> Result<usize> {
    let scored: Vec<Sequence<'_>> = rows
        .iter()
        .filter(|row| row.completion.len() > row.unscored)
        .map(|row| Sequence { prompt: &row.given, completion: &row.completion[row.unscored..] })
        .collect();
    let mut sums = completion_log_probs(&policy.decoder, &scored, device, |_| ()).into_iter();
    for (index, row) in rows.iter().enumerate() {
        let count = row.completion.len() - row.unscored;
        let sum = if count > 0 { sums.next().unwrap_or_default() } else { 0.0 };
        output.row(&Scored {
            row: first + index,
            prompt_tokens: row.prompt_tokens,
            completion_tokens: row.completion.len(),
            logprob_sum: sum,
            logprob_mean: (count > 0).then(|| sum / count as f64),
        })?;
    }
    Ok(first + rows.len())
}
