//! What was asked, answered and paid: one line of JSON for every request that reached the server, appended at once.
//!
//! It is the cache of verdicts and the account of the budget in one file, so that the two cannot differ. A process that is
//! killed leaves at most one torn line at the end, which is cut off.

use super::settings::Settings;
use crate::error::{Doing, Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often a ledger that another process holds is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// One request that reached the server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// The digest of the question.
    pub question: String,
    /// The answer as it came; its verdict is read anew each time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// Why there is no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    pub input_tokens: u64,
    pub output_tokens: u64,
    /// Whether the tokens are estimates, since the server did not say.
    pub estimated: bool,
    /// In the currency of the prices; absent where they were not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
}

/// Calls and money.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spent {
    /// Requests that reached the server.
    pub calls: u64,
    /// What they cost, in the currency of the prices.
    pub cost: f64,
}

/// What a ledger says.
#[derive(Debug, Default)]
pub(super) struct Contents {
    answers: HashMap<String, Vec<String>>,
    pub spent: Spent,
    /// The bytes of whole lines.
    whole: u64,
}

impl Contents {
    /// Reads a ledger that others may be writing; one that is not there is empty.
    ///
    /// Fails where a whole line is none of ours.
    pub fn read(path: &Path, settings: &Settings) -> Result<Self> {
        let bytes = match fs::read(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Contents::default()),
            bytes => bytes.doing("read", path)?,
        };
        let mut contents = Contents::default();
        for (number, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
            if !line.ends_with(b"\n") {
                break;
            }
            let entry = serde_json::from_slice(line).map_err(|error| {
                let place = format!("{}, line {}", path.display(), number + 1);
                Error::Corrupt(format!("{place} is damaged ({error}): remove that line, and its question is asked again"))
            })?;
            contents.whole += line.len() as u64;
            contents.add(entry, settings);
        }
        Ok(contents)
    }

    /// The answers to a question so far, in the order in which they came.
    pub fn answers(&self, question: &str) -> &[String] {
        self.answers.get(question).map_or(&[], Vec::as_slice)
    }

    fn add(&mut self, entry: Entry, settings: &Settings) {
        self.spent.calls += 1;
        // Lines from before there were prices cost what they would cost now.
        let cost = entry.cost.or_else(|| settings.price(entry.input_tokens, entry.output_tokens));
        self.spent.cost += cost.unwrap_or_default();
        if let Some(answer) = entry.answer {
            self.answers.entry(entry.question).or_default().push(answer);
        }
    }
}

/// A ledger that this process alone may write.
pub(super) struct Ledger {
    file: File,
    path: PathBuf,
    pub contents: Contents,
}

