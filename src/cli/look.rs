//! What every stage of a study is doing, from the store: nothing here waits, and no digest is made.

use crate::exec::slurm::QueueState;
use crate::plan::{Saved, SavedStage};
use crate::store::{Key, Standing, State, Status, Store};
use std::collections::{BTreeMap, HashSet};

/// How many lines of its log a failed stage shows.
const LOG_LINES: usize = 3;

/// What a stage is doing.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Doing {
    /// Its artifact is there.
    Done,
    /// Its artifact is not what was published; why.
    Corrupt(String),
    /// A worker has it.
    Running(Status),
    /// It could not; why, and the last lines of its log.
    Failed(String, Vec<String>),
    /// Its worker said that it runs, and is gone; where it was, and the last lines of its log.
    Gone(Status, Vec<String>),
    /// It was asked to stop.
    Stopped(Status),
    /// A cluster has it in its queue, or is about to report from its node; in the cluster's words.
    Queued(String),
    /// It will run when its inputs are there.
    Waiting,
    /// Something that it needs failed.
    Blocked,
}

impl Doing {
    /// The word for it.
    pub fn name(&self) -> &'static str {
        match self {
            Doing::Done => "done",
            Doing::Corrupt(_) => "corrupt",
            Doing::Running(_) => "running",
            Doing::Failed(..) => "failed",
            Doing::Gone(..) => "gone",
            Doing::Stopped(_) => "stopped",
            Doing::Queued(_) => "queued",
            Doing::Waiting => "waiting",
            Doing::Blocked => "blocked",
        }
    }

    /// Whether something may still come of it without a person.
    pub fn may_change(&self) -> bool {
        matches!(self, Doing::Running(_) | Doing::Gone(..) | Doing::Stopped(_) | Doing::Queued(_) | Doing::Waiting)
    }
}

/// A study at one moment.
pub(super) struct Seen {
    /// Its name.
    pub study: String,
    /// Number of its runs.
    pub runs: usize,
    /// Every stage, inputs before what reads them.
    pub stages: Vec<(SavedStage, Doing)>,
}

impl Seen {
    /// Number of stages that are doing this.
    pub fn count(&self, name: &str) -> usize {
        self.stages.iter().filter(|(_, doing)| doing.name() == name).count()
    }

    /// Whether somebody works on it, or will once a cluster has room.
    pub fn is_running(&self) -> bool {
        self.stages.iter().any(|(_, doing)| matches!(doing, Doing::Running(_) | Doing::Queued(_)))
    }

    /// Whether anything is left to run.
    pub fn may_change(&self) -> bool {
        self.stages.iter().any(|(_, doing)| doing.may_change())
    }
}

/// Looks at a study; `state` says whether an artifact is there.
pub(super) fn look(saved: Saved, store: &Store, state: impl Fn(&Key) -> State) -> Seen {
    let found = saved.stages.iter().map(|stage| {
        let work = store.work(&stage.key);
        match state(&stage.key) {
            State::Present => Doing::Done,
            State::Corrupt(why) => Doing::Corrupt(why),
            State::Absent => match work.status() {
                Some(status) => {
                    let holds = status.standing == Standing::Running && work.is_held();
                    of(status, holds, || work.last_lines(LOG_LINES))
                }
                None => Doing::Waiting,
            },
        }
    });
    let doing = blocked(&saved.stages, found.collect());
    Seen { study: saved.study, runs: saved.runs.len(), stages: saved.stages.into_iter().zip(doing).collect() }
}

impl Seen {
    /// Says of waiting stages what a cluster's queue says of them.
    pub fn queued(mut self, queue: &BTreeMap<Key, QueueState>) -> Self {
        for (stage, doing) in self.stages.iter_mut().filter(|(_, doing)| *doing == Doing::Waiting) {
            if let Some(state) = queue.get(&stage.key) {
                *doing = Doing::Queued(state.to_string());
            }
        }
        self
    }
}

/// Whether an artifact is there, for who looks again and again: they are published whole, and reading their files would keep the
/// disk busy.
pub(super) fn glance(store: &Store, key: &Key) -> State {
    if store.path(key).is_dir() { State::Present } else { State::Absent }
}

