//! From names in an experiment file to data with digests: the only step before planning that reads files.

use crate::data::reviews;
use crate::error::Result;
use crate::spec::Task;
use crate::store::FileRecord;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A data file. Its digest and its side are part of stage keys, its path is not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFile {
    /// Where it is.
    pub path: PathBuf,
    /// BLAKE3 digest of its bytes.
    pub blake3: String,
    /// Which side of the corpus its name puts it on; without one each row decides.
    pub side: Option<reviews::Split>,
}

/// The corpus of a study.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Corpus {
    /// A built-in world.
    Builtin(String),
    /// Files on this machine.
    Files(Vec<DataFile>),
    /// Names on the hub, which this version cannot fetch.
    Hub(Vec<String>),
}

impl Corpus {
    /// Names that could not be resolved, with what to do about it.
    pub fn unresolved(&self) -> Option<String> {
        let Corpus::Hub(names) = self else { return None };
        Some(format!(
            "{} is on the hub, which this version of dpo-lab cannot read; set a local copy in IMDb format (columns text and label, \
             .jsonl or .csv, also .gz), for example --set 'task.sentiment.corpus=\"data/imdb_*.jsonl.gz\"'",
            names.join(", ")
        ))
    }
}

/// Finds and digests the task's data; patterns are relative to `folder`.
pub fn corpus(task: &Task, folder: &Path) -> Result<Corpus> {
    let Task::Sentiment(task) = task;
    if let [name] = task.corpus.as_slice()
        && let Some(name) = name.strip_prefix("builtin:")
    {
        return Ok(Corpus::Builtin(name.to_owned()));
    }
    let (hub, local): (Vec<String>, Vec<String>) = task.corpus.iter().cloned().partition(|name| name.starts_with("hub:"));
    if !hub.is_empty() {
        return Ok(Corpus::Hub(hub));
    }
    let paths = reviews::expand(&local, folder)?;
    let digest = |path: PathBuf| {
        let (blake3, side) = (FileRecord::of(&path)?.blake3, reviews::Split::of_file(&path));
        Ok(DataFile { blake3, side, path: std::path::absolute(&path).unwrap_or(path) })
    };
    Ok(Corpus::Files(paths.into_iter().map(digest).collect::<Result<_>>()?))
}
