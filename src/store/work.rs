//! The mutable half of the store: what a stage is told, how far it is, what it printed, and who works on it.

use super::write_atomically;
use crate::error::{Doing, Error, Result};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

/// `.store/work/KEY/`
pub struct WorkFolder {
    path: PathBuf,
}

/// How far a stage is; written by its worker a few times a second.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Steps, prompts or completions done.
    pub done: u64,
    /// Of how many.
    pub total: u64,
    /// The last loss, for a stage that trains.
    pub loss: Option<f64>,
    /// Tokens a second, for a stage that trains.
    pub tokens_per_s: Option<f64>,
    /// What it is doing, in a word or two.
    pub doing: String,
}

impl WorkFolder {
    pub(super) fn new(path: PathBuf) -> Self {
        WorkFolder { path }
    }

    /// Makes the folder.
    pub fn create(&self) -> Result<()> {
        fs::create_dir_all(&self.path).doing("create", &self.path)
    }

    /// What the worker printed.
    pub fn log(&self) -> PathBuf {
        self.path.join("log")
    }

    /// The frozen stage that the worker reads.
    pub fn stage(&self) -> PathBuf {
        self.path.join("stage.json")
    }

    /// Says how far the stage is. Failing to is harmless.
    pub fn report(&self, status: &Status) {
        if let Ok(json) = serde_json::to_vec(status) {
            let _ = write_atomically(&self.path.join("status.json"), &json);
        }
    }

    /// How far the stage is.
    pub fn status(&self) -> Option<Status> {
        serde_json::from_slice(&fs::read(self.path.join("status.json")).ok()?).ok()
    }

    /// Takes the stage for this process, waiting for another that has it. The operating system releases the lock of a
    /// process that dies.
    pub fn lock(&self, waiting: impl FnOnce()) -> Result<Lock> {
        let path = self.path.join("lock");
        let file = File::create(&path).doing("open", &path)?;
        match file.try_lock() {
            Ok(()) => Ok(Lock(file)),
            Err(TryLockError::WouldBlock) => {
                waiting();
                file.lock().doing("lock", &path)?;
                Ok(Lock(file))
            }
            Err(TryLockError::Error(source)) => Err(Error::Io { what: format!("cannot lock {}", path.display()), source }),
        }
    }

    /// The last lines of the log, for messages.
    pub fn last_lines(&self, count: usize) -> Vec<String> {
        last_lines(&self.log(), count)
    }
}

/// A stage held by this process, until dropped.
pub struct Lock(#[expect(dead_code, reason = "held for its lock")] File);

fn last_lines(path: &Path, count: usize) -> Vec<String> {
    let text = fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(count)..].iter().map(|line| (*line).to_owned()).collect()
}
