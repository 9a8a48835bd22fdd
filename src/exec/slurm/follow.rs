//! Stays with a study's jobs until all have ended: says how far they are, and hands in again what was lost.

use super::client::{Client, QueueState};
use super::jobs::{JobId, Jobs};
use super::submit::submit;
use super::{Ended, Request};
use crate::error::Result;
use crate::exec::interrupts::Interrupts;
use crate::exec::progress::Progress;
use crate::exec::schedule::{Outcome, Schedule};
use crate::plan::Stage;
use crate::store::{Key, Standing, State, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// How often the stages' own files are looked at.
const TICK: Duration = Duration::from_millis(500);
/// The controller serves a whole cluster: it is asked seldom, and more seldom the longer this takes.
const ASK: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(15)];
/// A job that the queue does not know for so long is lost: shared file systems show what it wrote last only then (nfs's manual,
/// acdirmin).
const GRACE: Duration = Duration::from_secs(30);
/// How often a stage is handed in again whose job was lost and had come no further than the one before.
const ATTEMPTS: u32 = 3;

/// Looks after a study's jobs.
pub(super) struct Follower<'a> {
    request: &'a Request<'a>,
    client: &'a Client,
    store: &'a Store,
    jobs: Jobs,
    queue: BTreeMap<JobId, QueueState>,
    /// Since when the queue does not know a stage's job.
    unknown: BTreeMap<Key, Instant>,
    /// How often a stage was lost, and how far it was then.
    lost: BTreeMap<Key, (u32, u64)>,
}

impl<'a> Follower<'a> {
    pub(super) fn new(request: &'a Request<'a>, client: &'a Client, store: &'a Store, jobs: Jobs) -> Self {
        let (queue, unknown, lost) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Follower { request, client, store, jobs, queue, unknown, lost }
    }

    /// Until every stage has ended, or a person presses Ctrl-C, which leaves the jobs alone.
    pub(super) fn follow(mut self, schedule: &mut Schedule, progress: &mut Progress, interrupts: &Interrupts) -> Result<Ended> {
        let began = Instant::now();
        let mut asked = None;
        while schedule.count(|outcome| matches!(outcome, Outcome::Pending | Outcome::Running)) > 0 {
            let due = asked.is_none_or(|at: Instant| at.elapsed() >= (began.elapsed() / 20).clamp(ASK[0], ASK[1]));
            // The queue is asked before the files are read: who has left it by then has written its last.
            let answer = if due { self.client.queue().map(Some) } else { Ok(None) };
            if interrupts.stopping() {
                let name = self.request.study;
                progress.line(&format!(
                    "{name}: detached; its jobs go on. The same command attaches again, dpo-lab cancel {name} ends them"
                ));
                return Ok(Ended::Interrupted);
            }
            if let Some(queue) = answer? {
                self.queue = queue;
                asked = Some(Instant::now());
            }
            let gone = self.look(schedule, progress)?;
            if self.submit_again(gone, schedule, progress)? > 0 {
                // The answer of before knows nothing of these jobs.
                asked = None;
            }
            std::thread::sleep(TICK);
        }
        // Who asked for this run draws the report.
        if let Some(report) = self.jobs.report.filter(|report| self.queue.contains_key(report)) {
            self.client.cancel(&[report.job])?;
        }
        Ok(Ended::Finished)
    }

