//! The files that stages hand to each other.

use crate::error::{Doing, Error, Result};
use crate::models::generate::Completion;
use crate::train::Sequence;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::Path;

/// Completions of prompts, in order of prompt and sample.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Completions {
    /// Prompt of each completion.
    pub prompt: Vec<usize>,
    /// Tokens of each, its end token included.
    pub tokens: Vec<Vec<u32>>,
    /// Whether the policy ended it; otherwise it was cut.
    pub ended: Vec<bool>,
}

impl Completions {
    /// From what was drawn after each prompt.
    pub fn new(drawn: Vec<Vec<Completion>>) -> Self {
        let mut completions = Completions::default();
        for (prompt, drawn) in drawn.into_iter().enumerate() {
            for completion in drawn {
                completions.prompt.push(prompt);
                completions.tokens.push(completion.tokens);
                completions.ended.push(completion.ended);
            }
        }
        completions
    }

    /// completions.json of an artifact.
    pub fn read(folder: &Path) -> Result<Self> {
        read_json(&folder.join("completions.json"))
    }

    /// Writes completions.json.
    pub fn write(&self, folder: &Path) -> Result<()> {
        write_json(&folder.join("completions.json"), self)
    }

    /// For every prompt, the first completion of the next one after it.
    pub fn mismatched<'a>(&'a self, prompts: &'a [Vec<u32>]) -> Result<Vec<Sequence<'a>>> {
        let first = |prompt: usize| {
            let next = (prompt + 1) % prompts.len();
            // Completions are in the order of their prompts.
            let at = self.prompt.partition_point(|of| *of < next);
            self.tokens.get(at).or_else(|| self.tokens.first())
        };
        let sequence = |(index, prompt): (usize, &'a Vec<u32>)| {
            let completion = first(index).filter(|_| prompts.len() > 1);
            let completion = completion.ok_or_else(|| {
                Error::Data("completions of other prompts need at least two prompts: give more prompts".to_owned())
            })?;
            Ok(Sequence { prompt, completion })
        };
        prompts.iter().enumerate().map(sequence).collect()
    }

    /// Every completion with its prompt.
    pub fn sequences<'a>(&'a self, prompts: &'a [Vec<u32>]) -> Vec<Sequence<'a>> {
        self.prompt
            .iter()
            .zip(&self.tokens)
            .map(|(prompt, completion)| Sequence { prompt: &prompts[*prompt], completion })
            .collect()
    }
}

/// Rewards of completions, and labelled pairs of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Labelled {
    /// True reward of every completion.
    pub rewards: Vec<f64>,
    /// (chosen, rejected) completions, sorted by prompt.
    pub pairs: Vec<(usize, usize)>,
    /// Completions that were judged by themselves, and whether they are desirable.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub judged: Vec<(usize, bool)>,
    /// Weight of every pair, where they are not all alike; they sum to 1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weights: Vec<f64>,
    /// Pairs left out because their rewards are equal (hard labels have nothing to say) or their completions are.
    pub ties: usize,
}

impl Labelled {
    /// The better completion of every pair, and every desirable one.
    pub fn chosen(&self) -> impl Iterator<Item = usize> {
        let desirable = self.judged.iter().filter(|(_, desirable)| *desirable).map(|(completion, _)| *completion);
        self.pairs.iter().map(|(chosen, _)| *chosen).chain(desirable)
    }
}

/// Writes a value as JSON.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let json = serde_json::to_vec(value).map_err(Error::other)?;
    std::fs::write(path, json).doing("write", path)
}

/// Reads a value from JSON.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = std::fs::read(path).doing("read", path)?;
    serde_json::from_slice(&bytes).map_err(|error| Error::Corrupt(format!("{} is damaged: {error}", path.display())))
}

/// Writes rows as CSV with a header.
pub fn write_csv<T: Serialize>(path: &Path, rows: &[T]) -> Result<()> {
    let bytes = csv_bytes(rows)?;
    let mut file = std::fs::File::create(path).doing("write", path)?;
    file.write_all(&bytes).doing("write", path)
}

/// Rows as CSV with a header; no rows give an empty file.
pub fn csv_bytes<T: Serialize>(rows: &[T]) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.serialize(row).map_err(Error::other)?;
    }
    writer.into_inner().map_err(Error::other)
}

/// Reads rows from CSV.
pub fn read_csv<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    let damaged = |error: csv::Error| Error::Corrupt(format!("{} is damaged: {error}", path.display()));
    csv::Reader::from_path(path).map_err(damaged)?.deserialize().map(|row| row.map_err(damaged)).collect()
}
