//! Models and data sets of the Hugging Face hub: `hub:OWNER/NAME@REVISION`.
//!
//! Files are kept in the cache that all tools of the hub share (`models--OWNER--NAME/{blobs,refs,snapshots}`), so that nothing
//! is downloaded twice. The addresses and the layout of the cache come from `hf-hub`.

mod choose;
mod client;
mod explain;
mod name;
mod repository;
mod settings;
#[cfg(test)]
mod tests;
mod transfer;

use std::path::PathBuf;

pub use choose::split_of;
pub use name::{Name, PREFIX};

use crate::error::{Error, Result};
use choose::{INDEX, WEIGHTS};
use client::Client;
use repository::{Listing, Repository, files_below};
use settings::Settings;

/// The branch on which the hub keeps its own Parquet copy of a data set.
const CONVERTED: &str = "refs/convert/parquet";

/// How far the download of one file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The path of the file in its repository.
    pub file: String,
    /// The bytes on this machine, also those of an earlier call that broke off.
    pub done: u64,
    /// The bytes of the whole file, if the hub says so.
    pub total: Option<u64>,
}

/// The files of one commit in the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The folder that has the files under their own names.
    pub folder: PathBuf,
    /// The commit, which names exactly these files for ever.
    pub revision: String,
}

/// Access to the hub and to the cache of its files.
pub struct Hub {
    client: Client,
    cache: PathBuf,
    offline: bool,
}

impl Hub {
    /// The hub and the cache that HF_ENDPOINT, HF_TOKEN, HF_HOME and HF_HUB_CACHE say. With `offline`, or with
    /// HF_HUB_OFFLINE=1, only the cache is used and no request is made.
    pub fn new(offline: bool) -> Result<Hub> {
        Ok(Hub::with(Settings::read(offline, |name| std::env::var_os(name))?))
    }

    fn with(settings: Settings) -> Hub {
        Hub { client: Client::new(&settings), offline: settings.offline, cache: settings.cache }
    }

    /// A model: its weights as safetensors, its configuration and its tokenizer. What is in the cache is not downloaded again;
    /// what is not reports its progress.
    pub fn model(&self, name: &Name, progress: &mut dyn FnMut(Progress)) -> Result<Snapshot> {
        let repository = Repository::new(self, name, true, name.revision())?;
        if self.offline {
            return cached_model(&repository);
        }
        let Listing { commit, files } = repository.list()?;
        let label = repository.label();
        let weights = choose::weights(&files, &label)?;
        let mut fetched = Vec::new();
        let mut get = |file: &str| -> Result<PathBuf> {
            let path = repository.get(&commit, file, progress)?;
            fetched.push((file.to_owned(), path.clone()));
            Ok(path)
        };
        for file in choose::SMALL.into_iter().filter(|small| files.iter().any(|file| file == small)) {
            get(file)?;
        }
        let weights_path = get(weights)?;
        if weights == INDEX {
            let shards = choose::shards(&weights_path, &label)?;
            if let Some(missing) = shards.iter().find(|shard| !files.contains(shard)) {
                return Err(Error::Data(format!("{label} has no {missing}, which its {INDEX} names: choose another revision")));
            }
            for shard in &shards {
                get(shard)?;
            }
        }
        repository.link(&commit, &fetched)
    }

    /// A data set: its snapshot, and its data files in it, sorted. Parquet if it has any, or else JSON, JSON Lines and CSV, also
    /// packed (`.gz`, `.zst`); where the branch `main` has neither, the copy that the hub itself converts to Parquet.
    /// [`split_of`] says which split a file belongs to.
    pub fn dataset(&self, name: &Name, progress: &mut dyn FnMut(Progress)) -> Result<(Snapshot, Vec<PathBuf>)> {
        let mut repository = Repository::new(self, name, false, name.revision())?;
        // The hub converts only what is on the branch `main`.
        let may_convert = name.revision() == "main";
        if self.offline {
            let found = cached_dataset(&repository);
            if !may_convert || found.is_ok() {
                return found;
            }
            let converted = cached_dataset(&Repository::new(self, name, false, CONVERTED)?);
            // The first error is about the revision that was asked for.
            return converted.or(found);
        }
        let mut listing = repository.list()?;
        let mut data = choose::data(&listing.files);
        if data.is_empty() && may_convert {
            let own = repository.label();
            repository = Repository::new(self, name, false, CONVERTED)?;
            // A data set that the hub did not convert has no such branch; any other failure is one.
            listing = match repository.list() {
                Err(Error::Usage(_)) => return Err(no_data(&own, " and the hub has no Parquet copy of it")),
                listing => listing?,
            };
            data = choose::data(&listing.files);
        }
        if data.is_empty() {
            return Err(no_data(&repository.label(), ""));
        }
        let mut fetched = Vec::new();
        for file in &data {
            fetched.push((file.clone(), repository.get(&listing.commit, file, progress)?));
        }
        let snapshot = repository.link(&listing.commit, &fetched)?;
        let paths = data.iter().map(|file| snapshot.folder.join(file)).collect();
        Ok((snapshot, paths))
    }
}

fn no_data(label: &str, more: &str) -> Error {
    Error::Data(format!(
        "{label} has no Parquet, JSON, JSON Lines or CSV files{more}: choose another data set, or give local files"
    ))
}

/// A model without the hub. Its small files cannot be counted, since only the hub knows which there are; its weights can.
fn cached_model(repository: &Repository<'_>) -> Result<Snapshot> {
    let snapshot = repository.cached().ok_or_else(|| repository.missing("it is"))?;
    let has = |file: &str| snapshot.folder.join(file).is_file();
    if has(WEIGHTS) {
        return Ok(snapshot);
    }
    if !has(INDEX) {
        return Err(repository.missing("its safetensors weights are"));
    }
    let shards = choose::shards(&snapshot.folder.join(INDEX), &repository.label())?;
    match shards.iter().find(|shard| !has(shard)) {
        Some(missing) => Err(repository.missing(&format!("its shard {missing} is"))),
        None => Ok(snapshot),
    }
}

/// A data set without the hub: what the cache has of it, if no numbered set of files has a gap.
fn cached_dataset(repository: &Repository<'_>) -> Result<(Snapshot, Vec<PathBuf>)> {
    let snapshot = repository.cached().ok_or_else(|| repository.missing("it is"))?;
    let data = choose::data(&files_below(&snapshot.folder)?);
    if data.is_empty() {
        return Err(repository.missing("its data files are"));
    }
    if let Some(file) = choose::broken_set(&data) {
        return Err(repository.missing(&format!("the whole numbered set of {file} is")));
    }
    let paths = data.iter().map(|file| snapshot.folder.join(file)).collect();
    Ok((snapshot, paths))
}
