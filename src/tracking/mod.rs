//! Shows a study's numbers elsewhere while it runs: TensorBoard's event files, and an MLflow server. Nothing here changes a
//! result, and a tracker that fails costs a warning and nothing else.

mod client;
mod curves;
mod event_file;
mod events;
mod mlflow;
#[cfg(test)]
mod tests;

pub use mlflow::Standing;

use crate::error::{Doing, Error, Result};
use crate::plan::{Plan, RunPlan};
use crate::spec::Study;
use crate::store::{Key, Store, write_atomically};
use client::{Account, Client, Failure};
use curves::Tracked;
use mlflow::{Mlflow, Sent};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a server that fails is left alone while the study runs.
const PAUSE: Duration = Duration::from_secs(60);

/// How long one request to a server may take.
const LIMIT: Duration = Duration::from_secs(10);

/// How warnings reach a person.
pub type Say = Box<dyn Fn(&str) + Send>;

/// What trackers know of a run; kept in the study's folder, so that nothing is told twice.
#[derive(Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Told {
    /// Stages whose numbers are in the event file.
    tensorboard: BTreeSet<Key>,
    mlflow: Option<Sent>,
}

/// The trackers of one study.
pub struct Trackers {
    study: Study,
    runs: Vec<RunPlan>,
    store: Store,
    /// results/NAME
    folder: PathBuf,
    mlflow: Option<Mlflow>,
    /// When a server that failed may be asked again.
    pause: Option<Instant>,
    warned: bool,
    say: Say,
}

impl Trackers {
    /// The trackers that a study asks for; nothing where it asks for none. `folder` is results/NAME.
    pub fn new(study: &Study, plan: &Plan, store: &Store, folder: PathBuf, say: Say) -> Option<Trackers> {
        let wanted = &study.tracking;
        if !wanted.tensorboard && wanted.mlflow.is_none() {
            return None;
        }
        let (study, runs, store) = (study.clone(), plan.runs.clone(), store.clone());
        let mut trackers = Trackers { study, runs, store, folder, mlflow: None, pause: None, warned: false, say };
        if let Some(server) = trackers.study.tracking.mlflow.clone() {
            let experiment = trackers.study.tracking.mlflow_experiment.as_ref().unwrap_or(&trackers.study.name).clone();
            match Account::read(|name| std::env::var_os(name)).and_then(|account| Client::new(&server, account, LIMIT)) {
                Ok(client) => trackers.mlflow = Some(Mlflow::new(client, &experiment)),
                Err(Failure::Refused(why)) => trackers.warn(&format!("MLflow at {server} is not asked: {why}")),
                Err(_) => {}
            }
        }
        Some(trackers)
    }

    /// Tells of the runs that have one of these stages.
    fn tell(&mut self, finished: &[Key]) {
        let has = |index: &usize| self.tracked(*index).keys().any(|key| finished.contains(key));
        let runs: Vec<usize> = (0..self.runs.len()).filter(has).collect();
        self.update(runs.into_iter().map(|index| (index, Some(Standing::Running))));
    }

    /// Tells everything that was not told yet, and how the runs stand that `standing` knows.
    pub fn finish(mut self, standing: impl Fn(&str) -> Option<Standing>) {
        self.pause = None;
        let runs: Vec<_> = self.runs.iter().map(|run| standing(&run.name)).enumerate().collect();
        self.update(runs.into_iter());
    }

    fn tracked(&self, index: usize) -> Tracked<'_> {
        Tracked { study: &self.study, run: &self.study.runs[index], plan: &self.runs[index], store: &self.store }
    }

    fn update(&mut self, runs: impl Iterator<Item = (usize, Option<Standing>)>) {
        if let Err(error) = self.try_update(runs) {
            self.warn(&error.to_string());
        }
    }

    fn try_update(&mut self, runs: impl Iterator<Item = (usize, Option<Standing>)>) -> Result<()> {
        let folder = self.folder.join(".tracked");
        fs::create_dir_all(&folder).doing("create", &folder)?;
        let lock = folder.join("lock");
        let file = File::create(&lock).doing("open", &lock)?;
        // Another dpo-lab may tell of the same study.
        file.lock().doing("lock", &lock)?;
        for (index, standing) in runs {
            let path = folder.join(format!("{}.json", self.runs[index].name));
            let before: Told = fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
            let mut told = Told { tensorboard: before.tensorboard.clone(), mlflow: before.mlflow.clone() };
            let outcome = self.update_run(index, &mut told, standing);
            if told != before {
                write_atomically(&path, &serde_json::to_vec(&told).map_err(Error::other)?)?;
            }
            outcome?;
        }
        Ok(())
    }

    fn update_run(&mut self, index: usize, told: &mut Told, standing: Option<Standing>) -> Result<()> {
        let tracked = Tracked { study: &self.study, run: &self.study.runs[index], plan: &self.runs[index], store: &self.store };
        // Curves are of runs that train; what others have is one point, which MLflow compares.
        if self.study.tracking.tensorboard && tracked.run.method.trains() {
            event_file::update(&self.folder.join("runs").join(&tracked.run.name), &tracked, &mut told.tensorboard)?;
        }
        let waits = self.pause.is_some_and(|until| Instant::now() < until);
        if let Some(mlflow) = self.mlflow.as_mut().filter(|_| !waits)
            && let Err(failure) = mlflow.update(&tracked, &mut told.mlflow, standing)
        {
            let why = mlflow.explain(&failure);
            self.pause = Some(Instant::now() + PAUSE);
            self.warn(&why);
        }
        Ok(())
    }

    /// One warning is enough: what failed once fails again.
    fn warn(&mut self, why: &str) {
        if !self.warned {
            let name = &self.study.name;
            (self.say)(&format!("warning: {why}\n  {name} goes on without it; dpo-lab report {name} sends what is missing"));
        }
        self.warned = true;
    }
}

/// Trackers that hear of finished stages in a thread of their own, so that a slow server keeps no worker waiting.
pub struct Follower {
    sender: Sender<Key>,
    thread: JoinHandle<Trackers>,
}

impl Follower {
    /// Starts the thread.
    pub fn start(trackers: Trackers) -> Follower {
        let (sender, receiver) = channel();
        Follower { sender, thread: std::thread::spawn(move || follow(trackers, &receiver)) }
    }

    /// Takes note of a stage that is finished, and returns at once.
    pub fn finished(&self, key: &Key) {
        // A thread that has ended needs no news.
        let _ = self.sender.send(*key);
    }

    /// The trackers, when all is told.
    pub fn stop(self) -> Option<Trackers> {
        drop(self.sender);
        self.thread.join().ok()
    }
}

fn follow(mut trackers: Trackers, finished: &Receiver<Key>) -> Trackers {
    while let Ok(key) = finished.recv() {
        let more = finished.try_iter();
        let keys: Vec<Key> = std::iter::once(key).chain(more).collect();
        trackers.tell(&keys);
    }
    trackers
}