/// What a stage without an artifact is doing, by its worker's own words; `holds` says whether a process that lives has its lock.
fn of(status: Status, holds: bool, log: impl Fn() -> Vec<String>) -> Doing {
    match status.standing {
        Standing::Failed => {
            let message = status.message.unwrap_or_else(|| "it did not say why".to_owned());
            let lines = log();
            // Workers end their logs with the message.
            let more = lines.into_iter().filter(|line| !line.contains(message.lines().next().unwrap_or_default()));
            Doing::Failed(message.clone(), more.collect())
        }
        Standing::Stopped => Doing::Stopped(status),
        Standing::Running if holds => Doing::Running(status),
        Standing::Running => Doing::Gone(status, log()),
        // It was made once, and its artifact was moved aside or removed.
        Standing::Done => Doing::Waiting,
    }
}

/// Marks what cannot run, because something that it needs failed.
fn blocked(stages: &[SavedStage], mut doing: Vec<Doing>) -> Vec<Doing> {
    let mut failed: HashSet<&Key> = HashSet::new();
    for (stage, doing) in stages.iter().zip(&mut doing) {
        if *doing == Doing::Waiting && stage.inputs.values().any(|input| failed.contains(input)) {
            *doing = Doing::Blocked;
        }
        if matches!(doing, Doing::Failed(..) | Doing::Blocked) {
            failed.insert(&stage.key);
        }
    }
    doing
}

/// Seconds that a running stage needs still, where that can be known: as long a step as those before took.
pub(super) fn seconds_left(stage: &SavedStage, status: &Status, now: f64) -> Option<f64> {
    // A segment counts its steps from the run's start.
    let first = stage.parameters.get("first").and_then(serde_json::Value::as_u64).unwrap_or(0);
    let (done, total) = (status.done.checked_sub(first)?, status.total.checked_sub(first)?);
    if done == 0 || total <= done || status.began <= 0.0 || status.updated <= status.began {
        return None;
    }
    let left = (status.updated - status.began) * (total - done) as f64 / done as f64;
    Some((left - (now - status.updated).max(0.0)).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn stage(name: &str, inputs: &[&str]) -> SavedStage {
        let key = |name: &str| Key::of(name);
        let inputs: BTreeMap<String, Key> = inputs.iter().map(|input| ((*input).to_owned(), key(input))).collect();
        let (label, kind) = (name.to_owned(), "train".to_owned());
        SavedStage { label, kind, key: key(name), parameters: serde_json::json!({ "first": 100 }), inputs }
    }

    fn training(done: u64) -> Status {
        Status { done, total: 200, began: 1000.0, updated: 1010.0, ..Status::default() }
    }

    #[test]
    fn a_worker_that_says_it_runs_and_holds_nothing_is_gone() {
        let name = |holds| of(training(5), holds, Vec::new).name();
        assert_eq!((name(true), name(false)), ("running", "gone"));
    }

    #[test]
    fn a_failed_stage_says_why_once() {
        let status = Status { standing: Standing::Failed, message: Some("no memory".into()), ..training(5) };
        let log = || vec!["step 4".to_owned(), "error: no memory".to_owned()];
        assert_eq!(of(status, false, log), Doing::Failed("no memory".into(), vec!["step 4".into()]));
    }

    #[test]
    fn what_needs_a_failed_stage_is_blocked_and_nothing_is_left_then() {
        let stages = [stage("a", &[]), stage("b", &["a"]), stage("c", &["b"]), stage("d", &[])];
        let failed = Doing::Failed("no".into(), Vec::new());
        let doing = blocked(&stages, vec![failed, Doing::Waiting, Doing::Waiting, Doing::Done]);
        assert_eq!(doing.iter().map(Doing::name).collect::<Vec<_>>(), ["failed", "blocked", "blocked", "done"]);
        assert!(!doing.iter().any(Doing::may_change));
    }

    #[test]
    fn the_time_left_counts_from_the_segments_own_start() {
        let stage = stage("train dpo 100-200", &[]);
        // 50 of its 100 steps took 10 seconds.
        assert_eq!(seconds_left(&stage, &training(150), 1010.0), Some(10.0));
        assert_eq!(seconds_left(&stage, &training(150), 1014.0), Some(6.0));
        assert_eq!(seconds_left(&stage, &training(150), 2000.0), Some(0.0));
        assert_eq!(seconds_left(&stage, &training(100), 1010.0), None);
        assert_eq!(seconds_left(&stage, &Status { total: 0, done: 0, ..training(0) }, 1010.0), None);
    }
}
