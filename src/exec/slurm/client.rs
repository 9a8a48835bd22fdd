//! Slurm's commands as processes: sbatch, squeue and scancel, and what they print. Accounting (sacct) is never asked: it may
//! be off.

use super::jobs::JobId;
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long a command may take; Slurm's own time-out of a message is 10 s.
const TIME_OUT: Duration = Duration::from_secs(60);
/// Pauses before a command is tried again while the controller is busy or starts anew.
const PAUSES: [u64; 5] = [1, 2, 4, 8, 16];
/// How often a running command is looked at.
const POLL: Duration = Duration::from_millis(10);
/// What Slurm's commands say when another attempt may work.
const PASSING: [&str; 6] = [
    "Socket timed out",
    "Unable to contact slurm controller",
    "temporarily unable",
    "temporarily unavailable",
    "Connection refused",
    "Connection reset",
];

/// Where a job of the queue stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueueState {
    /// It waits; Slurm's reason, for example `Dependency` or `Resources`.
    Pending(String),
    /// It runs on these nodes.
    Running(String),
    /// Anything else that is not its end, for example `COMPLETING`.
    Other(String),
}

impl std::fmt::Display for QueueState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            QueueState::Pending(reason) => write!(f, "{reason}"),
            QueueState::Running(nodes) => write!(f, "on {nodes}"),
            QueueState::Other(state) => write!(f, "{state}"),
        }
    }
}

/// Slurm on this machine.
pub struct Client;

impl Client {
    /// Finds out whether there is a Slurm to talk to.
    pub fn find() -> Result<Self> {
        match Command::new("sbatch").arg("--version").stdin(Stdio::null()).output() {
            Ok(output) if output.status.success() => Ok(Client),
            Ok(output) => Err(Error::Other(format!("sbatch does not work here: {}", said(&output.stderr)))),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let what = "there is no sbatch on this machine, so --executor slurm cannot submit jobs";
                Err(Error::Other(format!("{what}; run dpo-lab on the cluster's login node, or use --executor local")))
            }
            Err(source) => Err(Error::Io { what: "cannot start sbatch".to_owned(), source }),
        }
    }

    /// Hands a script to Slurm and returns the job's number. Where an answer is lost and the script is handed over again, two
    /// jobs do the same stages: the later of them finds the work done.
    pub fn submit(&self, script: &str) -> Result<u64> {
        let printed = call("sbatch", &["--parsable".to_owned()], script)?;
        // A federation adds `;CLUSTER`.
        let number = printed.trim().split(';').next().unwrap_or_default();
        number.parse().map_err(|_| Error::Other(format!("sbatch printed `{}` instead of a job's number", printed.trim())))
    }

    /// This person's jobs that have not ended, each task of an array by itself.
    pub fn queue(&self) -> Result<BTreeMap<JobId, QueueState>> {
        let format = "--format=%i|%T|%N|%r";
        let printed = call("squeue", &["--me", "--array", "--noheader", format].map(str::to_owned), "")?;
        Ok(printed.lines().filter_map(queued).collect())
    }

    /// Cancels jobs; those that have ended already are no error.
    pub fn cancel(&self, jobs: &[u64]) -> Result<()> {
        // A command line has a longest length.
        for jobs in jobs.chunks(500) {
            call("scancel", &jobs.iter().map(u64::to_string).collect::<Vec<_>>(), "")?;
        }
        Ok(())
    }
}

/// A line of squeue, where it is one of a job.
fn queued(line: &str) -> Option<(JobId, QueueState)> {
    let mut fields = line.trim().splitn(4, '|');
    let id = fields.next()?.parse().ok()?;
    let (state, nodes, reason) = (fields.next()?, fields.next()?, fields.next()?);
    let state = match state {
        "PENDING" => QueueState::Pending(reason.to_owned()),
        "RUNNING" => QueueState::Running(nodes.to_owned()),
        other => QueueState::Other(other.to_owned()),
    };
    Some((id, state))
}

