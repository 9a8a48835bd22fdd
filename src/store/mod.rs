//! Finished work, kept by key: `.store/ab/KEY/` is published whole or absent; `.store/work/KEY/` is where it is made.
//!
//! Every artifact has a manifest with the digest of each of its files. A stat cache makes the common question (is it
//! there, unchanged?) cheap: a file whose size and time are those of the last full check is taken as checked.

mod draft;
mod garbage;
mod key;
mod lock;
mod manifest;
mod work;

pub use draft::Draft;
pub use garbage::{Garbage, size};
pub use key::Key;
pub use lock::{Lock, Worker};
pub use manifest::{FileRecord, Manifest, Record};
pub use work::{Standing, Status, WorkFolder};

use crate::build_info;
use crate::error::{Doing, Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The store's format; a store with a greater number was written by a newer dpo-lab.
const FORMAT: u64 = 1;
/// The manifest of every artifact.
const MANIFEST: &str = "artifact.json";

/// Whether an artifact can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It is there and as published.
    Present,
    /// It was never made, or was moved aside.
    Absent,
    /// It is there and not what was published; the reason.
    Corrupt(String),
}

/// A folder of artifacts.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

/// Size and time of a file when it was last checked in full.
#[derive(Serialize, Deserialize, PartialEq, Eq)]
struct Seen {
    bytes: u64,
    modified_ns: u128,
}

impl Store {
    /// Opens `RESULTS/.store`, making it if need be. Refuses a store that a newer dpo-lab wrote.
    pub fn open(results: &Path) -> Result<Self> {
        let root = results.join(".store");
        let unusable =
            |error: Error| Error::Usage(format!("error: {error}\nhelp: give a folder that can be written with --results DIR"));
        fs::create_dir_all(root.join("work")).doing("create", &root).map_err(unusable)?;
        let path = root.join("FORMAT");
        match fs::read_to_string(&path) {
            Ok(text) => match text.trim().parse::<u64>() {
                Ok(found) if found <= FORMAT => {}
                Ok(found) => {
                    return Err(Error::Usage(format!(
                        "error: {} has format {found}, and this dpo-lab knows up to {FORMAT}\nhelp: use the newer dpo-lab that wrote it, \
                         or another --results DIR",
                        root.display()
                    )));
                }
                Err(_) => {
                    return Err(Error::Usage(format!(
                        "error: {} does not hold a number\nhelp: if this is a dpo-lab store, write {FORMAT} into it; else use another --results DIR",
                        path.display()
                    )));
                }
            },
            Err(_) => write_atomically(&path, format!("{FORMAT}\n").as_bytes()).map_err(unusable)?,
        }
        Ok(Store { root })
    }

    /// Where an artifact is, or would be.
    pub fn path(&self, key: &Key) -> PathBuf {
        let key = key.to_string();
        self.root.join(&key[..2]).join(&key)
    }

    /// Where judges keep the answers that cost money: no artifact depends on them alone, and nothing removes them.
    pub fn judges(&self) -> PathBuf {
        self.root.join("judges")
    }

    /// The Cargo.lock of this digest, with which some of the artifacts' dpo-lab was built.
    pub fn lock_file(&self, digest: &str) -> PathBuf {
        self.root.join("locks").join(format!("{digest}.toml"))
    }

    /// Keeps the Cargo.lock of this build for those who read its artifacts; returns its digest. Failing to keep it is harmless.
    pub fn keep_lock(&self) -> String {
        let digest = build_info::lock_digest();
        let path = self.lock_file(&digest);
        if !path.exists() {
            let _ = fs::create_dir_all(self.root.join("locks"));
            let _ = write_atomically(&path, build_info::LOCK.as_bytes());
        }
        digest
    }

    /// The folder where an artifact is made.
    pub fn work(&self, key: &Key) -> WorkFolder {
        WorkFolder::new(self.works().join(key.to_string()))
    }

    /// The folder of all of these.
    pub fn works(&self) -> PathBuf {
        self.root.join("work")
    }

    /// Stages that have kept a checkpoint of what they have not finished.
    pub fn begun(&self) -> Vec<Key> {
        let entries = fs::read_dir(self.works()).into_iter().flatten().flatten();
        let keys = entries.filter_map(|entry| Key::parse(entry.file_name().to_str()?).ok());
        keys.filter(|key| self.work(key).checkpoints().is_dir()).collect()
    }

