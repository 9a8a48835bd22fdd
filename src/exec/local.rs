//! The local executor: every stage in a process of its own, `jobs` at a time, so that a crash costs one stage.

use super::progress::Progress;
use super::schedule::{Outcome, Schedule};
use crate::error::{Doing, Error, Result};
use crate::plan::Stage;
use crate::store::{State, Store};
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often workers are looked at.
const POLL: Duration = Duration::from_millis(20);
/// Exit code of a worker that moved a corrupt input aside.
pub const CORRUPT_INPUT: i32 = 4;
/// How often a corrupt input is made again before that counts as a failure.
const REPAIRS: usize = 3;

struct Worker {
    stage: Stage,
    child: Child,
}

/// Runs everything that is pending. Returns when nothing runs and nothing can start.
pub fn run(
    schedule: &mut Schedule,
    store: &Store,
    results: &Path,
    jobs: usize,
    progress: &mut Progress,
    interrupted: &AtomicBool,
) -> Result<()> {
    let mut workers: Vec<Worker> = Vec::new();
    let mut repairs = 0;
    loop {
        if interrupted.load(Ordering::SeqCst) {
            return stop(schedule, &mut workers, progress);
        }
        while workers.len() < jobs {
            let Some(stage) = schedule.ready().next().cloned() else { break };
            // A stage that nothing can run beside gets all cores; results do not depend on the number of threads.
            let beside = (workers.len() + schedule.ready().count()).min(jobs);
            match start(&stage, store, results, (cores() / beside.max(1)).max(1)) {
                Ok(child) => {
                    progress.started(&stage.key, &stage.label);
                    schedule.set(&stage.key, Outcome::Running);
                    workers.push(Worker { stage, child });
                }
                Err(error) => schedule.set(&stage.key, Outcome::Failed(error.to_string())),
            }
        }
        if workers.is_empty() {
            return Ok(());
        }
        std::thread::sleep(POLL);
        let mut still = Vec::new();
        for mut worker in workers {
            let key = worker.stage.key.clone();
            match worker.child.try_wait().doing("wait for the worker of", Path::new(&worker.stage.label))? {
                None => {
                    if let Some(status) = store.work(&key).status() {
                        progress.at(&key, &status);
                    }
                    still.push(worker);
                }
                Some(code) if code.success() && store.state(&key) == State::Present => {
                    progress.finished(&key, "done");
                    schedule.set(&key, Outcome::Done);
                }
                Some(code) if code.code() == Some(CORRUPT_INPUT) && repairs < REPAIRS => {
                    repairs += 1;
                    progress.finished(&key, "found a corrupt input");
                    for line in store.work(&key).last_lines(1) {
                        progress.line(&line);
                    }
                    schedule.set(&key, Outcome::Pending);
                    for input in worker.stage.inputs.values() {
                        if store.state(input) != State::Present {
                            schedule.set(input, Outcome::Pending);
                        }
                    }
                }
                Some(code) => {
                    let message = failure(store, &worker.stage, code);
                    progress.finished(&key, "failed");
                    progress.line(&format!("  {message}"));
                    schedule.set(&key, Outcome::Failed(message));
                }
            }
        }
        workers = still;
    }
}

/// Freezes the stage and starts its worker.
fn start(stage: &Stage, store: &Store, results: &Path, threads: usize) -> Result<Child> {
    let work = store.work(&stage.key);
    work.create()?;
    let frozen = serde_json::to_vec_pretty(stage).map_err(Error::other)?;
    crate::store::write_atomically(&work.stage(), &frozen)?;
    let log = File::create(work.log()).doing("create", &work.log())?;
    let also = log.try_clone().doing("open", &work.log())?;
    let program = std::env::current_exe().doing("find", Path::new("dpo-lab's own program"))?;
    Command::new(&program)
        .args(["stage", &stage.key.0, "--results"])
        .arg(results)
        .env("RAYON_NUM_THREADS", threads.to_string())
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(also)
        .spawn()
        .doing("start", &program)
}

/// Cores that this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Ends the workers; what they had not published is made again next time.
fn stop(schedule: &mut Schedule, workers: &mut Vec<Worker>, progress: &mut Progress) -> Result<()> {
    for worker in workers.iter_mut() {
        let _ = worker.child.kill();
        let _ = worker.child.wait();
        progress.finished(&worker.stage.key, "stopped");
        schedule.set(&worker.stage.key, Outcome::Cancelled);
    }
    workers.clear();
    schedule.cancel_pending();
    Err(Error::Interrupted)
}

/// Why a worker failed, and where its log is.
fn failure(store: &Store, stage: &Stage, code: std::process::ExitStatus) -> String {
    let work = store.work(&stage.key);
    let log = work.log();
    let last = work.last_lines(1).pop().unwrap_or_else(|| match code.code() {
        Some(code) => format!("its worker ended with code {code} and could not say why; is the disk full?"),
        None => format!("its worker was killed ({code}); if memory ran out, lower --jobs"),
    });
    format!("{}: {} (log: {})", stage.label, last.trim_start_matches("error: "), log.display())
}
