//! `dpo-lab logs`

mod choose;

use super::Results;
use super::look::{Seen, glance, look};
use super::status::studies;
use crate::console::harmless;
use crate::error::{Error, Exit, Result};
use crate::plan::{Saved, SavedStage};
use crate::store::{Key, Store};
use choose::{Choice, choose};
use clap::Args;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::time::Duration;

/// How often `--follow` looks.
const POLL: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
pub(super) struct Logs {
    /// A run's name or its start, or a stage's; STUDY/NAME where several studies have it
    name: String,
    #[command(flatten)]
    results: Results,
    /// Also stages that the run shares with others
    #[arg(long)]
    all: bool,
    /// Only the last lines of each log
    #[arg(short = 'n', long, value_name = "N")]
    lines: Option<usize>,
    /// Go on with what is printed from now on, until nothing of it is left to run or you press Ctrl-C
    #[arg(short, long)]
    follow: bool,
}

impl Logs {
    pub(super) fn run(self) -> Result<Exit> {
        let store = Store::open(&self.results.results)?;
        let found = studies(&self.results, &[])?;
        let (saved, stages) = match choose(&found, &self.name, self.all) {
            Choice::One(saved, stages) => (saved, stages),
            Choice::Several(names) => {
                let list: String = names.iter().map(|name| format!("\n  {name}")).collect();
                return Err(Error::Usage(format!("error: `{}` may be any of these; give one of them:{list}", self.name)));
            }
            Choice::None => {
                let help = "help: dpo-lab status -v lists stages, and runs.csv in a study's folder runs";
                return Err(Error::Usage(format!("error: no run and no stage is called `{}`\n{help}", self.name)));
            }
        };
        if stages.is_empty() {
            let help = "help: --all shows those that it shares with other runs";
            return Err(Error::Usage(format!("error: `{}` has no stages of its own\n{help}", self.name)));
        }
        let mut tails: Vec<Tail> = stages.iter().map(|stage| Tail::new(stage, &store)).collect();
        for tail in &mut tails {
            if let Some(text) = tail.more() {
                say!("==> {} ({})", tail.label, tail.path.display());
                print(&last_lines(&text, self.lines));
            }
        }
        if self.follow {
            follow(saved, &store, &mut tails);
        } else if tails.iter().all(|tail| tail.read.is_none()) {
            return Err(Error::Other(format!("nothing of `{}` has run yet", self.name)));
        }
        Ok(Exit::Done)
    }
}

/// Prints what the logs get, until nothing is left to run of their stages.
fn follow(saved: &Saved, store: &Store, tails: &mut [Tail]) {
    let mut last: Option<usize> = None;
    loop {
        // Looked at before the logs, so that the last words of a stage that ends now are printed.
        let seen = look(saved.clone(), store, |key| glance(store, key));
        for (index, tail) in tails.iter_mut().enumerate() {
            if let Some(text) = tail.more().filter(|text| !text.is_empty()) {
                if last != Some(index) {
                    say!("==> {} ({})", tail.label, tail.path.display());
                }
                last = Some(index);
                print(&text);
            }
        }
        if !is_left(&seen, tails) {
            return;
        }
        std::thread::sleep(POLL);
    }
}

fn is_left(seen: &Seen, tails: &[Tail]) -> bool {
    let ours = |stage: &SavedStage| tails.iter().any(|tail| tail.key == stage.key);
    seen.stages.iter().any(|(stage, doing)| doing.may_change() && ours(stage))
}

/// A log that may grow.
struct Tail {
    key: Key,
    label: String,
    path: PathBuf,
    /// How far it was read; nothing while it is not there.
    read: Option<u64>,
}

impl Tail {
    fn new(stage: &SavedStage, store: &Store) -> Tail {
        Tail { key: stage.key, label: stage.label.clone(), path: store.work(&stage.key).log(), read: None }
    }

    /// What is new in it; nothing while it is not there. A log that is shorter than it was belongs to a new worker.
    fn more(&mut self) -> Option<String> {
        let mut file = File::open(&self.path).ok()?;
        let length = file.metadata().ok()?.len();
        let from = self.read.filter(|read| *read <= length).unwrap_or(0);
        file.seek(SeekFrom::Start(from)).ok()?;
        let mut bytes = Vec::new();
        let count = file.read_to_end(&mut bytes).ok()?;
        self.read = Some(from + count as u64);
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }
}

fn print(text: &str) {
    let mut output = std::io::stdout();
    // A closed standard output is no failure.
    let _ = output.write_all(harmless(text).as_bytes()).and_then(|()| output.flush());
}

/// The last `count` lines, or all; each with its end.
fn last_lines(text: &str, count: Option<usize>) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let first = count.map_or(0, |count| lines.len().saturating_sub(count));
    lines[first..].iter().map(|line| format!("{line}\n")).collect()
}
