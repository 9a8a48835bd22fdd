//! The mutable half of the store: what a stage is told, how far it is, what it printed, and who works on it.

use super::lock::{Lock, Worker};
use super::write_atomically;
use crate::error::{Doing, Error, Result};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often a stage that another process has is looked at.
const LOOK: Duration = Duration::from_millis(200);

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

    /// Where the stage keeps checkpoints of what it has not finished.
    pub fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoint")
    }

    /// Removes them, once the artifact is there. Failing to is harmless.
    pub fn forget_checkpoints(&self) {
        let _ = fs::remove_dir_all(self.checkpoints());
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

    /// Says how the stage ended, for who does not wait for its process: done, or failed with this error.
    pub fn finish(&self, failure: Option<&Error>) {
        let standing = match failure {
            None => Standing::Done,
            Some(Error::Interrupted) => Standing::Stopped,
            Some(_) => Standing::Failed,
        };
        self.report(&Status { standing, message: failure.map(ToString::to_string), ..self.status().unwrap_or_default() });
    }

    /// How far the stage is.
    pub fn status(&self) -> Option<Status> {
        serde_json::from_slice(&fs::read(self.path.join("status.json")).ok()?).ok()
    }

    /// Removes what an earlier attempt said and printed, so that nobody takes it for the next one's. Checkpoints stay.
    pub fn forget(&self) -> Result<()> {
        for path in [self.path.join("status.json"), self.log()] {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error).doing("remove", &path),
                _ => {}
            }
        }
        Ok(())
    }

    /// Takes the stage for this process, waiting for another that has it; fails with [`Error::Interrupted`] when `stop` is set
    /// meanwhile.
    pub fn lock(&self, stop: &AtomicBool, waiting: impl FnOnce()) -> Result<Lock> {
        let mut waiting = Some(waiting);
        loop {
            if let Some(lock) = Lock::take(&self.lock_path())? {
                return Ok(lock);
            }
            if stop.load(Ordering::SeqCst) {
                return Err(Error::Interrupted);
            }
            if let Some(waiting) = waiting.take() {
                waiting();
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Whether a process that lives works on the stage, here or on another host.
    pub fn is_held(&self) -> bool {
        Lock::is_held(&self.lock_path())
    }

    fn lock_path(&self) -> PathBuf {
        self.path.join("lock")
    }

    /// The last lines of the log, for messages.
    pub fn last_lines(&self, count: usize) -> Vec<String> {
        last_lines(&self.log(), count)
    }
}

fn last_lines(path: &Path, count: usize) -> Vec<String> {
    let text = fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(count)..].iter().map(|line| (*line).to_owned()).collect()
}
