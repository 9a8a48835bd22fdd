//! `dpo-lab status`

mod lines;
mod screen;

use super::Results;
use super::look::{Doing, Seen, glance, look, seconds_left};
use super::study::read_saved;
use crate::console::show;
use crate::error::{Error, Exit, Result};
use crate::exec::slurm;
use crate::plan::Saved;
use crate::store::{Key, State, Store, now};
use clap::Args;
use serde_json::{Value, json};

#[derive(Debug, Args)]
pub(super) struct Status {
    /// Studies; all of them unless given
    studies: Vec<String>,
    #[command(flatten)]
    results: Results,
    /// Read every artifact in full and compare digests
    #[arg(long)]
    verify: bool,
    /// Show it on the whole terminal, anew every second, until nothing is left to run, nobody has run anything for a minute, or you press Ctrl-C
    #[arg(long, conflicts_with_all = ["verify", "json", "verbose"])]
    watch: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Show stages that are done as well
    #[arg(short, long)]
    verbose: bool,
}

impl Status {
    pub(super) fn run(self) -> Result<Exit> {
        let store = Store::open(&self.results.results)?;
        if self.watch && screen::is_there() {
            return self.watch(&store);
        }
        let seen = self.look(&store)?;
        if self.watch {
            tell!("--watch needs a terminal; this is how things are now");
        }
        if self.json {
            say!("{:#}", Value::Array(seen.iter().map(|seen| as_json(seen, self.verbose)).collect()));
        } else {
            if seen.is_empty() {
                let folder = self.results.results.display();
                say!("no studies in {folder} yet; start one with: dpo-lab run experiments/sentiment.toml");
            }
            for line in seen.iter().flat_map(|seen| lines::lines(seen, now(), self.verbose)) {
                show(&screen::coloured(&line));
            }
        }
        let damaged = seen.iter().any(|seen| seen.count("corrupt") > 0);
        Ok(if damaged { Exit::Failed } else { Exit::Done })
    }

    /// What there is now. Artifacts whose size and time are those of the last check count as checked.
    fn look(&self, store: &Store) -> Result<Vec<Seen>> {
        let state = |key: &Key| if self.verify { store.verify(key) } else { store.state(key) };
        let queued = |seen: Seen| {
            // A cluster that does not answer has nothing to say; the stages' own files have.
            let queue = slurm::queue(&self.results.results.join(&seen.study)).unwrap_or_default();
            seen.queued(&queue)
        };
        Ok(self.look_with(store, state)?.into_iter().map(queued).collect())
    }

    fn look_with(&self, store: &Store, state: impl Fn(&Key) -> State) -> Result<Vec<Seen>> {
        let studies = studies(&self.results, &self.studies)?;
        Ok(studies.into_iter().map(|saved| look(saved, store, &state)).collect())
    }

    fn watch(&self, store: &Store) -> Result<Exit> {
        let last = screen::watch(|| self.look_with(store, |key| glance(store, key)))?;
        for line in last.iter().flat_map(|seen| lines::screen(std::slice::from_ref(seen), now(), usize::MAX, 8)) {
            show(&screen::coloured(&line));
        }
        Ok(Exit::Done)
    }
}

/// A study as JSON: every stage that is not done, or every stage.
fn as_json(seen: &Seen, all: bool) -> Value {
    let shown = seen.stages.iter().filter(|(_, doing)| all || *doing != Doing::Done);
    let stages: Vec<Value> = shown
        .map(|(stage, doing)| {
            let mut value = json!({ "stage": stage.label, "kind": stage.kind, "key": stage.key, "state": doing.name() });
            let (status, message, log) = match doing {
                Doing::Running(status) | Doing::Stopped(status) => (Some(status), None, None),
                Doing::Gone(status, log) => (Some(status), None, Some(log)),
                Doing::Failed(message, log) => (None, Some(message), Some(log)),
                Doing::Corrupt(why) | Doing::Queued(why) => (None, Some(why), None),
                Doing::Done | Doing::Waiting | Doing::Blocked => (None, None, None),
            };
            if let Some(status) = status {
                value["status"] = json!(status);
                value["seconds_left"] = json!(seconds_left(stage, status, now()).filter(|_| matches!(doing, Doing::Running(_))));
            }
            for (key, field) in [("message", message.map(|text| json!(text))), ("log", log.map(|lines| json!(lines)))] {
                if let Some(field) = field {
                    value[key] = field;
                }
            }
            value
        })
        .collect();
    let done = seen.count("done");
    json!({ "study": seen.study, "runs": seen.runs, "total": seen.stages.len(), "done": done, "stages": stages })
}

/// The last plans of the named studies, or of all.
pub(super) fn studies(results: &Results, names: &[String]) -> Result<Vec<Saved>> {
    if names.is_empty() {
        let folders = std::fs::read_dir(&results.results).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut found: Vec<_> = folders.filter_map(|folder| read_saved(&folder)).collect();
        found.sort_by(|a, b| a.study.cmp(&b.study));
        return Ok(found);
    }
    let one = |name: &String| {
        read_saved(&results.results.join(name)).ok_or_else(|| {
            Error::Usage(format!(
                "error: there is no study `{name}` in {}\nhelp: dpo-lab status lists them",
                results.results.display()
            ))
        })
    };
    names.iter().map(one).collect()
}