impl Ledger {
    /// Opens a ledger, making it if need be, waits for other processes that hold it, and cuts off a torn last line.
    pub fn open(path: &Path, settings: &Settings, interrupted: &AtomicBool) -> Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).doing("create", folder)?;
        }
        let file = OpenOptions::new().append(true).create(true).open(path).doing("open", path)?;
        let mut told = false;
        // The operating system releases the lock of a process that dies.
        while let Err(error) = file.try_lock() {
            match error {
                TryLockError::WouldBlock if interrupted.load(Ordering::SeqCst) => return Err(Error::Interrupted),
                TryLockError::WouldBlock => std::thread::sleep(LOOK_AGAIN),
                TryLockError::Error(source) => {
                    return Err(Error::Io { what: format!("cannot lock {}", path.display()), source });
                }
            }
            if !told {
                tell!("another process is asking this judge; waiting for it");
                told = true;
            }
        }
        let contents = Contents::read(path, settings)?;
        file.set_len(contents.whole).doing("cut the torn end of", path)?;
        Ok(Ledger { file, path: path.to_owned(), contents })
    }

    /// Adds a line, whole or not at all.
    pub fn append(&mut self, entry: Entry, settings: &Settings) -> Result<()> {
        let mut line = serde_json::to_vec(&entry).map_err(Error::other)?;
        line.push(b'\n');
        if let Err(source) = self.file.write_all(&line) {
            // A disk that is full may have taken a part, which later lines must not follow.
            let _ = self.file.set_len(self.contents.whole);
            return Err(Error::Io { what: format!("cannot write {}", self.path.display()), source });
        }
        self.contents.whole += line.len() as u64;
        self.contents.add(entry, settings);
        Ok(())
    }

    /// Makes sure that the lines outlive a power cut. They outlive the process as they are.
    pub fn sync(&self) -> Result<()> {
        self.file.sync_data().doing("write", &self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn entry(question: &str, answer: &str) -> Entry {
        let (question, answer) = (question.to_owned(), Some(answer.to_owned()));
        Entry { question, answer, failure: None, input_tokens: 1000, output_tokens: 10, estimated: false, cost: Some(0.5) }
    }

    fn open(path: &Path) -> Ledger {
        Ledger::open(path, &Settings::default(), &AtomicBool::new(false)).unwrap()
    }

    #[test]
    fn lines_are_there_at_once_and_come_back() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("deep/ledger.jsonl");
        let mut ledger = open(&path);
        for answer in ["one\nA", "two"] {
            ledger.append(entry("q", answer), &Settings::default()).unwrap();
        }
        let failed = Entry { answer: None, failure: Some("HTTP 500".into()), cost: Some(0.0), ..entry("r", "") };
        ledger.append(failed, &Settings::default()).unwrap();
        let read = Contents::read(&path, &Settings::default()).unwrap();
        assert_eq!(read.answers("q"), ["one\nA", "two"]);
        assert!(read.answers("r").is_empty());
        assert_eq!(read.spent, Spent { calls: 3, cost: 1.0 });
        assert_eq!(read.spent, ledger.contents.spent);
    }

    #[test]
    fn a_torn_last_line_is_cut_off_and_the_next_one_is_whole() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("ledger.jsonl");
        open(&path).append(entry("q", "A"), &Settings::default()).unwrap();
        let whole = fs::read(&path).unwrap();
        for torn in [&b"{\"question\":\"r\",\"ans"[..], b"{", b"\xff"] {
            fs::write(&path, [&whole, torn].concat()).unwrap();
            assert_eq!(Contents::read(&path, &Settings::default()).unwrap().spent.calls, 1);
            open(&path).append(entry("r", "B"), &Settings::default()).unwrap();
            let read = Contents::read(&path, &Settings::default()).unwrap();
            assert_eq!((read.answers("q"), read.answers("r")), (&["A".to_owned()][..], &["B".to_owned()][..]));
        }
    }

    #[test]
    fn a_damaged_line_that_others_follow_is_named() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("ledger.jsonl");
        open(&path).append(entry("q", "A"), &Settings::default()).unwrap();
        fs::write(&path, [&fs::read(&path).unwrap()[..], b"{}\n", &fs::read(&path).unwrap()].concat()).unwrap();
        let error = Contents::read(&path, &Settings::default()).unwrap_err().to_string();
        assert!(error.contains("ledger.jsonl, line 2 is damaged") && error.contains("remove that line"), "{error}");
    }

    #[test]
    fn lines_without_a_cost_are_counted_at_the_prices_of_today() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("ledger.jsonl");
        open(&path).append(Entry { cost: None, ..entry("q", "A") }, &Settings::default()).unwrap();
        let prices =
            Settings { price_input_per_million: Some(2.0), price_output_per_million: Some(100.0), ..Settings::default() };
        assert_eq!(Contents::read(&path, &prices).unwrap().spent.cost, 0.003);
    }

    #[test]
    fn a_second_process_waits_and_can_be_interrupted() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("ledger.jsonl");
        let held = open(&path);
        let interrupted = AtomicBool::new(true);
        assert!(matches!(Ledger::open(&path, &Settings::default(), &interrupted), Err(Error::Interrupted)));
        let waiting = std::thread::spawn({
            let path = path.clone();
            move || open(&path).contents.spent.calls
        });
        let mut held = held;
        held.append(entry("q", "A"), &Settings::default()).unwrap();
        drop(held);
        assert_eq!(waiting.join().unwrap(), 1, "what the first one paid for is seen by the second");
    }
}