    /// Takes in how stages stand; returns those that have to be handed in again.
    fn look(&mut self, schedule: &mut Schedule, progress: &mut Progress) -> Result<BTreeSet<Key>> {
        let mut gone = BTreeSet::new();
        for stage in waiting(schedule) {
            let key = &stage.key;
            let work = self.store.work(key);
            let status = work.status();
            if status.is_some() && *schedule.outcome(key) == Outcome::Pending {
                progress.started(key, &stage.label);
                schedule.set(key, Outcome::Running);
            }
            match (self.store.state(key), status) {
                (State::Present, _) => {
                    progress.finished(key, "done");
                    schedule.set(key, Outcome::Done);
                    continue;
                }
                (_, Some(status)) if status.standing == Standing::Failed => {
                    let absent: Vec<&Key> =
                        stage.inputs.values().filter(|input| self.store.state(input) != State::Present).collect();
                    if absent.is_empty() {
                        self.fail(&stage, status.message, schedule, progress);
                    } else {
                        // It found a corrupt input and moved it aside: both are made again.
                        work.last_lines(1).iter().for_each(|line| progress.line(line));
                        absent.iter().for_each(|input| schedule.set(input, Outcome::Pending));
                        gone.extend(absent.into_iter().chain([key]).cloned());
                    }
                    continue;
                }
                (_, Some(status)) => progress.at(key, &status),
                (_, None) => {}
            }
            let lives = self.jobs.stages.get(key).is_some_and(|id| self.queue.contains_key(id)) || work.is_held();
            if lives {
                self.unknown.remove(key);
            } else if self.unknown.entry(*key).or_insert_with(Instant::now).elapsed() >= GRACE {
                gone.insert(*key);
            }
        }
        Ok(gone)
    }

    /// Hands in again what is gone, but for what is lost every time. Returns how many jobs that took.
    fn submit_again(&mut self, gone: BTreeSet<Key>, schedule: &mut Schedule, progress: &mut Progress) -> Result<usize> {
        for stage in waiting(schedule).into_iter().filter(|stage| gone.contains(&stage.key)) {
            self.unknown.remove(&stage.key);
            let made = |input: &Key| matches!(schedule.outcome(input), Outcome::Cached | Outcome::Done);
            // A stage whose input was lost never started: its job left the queue for that, and nothing is wrong with it.
            if stage.inputs.values().all(made) {
                let work = self.store.work(&stage.key);
                let done = work.status().map_or(0, |status| status.done);
                let (times, before) = self.lost.entry(stage.key).or_default();
                // One that comes further each time, from checkpoint to checkpoint, gets there.
                *times = if done > *before { 1 } else { *times + 1 };
                *before = done;
                let (times, last) = (*times, work.last_lines(1).pop());
                if times > ATTEMPTS {
                    let what = format!("its job ended {times} times without a result");
                    let why = last.map_or_else(
                        || format!("{what} or a word; see slurm.log of the study"),
                        |last| format!("{what}: {last}"),
                    );
                    self.fail(&stage, Some(why), schedule, progress);
                    continue;
                }
                let job = self.jobs.stages.get(&stage.key).map(|id| format!(", and job {id} is gone")).unwrap_or_default();
                let last = last.map(|last| format!(" ({last})")).unwrap_or_default();
                progress.line(&format!("{} has no result{job}{last}; it is submitted again", stage.label));
            }
            progress.put_back(&stage.key, "lost");
            schedule.set(&stage.key, Outcome::Pending);
        }
        // What failed for good has taken with it what needs it.
        let again = waiting(schedule);
        let again: Vec<&Stage> = again.iter().filter(|stage| gone.contains(&stage.key)).collect();
        submit(self.request, self.client, self.store, &again, &|key| schedule.cost(key), &self.queue, &mut self.jobs)
    }

    /// A stage that is not tried again.
    fn fail(&self, stage: &Stage, why: Option<String>, schedule: &mut Schedule, progress: &mut Progress) {
        let work = self.store.work(&stage.key);
        let why = why.or_else(|| work.last_lines(1).pop()).unwrap_or_else(|| "its worker could not say why".to_owned());
        let message = format!("{}: {} (log: {})", stage.label, why.trim_start_matches("error: "), work.log().display());
        progress.finished(&stage.key, "failed");
        progress.line(&format!("  {message}"));
        schedule.set(&stage.key, Outcome::Failed(message));
    }
}

/// Stages that have not ended, in the plan's order.
fn waiting(schedule: &Schedule) -> Vec<Stage> {
    let waits = |stage: &&Stage| matches!(schedule.outcome(&stage.key), Outcome::Pending | Outcome::Running);
    schedule.stages().iter().filter(waits).cloned().collect()
}
