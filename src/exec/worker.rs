//! One worker: the frozen stage that it reads, its process, and what its end means.

use crate::error::{Doing, Error, Result};
use crate::plan::Stage;
use crate::plan::cost::{Cost, Frozen};
use crate::store::{State, Store, WorkFolder, write_atomically};
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// Lines of a worker's log that are looked at when it has failed: the trace of a panic stands behind its message.
const LAST_WORDS: usize = 400;
/// What the driver of a GPU and the library above it say where its memory does not suffice.
const OUT_OF_MEMORY: [&str; 5] =
    ["out of memory", "out_of_memory", "out-of-memory", "out of device memory", "can't allocate buffer of size"];

/// Exit code of a worker that moved a corrupt input aside.
pub const CORRUPT_INPUT: i32 = 4;

/// How a worker is started.
pub struct Launch<'a> {
    /// Folder of results and of the store.
    pub results: &'a Path,
    /// Where its tensors live.
    pub device: &'a str,
    /// What its stage is planned to cost.
    pub cost: Option<Cost>,
    /// Threads that it may use.
    pub threads: usize,
    /// How often it keeps a checkpoint.
    pub checkpoint_every: Duration,
    /// Parts of a training batch for every one that the study says.
    pub parts: usize,
}

/// What a worker's end means.
#[derive(Debug, PartialEq, Eq)]
pub enum Ending {
    /// The artifact is there.
    Done,
    /// It was asked to stop, and did.
    Stopped,
    /// An input was not what it should be, and was moved aside.
    CorruptInput,
    /// The machine's memory did not suffice.
    OutOfMemory,
    /// Anything else; the message.
    Failed(String),
}

/// Writes what a worker of this stage reads.
pub fn freeze(stage: &Stage, cost: Option<Cost>, store: &Store) -> Result<WorkFolder> {
    let work = store.work(&stage.key);
    work.create()?;
    let frozen = serde_json::to_vec_pretty(&Frozen { stage: stage.clone(), cost }).map_err(Error::other)?;
    write_atomically(&work.stage(), &frozen)?;
    Ok(work)
}

/// Freezes the stage and starts its worker in a process group of its own, so that Ctrl-C on a terminal reaches the runner alone.
pub fn start(stage: &Stage, store: &Store, launch: &Launch<'_>) -> Result<Child> {
    let work = freeze(stage, launch.cost, store)?;
    let log = File::create(work.log()).doing("create", &work.log())?;
    let also = log.try_clone().doing("open", &work.log())?;
    let program = std::env::current_exe().doing("find", Path::new("dpo-lab's own program"))?;
    let mut command = Command::new(&program);
    command
        .args(["stage", &stage.key.to_string(), "--device", launch.device, "--results"])
        .arg(launch.results)
        .args(["--checkpoint-minutes", &(launch.checkpoint_every.as_secs_f64() / 60.0).to_string()])
        .args(["--parts", &launch.parts.to_string()])
        .env("RAYON_NUM_THREADS", launch.threads.to_string())
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(also);
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command.spawn().doing("start", &program)
}

/// A signal to a worker: to end when it can, or at once.
pub fn signal(pid: u32, at_once: bool) {
    #[cfg(unix)]
    {
        use rustix::process::{Pid, Signal, kill_process};
        let signal = if at_once { Signal::KILL } else { Signal::INT };
        if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
            // One that has ended by itself needs no signal.
            let _ = kill_process(pid, signal);
        }
    }
    #[cfg(not(unix))]
    let _ = (pid, at_once);
}

/// Processes that the system has killed for want of memory since it started.
pub fn kills_for_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/vmstat").unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok()).unwrap_or(0)
}

/// What it means that a stage's worker ended like this; `kills` is what [`kills_for_memory`] said when it began.
pub fn ending(stage: &Stage, store: &Store, status: ExitStatus, kills: u64) -> Ending {
    if status.success() && store.state(&stage.key) == State::Present {
        return Ending::Done;
    }
    let mut said = store.work(&stage.key).last_lines(LAST_WORDS);
    match status.code() {
        Some(CORRUPT_INPUT) => Ending::CorruptInput,
        Some(130) => Ending::Stopped,
        code if is_out_of_memory(code, &said, kills_for_memory() > kills) => Ending::OutOfMemory,
        _ => Ending::Failed(failure(store, stage, status, said.pop())),
    }
}

/// Whether a process with this exit code (none: a signal ended it) and these last lines ran out of memory. A process that somebody
/// killed looks the same as one that the system killed, but for the system's own count.
fn is_out_of_memory(code: Option<i32>, said: &[String], system_killed: bool) -> bool {
    let says = |text: &str| said.iter().any(|line| line.to_lowercase().contains(text));
    match code {
        // The report of an allocation that failed may itself lack the memory for its last lines.
        None => system_killed || (says("memory allocation of") && says("failed")),
        Some(_) => OUT_OF_MEMORY.into_iter().any(says),
    }
}

/// Why a worker failed, and where its log is.
fn failure(store: &Store, stage: &Stage, status: ExitStatus, last: Option<String>) -> String {
    let log = store.work(&stage.key).log();
    let last = last.unwrap_or_else(|| match status.code() {
        Some(code) => format!("its worker ended with code {code} and could not say why; is the disk full?"),
        None => format!("its worker was killed ({status}); run again to go on"),
    });
    format!("{}: {} (log: {})", stage.label, last.trim_start_matches("error: "), log.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_system_or_the_worker_says_is_out_of_memory() {
        let is = |code, said: &[&str], killed| {
            is_out_of_memory(code, &said.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>(), killed)
        };
        assert!(is(None, &["memory allocation of 4096 bytes failed", "stack backtrace:", "skipping backtrace"], false));
        assert!(is(None, &[], true));
        assert!(is(Some(1), &["error: CUDA_ERROR_OUT_OF_MEMORY"], false));
        assert!(is(Some(101), &["panicked: Out of memory"], false));
        assert!(is(Some(101), &["An out-of-memory error happened during launch", "   0: a frame"], false));
        assert!(is(Some(101), &["out of device memory allocating 4096 bytes", "   0: a frame"], false));
        assert!(!is(None, &["goes on from the checkpoint after step 4"], false));
        assert!(!is(Some(1), &["error: cannot write: no space left"], true));
    }
}
