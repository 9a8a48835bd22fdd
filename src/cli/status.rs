//! `dpo-lab status`

use super::Results;
use super::study::read_saved;
use crate::error::{Error, Exit, Result};
use crate::store::{State, Store};
use clap::Args;

#[derive(Debug, Args)]
pub(super) struct Status {
    /// Studies; all of them unless given
    studies: Vec<String>,
    #[command(flatten)]
    results: Results,
    /// Read every artifact in full and compare digests
    #[arg(long)]
    verify: bool,
}

impl Status {
    pub(super) fn run(self) -> Result<Exit> {
        let store = Store::open(&self.results.results)?;
        let mut damaged = false;
        let studies = studies(&self.results, &self.studies)?;
        if studies.is_empty() {
            say!("no studies in {} yet; start one with: dpo-lab run experiments/sentiment.toml", self.results.results.display());
        }
        for saved in studies {
            let state = |key| if self.verify { store.verify(key) } else { store.state(key) };
            let states: Vec<State> = saved.stages.iter().map(|stage| state(&stage.key)).collect();
            let done = states.iter().filter(|state| **state == State::Present).count();
            say!("{}: {} runs, {done} of {} stages done", saved.study, saved.runs.len(), states.len());
            for (stage, state) in saved.stages.iter().zip(&states) {
                let work = store.work(&stage.key);
                match state {
                    State::Present => {}
                    State::Corrupt(why) => {
                        damaged = true;
                        say!("  corrupt  {}: {why}", stage.label);
                    }
                    State::Absent => {
                        let at = work.status().map(|status| format!(", {} of {} {}", status.done, status.total, status.doing));
                        say!("  missing  {}{}", stage.label, at.unwrap_or_default());
                    }
                }
            }
        }
        Ok(if damaged { Exit::Failed } else { Exit::Done })
    }
}

/// The last plans of the named studies, or of all.
pub(super) fn studies(results: &Results, names: &[String]) -> Result<Vec<crate::plan::Saved>> {
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
