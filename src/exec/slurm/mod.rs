//! The Slurm executor: stages become jobs with dependencies, so that the cluster runs a study with nobody watching; who looks
//! again later sees how far it is, and hands in again what was lost.
//!
//! Slurm is asked which jobs live, and nothing else. How a stage ended stands in the store: its artifact, or its status.

mod client;
mod follow;
mod grouping;
mod jobs;
mod script;
mod submit;
mod waves;

pub use client::{Client, QueueState};
pub use jobs::JobId;

use super::interrupts::Interrupts;
use super::progress::Progress;
use super::schedule::{Outcome, Schedule};
use crate::error::Result;
use crate::plan::Stage;
use crate::spec;
use crate::store::{Key, Store};
use jobs::Jobs;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// A study as it is handed to Slurm.
pub struct Request<'a> {
    /// Its name.
    pub study: &'a str,
    /// results/NAME
    pub folder: &'a Path,
    /// Folder of results and of the store.
    pub results: &'a Path,
    /// `[executor.slurm]`
    pub settings: &'a spec::Slurm,
    /// Where tensors live on a node.
    pub device: &'a str,
    /// How often training stages keep a checkpoint.
    pub checkpoint_every: Duration,
    /// Stages at once, of all of the study's jobs together.
    pub jobs: Option<usize>,
    /// Whether to stay until all has ended, even where this is the first time.
    pub wait: bool,
}

/// How a run on Slurm left the study.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Everything has ended, and the schedule says how.
    Finished,
    /// Jobs wait or run, and nobody looks at them.
    Detached,
    /// The same, because a person pressed Ctrl-C.
    Interrupted,
}

impl Request<'_> {
    /// Hands in what is pending and has no living job. Where some of it was handed in before, or on request, stays until all has
    /// ended.
    pub fn run(&self, schedule: &mut Schedule, store: &Store, progress: &mut Progress, interrupts: &Interrupts) -> Result<Ended> {
        let pending: Vec<Stage> =
            schedule.stages().iter().filter(|stage| *schedule.outcome(&stage.key) == Outcome::Pending).cloned().collect();
        if pending.is_empty() {
            return Ok(Ended::Finished);
        }
        let client = Client::find()?;
        let mut jobs = Jobs::read(self.folder)?;
        let queue = client.queue()?;
        let again = pending.iter().any(|stage| jobs.stages.contains_key(&stage.key));
        let lives = |key: &Key| jobs.stages.get(key).is_some_and(|id| queue.contains_key(id));
        let missing: Vec<&Stage> = pending.iter().filter(|stage| !lives(&stage.key)).collect();
        let living = pending.len() - missing.len();
        let submitted = submit::submit(self, &client, store, &missing, &|key| schedule.cost(key), &queue, &mut jobs)?;
        if again {
            progress.line(&format!(
                "{}: attached; {living} stages wait or run, {} are submitted again",
                self.study,
                missing.len()
            ));
        } else {
            let name = self.study;
            progress.line(&format!(
                "{name}: {} stages submitted as {submitted} jobs; the last of them draws the report",
                missing.len()
            ));
            progress.line(&format!("  dpo-lab status {name} says how far they are, dpo-lab cancel {name} ends them"));
        }
        if !(again || self.wait) {
            progress.line("  the same command again waits for them, and submits what was lost");
            return Ok(Ended::Detached);
        }
        follow::Follower::new(self, &client, store, jobs).follow(schedule, progress, interrupts)
    }
}

/// Ends what is left of a study's jobs, given results/NAME. Returns how many stages waited and ran, or nothing where the study
/// has no jobs.
pub fn cancel(folder: &Path) -> Result<Option<usize>> {
    let jobs = Jobs::read(folder)?;
    if jobs == Jobs::default() {
        return Ok(None);
    }
    let client = Client::find()?;
    let queue = client.queue()?;
    let numbers: Vec<u64> = jobs.numbers().into_iter().filter(|number| queue.keys().any(|id| id.job == *number)).collect();
    client.cancel(&numbers)?;
    Jobs::forget(folder)?;
    Ok(Some(jobs.stages.values().filter(|id| queue.contains_key(id)).count()))
}

/// Where the stages of a study stand in Slurm's queue, given results/NAME: those that wait or run. Slurm is only asked where the
/// study has jobs.
pub fn queue(folder: &Path) -> Result<BTreeMap<Key, QueueState>> {
    let jobs = Jobs::read(folder)?;
    if jobs.stages.is_empty() {
        return Ok(BTreeMap::new());
    }
    let queue = Client::find()?.queue()?;
    Ok(jobs.stages.into_iter().filter_map(|(key, id)| Some((key, queue.get(&id)?.clone()))).collect())
}