/// Runs a command with this standard input and returns what it printed; again, while the controller is only busy.
fn call(program: &str, arguments: &[String], input: &str) -> Result<String> {
    let failed =
        |why| Error::Other(format!("{program} failed: {why}; jobs that Slurm has are kept, and the same command goes on"));
    let mut pauses = PAUSES.iter();
    loop {
        match (once(program, arguments, input)?, pauses.next()) {
            (Answer::Printed(printed), _) => return Ok(printed),
            (Answer::Busy(_), Some(pause)) => std::thread::sleep(Duration::from_secs(*pause)),
            (Answer::Busy(why) | Answer::Refused(why), _) => return Err(failed(why)),
        }
    }
}

/// What came of a command.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// It worked, and printed this.
    Printed(String),
    /// Another attempt may work; why this one did not.
    Busy(String),
    /// No other attempt will.
    Refused(String),
}

/// What a command that failed means.
fn complaint(why: String) -> Answer {
    if PASSING.iter().any(|passing| why.contains(passing)) { Answer::Busy(why) } else { Answer::Refused(why) }
}

/// Files instead of pipes: neither side can block the other, however much is said.
fn once(program: &str, arguments: &[String], input: &str) -> Result<Answer> {
    let broken = |source| Error::Io { what: format!("cannot talk to {program}"), source };
    let file = || tempfile::tempfile().map_err(broken);
    let (mut given, mut printed, mut complained) = (file()?, file()?, file()?);
    given.write_all(input.as_bytes()).and_then(|()| given.rewind()).map_err(broken)?;
    let shared = |file: &File| file.try_clone().map(Stdio::from).map_err(broken);
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(shared(&given)?)
        .stdout(shared(&printed)?)
        .stderr(shared(&complained)?)
        .spawn()
        .map_err(|source| Error::Io { what: format!("cannot start {program}"), source })?;
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().map_err(broken)? {
            break status;
        }
        if began.elapsed() > TIME_OUT {
            let _ = child.kill();
            let _ = child.wait();
            return Ok(Answer::Busy(format!("no answer within {} s", TIME_OUT.as_secs())));
        }
        std::thread::sleep(POLL);
    };
    let text = |file: &mut File| {
        let mut bytes = Vec::new();
        file.rewind().and_then(|()| file.read_to_end(&mut bytes)).map_err(broken)?;
        Ok::<_, Error>(bytes)
    };
    if status.success() {
        return Ok(Answer::Printed(String::from_utf8_lossy(&text(&mut printed)?).into_owned()));
    }
    let why = said(&text(&mut complained)?);
    Ok(complaint(if why.is_empty() { status.to_string() } else { why }))
}

/// What a command complained of, on one line.
fn said(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_squeue_are_jobs_and_tasks() {
        let id = |job, task| JobId { job, task };
        assert_eq!(queued("12|PENDING||Dependency"), Some((id(12, None), QueueState::Pending("Dependency".into()))));
        assert_eq!(queued("13_4|RUNNING|node[1-2]|None"), Some((id(13, Some(4)), QueueState::Running("node[1-2]".into()))));
        assert_eq!(queued("14|COMPLETING|a|None"), Some((id(14, None), QueueState::Other("COMPLETING".into()))));
        let reason = "(Nodes required for job are DOWN|DRAINED)";
        assert_eq!(queued(&format!("15|PENDING||{reason}")), Some((id(15, None), QueueState::Pending(reason.into()))));
        assert_eq!(queued("slurm_load_jobs error: something"), None);
        assert_eq!(queued(""), None);
    }

    #[test]
    fn a_busy_controller_is_told_from_a_refusal() {
        for busy in ["Batch job submission failed: Socket timed out on send/recv operation", "Unable to contact slurm controller"]
        {
            assert_eq!(complaint(busy.to_owned()), Answer::Busy(busy.to_owned()));
        }
        let refused = "sbatch: error: invalid partition specified: gpus".to_owned();
        assert_eq!(complaint(refused.clone()), Answer::Refused(refused));
    }

    #[test]
    fn a_command_gets_its_input_and_its_complaint_is_kept() {
        let printed = call("cat", &[], &"x".repeat(200_000)).expect("cat works");
        assert_eq!(printed.len(), 200_000);
        let message = call("ls", &["/no/such/folder".to_owned()], "").expect_err("no such folder").to_string();
        assert!(message.starts_with("ls failed: ") && message.contains("/no/such/folder"), "{message}");
    }
}
