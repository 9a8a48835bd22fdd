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

/// How a stage's worker stands. A worker that is killed cannot change it: one that says it runs and holds no lock is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It works, or was killed while it did.
    #[default]
    Running,
    /// Its artifact is published.
    Done,
    /// It could not; the message says why.
    Failed,
    /// It was asked to stop, and has kept a checkpoint where it can.
    Stopped,
}

/// Whose process works on a stage.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worker {
    /// Name of the host.
    pub host: String,
    /// Process on that host.
    pub pid: u32,
}

impl Worker {
    /// This process.
    pub fn this() -> Self {
        Worker { host: gethostname::gethostname().to_string_lossy().into_owned(), pid: std::process::id() }
    }
}

/// How far a stage is; written by its worker a few times a second.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// How the worker stands.
    #[serde(default)]
    pub standing: Standing,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Who it is.
    #[serde(default)]
    pub worker: Worker,
    /// Seconds since 1970 when the worker began.
    #[serde(default)]
    pub began: f64,
    /// Seconds since 1970 when this was written.
    #[serde(default)]
    pub updated: f64,
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

    /// Says how far the stage is, and that this process works on it. Failing to is harmless.
    pub fn report(&self, status: &Status) {
        let status = Status { worker: Worker::this(), updated: super::now(), ..status.clone() };
        if let Ok(json) = serde_json::to_vec(&status) {
            let _ = write_atomically(&self.path.join("status.json"), &json);
        }
    }

    /// Says how the stage ended, for who does not wait for its process: done, or failed with this message.
    pub fn finish(&self, failure: Option<String>) {
        let standing = if failure.is_some() { Standing::Failed } else { Standing::Done };
        self.report(&Status { standing, message: failure, ..self.status().unwrap_or_default() });
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