    /// Whether an artifact can be used; unchanged files are not read.
    pub fn state(&self, key: &Key) -> State {
        let folder = self.path(key);
        if !folder.is_dir() {
            return State::Absent;
        }
        match self.seen(&folder) {
            Ok(now) if self.remembered(key).is_some_and(|before| before == now) => State::Present,
            _ => self.verify(key),
        }
    }

    /// Reads every file of an artifact and compares digests.
    pub fn verify(&self, key: &Key) -> State {
        let folder = self.path(key);
        if !folder.is_dir() {
            return State::Absent;
        }
        match Manifest::read(&folder.join(MANIFEST)).and_then(|manifest| manifest.check(&folder)) {
            Ok(()) => {
                self.remember(key);
                State::Present
            }
            Err(error) => State::Corrupt(error.to_string()),
        }
    }

    /// An artifact's folder and manifest, every digest checked.
    pub fn open_artifact(&self, key: &Key) -> Result<(PathBuf, Manifest)> {
        match self.verify(key) {
            State::Present => {
                let folder = self.path(key);
                let manifest = Manifest::read(&folder.join(MANIFEST))?;
                Ok((folder, manifest))
            }
            State::Absent => Err(Error::Corrupt(format!("artifact {} is not in the store", key.short()))),
            State::Corrupt(why) => Err(Error::Corrupt(why)),
        }
    }

    /// An artifact's manifest, for reports.
    pub fn manifest(&self, key: &Key) -> Option<Manifest> {
        Manifest::read(&self.path(key).join(MANIFEST)).ok()
    }

    /// Moves an artifact aside, never deleting it; returns where to.
    pub fn set_aside(&self, key: &Key) -> Result<PathBuf> {
        let aside = self.root.join("aside");
        fs::create_dir_all(&aside).doing("create", &aside)?;
        let mut target = aside.join(key.to_string());
        let mut number = 1;
        while target.exists() {
            target = aside.join(format!("{key}.{number}"));
            number += 1;
        }
        let path = self.path(key);
        fs::rename(&path, &target).doing("move aside", &path)?;
        Ok(target)
    }

    /// Starts an artifact in a temporary folder beside the finished ones.
    pub fn draft(&self, key: &Key) -> Result<Draft> {
        Draft::begin(self.clone(), *key, &self.root.join("drafts"))
    }

    /// Keys of everything that is published.
    pub fn keys(&self) -> Vec<Key> {
        let entries = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut keys: Vec<Key> = entries(&self.root)
            .filter(|path| path.is_dir() && path.file_name().is_some_and(|name| name.len() == 2))
            .flat_map(|path| entries(&path).collect::<Vec<_>>())
            .filter_map(|path| Key::parse(path.file_name()?.to_str()?).ok())
            .collect();
        keys.sort();
        keys
    }

    fn stat_path(&self, key: &Key) -> PathBuf {
        self.root.join("stat").join(format!("{key}.json"))
    }

    fn remembered(&self, key: &Key) -> Option<BTreeMap<String, Seen>> {
        serde_json::from_slice(&fs::read(self.stat_path(key)).ok()?).ok()
    }

    /// Writes the stat cache; failing to is harmless, the next question only takes longer.
    fn remember(&self, key: &Key) {
        let Ok(seen) = self.seen(&self.path(key)) else { return };
        let path = self.stat_path(key);
        let _ = fs::create_dir_all(self.root.join("stat"));
        if let Ok(json) = serde_json::to_vec(&seen) {
            let _ = write_atomically(&path, &json);
        }
    }

    /// Size and time of every file below a folder.
    fn seen(&self, folder: &Path) -> std::io::Result<BTreeMap<String, Seen>> {
        let mut seen = BTreeMap::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(current) = folders.pop() {
            for entry in fs::read_dir(&current)? {
                let (path, metadata) = entry.and_then(|entry| Ok((entry.path(), entry.metadata()?)))?;
                if metadata.is_dir() {
                    folders.push(path);
                } else {
                    let since = metadata.modified()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
                    let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned();
                    seen.insert(name, Seen { bytes: metadata.len(), modified_ns: since.as_nanos() });
                }
            }
        }
        Ok(seen)
    }
}

/// Seconds since 1970.
pub fn now() -> f64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// Writes a file so that a reader sees the old content or the new, never a part.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    let written = fs::write(&temporary, bytes).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written.doing("write", path)
}

#[cfg(test)]
mod tests;
