//! The local executor: every stage in a process of its own, as many at once as there are places and memory, so that a crash
//! costs one stage.

use super::interrupts::Interrupts;
use super::progress::Progress;
use super::schedule::{Outcome, Schedule};
use super::slots::Slots;
use super::worker::{self, Ending, Launch};
use crate::error::{Error, Result};
use crate::plan::Stage;
use crate::plan::cost::MOST_PARTS;
use crate::store::{Key, State, Store};
use std::collections::HashMap;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// How often what runs is looked at; the end of a worker is noticed at once.
const LOOK: Duration = Duration::from_millis(100);
/// How often stages that another runner works on are looked at.
const LOOK_ELSEWHERE: Duration = Duration::from_millis(200);
/// How often a corrupt input is made again before that counts as a failure.
const REPAIRS: usize = 3;

/// What the executor runs with.
pub struct Local<'a> {
    /// Where artifacts are.
    pub store: &'a Store,
    /// Folder of results and of the store.
    pub results: &'a Path,
    /// Devices that stages may be placed on.
    pub slots: Slots,
    /// The memory that workers have.
    pub memory: Memory,
    /// How often training stages keep a checkpoint.
    pub checkpoint_every: Duration,
    /// Ctrl-C.
    pub interrupts: &'a Interrupts,
    /// Called with every stage that was finished here or elsewhere.
    pub finished: &'a mut dyn FnMut(&Stage),
}

/// Bytes of memory that workers may take, where that is known.
#[derive(Clone, Copy, Debug)]
pub enum Memory {
    /// All of them together: the machine's.
    Together(Option<u64>),
    /// Each of them: a GPU's, which one has by itself.
    Each(Option<u64>),
}

struct Worker {
    stage: Stage,
    device: String,
    pid: u32,
    kills: u64,
}

/// The end of a stage's worker.
type End = (Key, std::io::Result<ExitStatus>);

/// The state of a run while it goes on.
struct Running<'a, 'b> {
    local: Local<'a>,
    schedule: &'b mut Schedule,
    progress: &'b mut Progress,
    workers: HashMap<Key, Worker>,
    /// Stages that another runner has.
    elsewhere: Vec<Stage>,
    looked_elsewhere: Instant,
    repairs: usize,
    parts: HashMap<Key, usize>,
    ends: (Sender<End>, Receiver<End>),
}

/// Runs everything that is pending. Returns when nothing runs and nothing can start, or when it was interrupted and what ran
/// has ended.
pub fn run(local: Local<'_>, schedule: &mut Schedule, progress: &mut Progress) -> Result<()> {
    let mut running = Running {
        local,
        schedule,
        progress,
        workers: HashMap::new(),
        elsewhere: Vec::new(),
        looked_elsewhere: Instant::now(),
        repairs: 0,
        parts: HashMap::new(),
        ends: channel(),
    };
    let mut asked = false;
    loop {
        let interrupts = running.local.interrupts;
        if interrupts.now() {
            return running.stop_now();
        }
        if !interrupts.stopping() {
            running.fill();
        } else if !asked {
            asked = true;
            running.ask_to_stop();
        }
        if running.workers.is_empty() && (asked || running.elsewhere.is_empty()) {
            if asked {
                running.schedule.cancel_pending();
                return Err(Error::Interrupted);
            }
            return Ok(());
        }
        match running.ends.1.recv_timeout(LOOK) {
            Ok((key, status)) => running.ended(&key, status),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => running.look(),
        }
    }
}

impl Running<'_, '_> {
    /// Starts what can start.
    fn fill(&mut self) {
        while self.workers.len() < self.local.slots.count() {
            let Some(stage) = self.next() else { break };
            // Another runner on the same store may have it, or have finished it meanwhile.
            if self.local.store.work(&stage.key).is_held() {
                self.schedule.set(&stage.key, Outcome::Running);
                self.progress.started(&stage.key, &stage.label);
                self.elsewhere.push(stage);
                continue;
            }
            if self.local.store.state(&stage.key) == State::Present {
                self.progress.started(&stage.key, &stage.label);
                self.progress.finished(&stage.key, "done by another runner");
                self.schedule.set(&stage.key, Outcome::Done);
                (self.local.finished)(&stage);
                continue;
            }
            let Some(device) = self.local.slots.take() else { break };
            // A stage that nothing can run beside gets all cores; results do not depend on the number of threads.
            let beside =
                (self.workers.len() + self.schedule.ready().take(self.local.slots.count()).count()).min(self.local.slots.count());
            let launch = Launch {
                results: self.local.results,
                device: &device,
                cost: self.schedule.cost(&stage.key),
                threads: (super::cores() / beside.max(1)).max(1),
                checkpoint_every: self.local.checkpoint_every,
                parts: self.parts_of(&stage),
            };
            let kills = worker::kills_for_memory();
            match worker::start(&stage, self.local.store, &launch) {
                Ok(mut child) => {
                    self.progress.started(&stage.key, &stage.label);
                    self.schedule.set(&stage.key, Outcome::Running);
                    let (pid, key, ends) = (child.id(), stage.key, self.ends.0.clone());
                    std::thread::spawn(move || ends.send((key, child.wait())));
                    self.workers.insert(stage.key, Worker { stage, device, pid, kills });
                }
                Err(error) => {
                    self.local.slots.give_back(device);
                    self.schedule.set(&stage.key, Outcome::Failed(error.to_string()));
                }
            }
        }
    }

    /// The first stage that can start and whose memory there is; one that fits nowhere runs by itself.
    fn next(&self) -> Option<Stage> {
        let planned = |key: &Key| self.schedule.cost(key).map_or(0, |cost| cost.peak_memory);
        let taken: u64 = self.workers.keys().map(planned).sum();
        let fits = |stage: &&Stage| match self.local.memory {
            Memory::Together(Some(memory)) => taken + planned(&stage.key) <= memory,
            Memory::Together(None) | Memory::Each(_) => true,
        };
        let fitting = self.schedule.ready().find(fits);
        fitting.or_else(|| self.schedule.ready().next().filter(|_| self.workers.is_empty())).cloned()
    }

    /// Parts of a stage's batches: as many as it takes to fit a GPU, or more once that did not suffice.
    fn parts_of(&mut self, stage: &Stage) -> usize {
        if let Some(parts) = self.parts.get(&stage.key) {
            return *parts;
        }
        let (Memory::Each(Some(bytes)), Some(cost)) = (self.local.memory, self.schedule.cost(&stage.key)) else { return 1 };
        let parts = if stage.work.trains() { cost.parts_within(bytes) } else { 1 };
        if parts > 1 {
            self.parts.insert(stage.key, parts);
            self.progress.line(&format!(
                "{}: to fit the GPU every batch is run in {parts} parts with gradient_checkpointing, which gives the same gradient but for rounding",
                stage.label
            ));
        }
        parts
    }

    /// Looks at how far workers are, and at what other runners have.
    fn look(&mut self) {
        for key in self.workers.keys().chain(self.elsewhere.iter().map(|stage| &stage.key)) {
            if let Some(status) = self.local.store.work(key).status() {
                self.progress.at(key, &status);
            }
        }
        if self.looked_elsewhere.elapsed() < LOOK_ELSEWHERE {
            return;
        }
        self.looked_elsewhere = Instant::now();
        for stage in std::mem::take(&mut self.elsewhere) {
            if self.local.store.work(&stage.key).is_held() {
                self.elsewhere.push(stage);
            } else if self.local.store.state(&stage.key) == State::Present {
                self.progress.finished(&stage.key, "done by another runner");
                self.schedule.set(&stage.key, Outcome::Done);
                (self.local.finished)(&stage);
            } else {
                self.progress.put_back(&stage.key, "left by another runner");
                self.schedule.set(&stage.key, Outcome::Pending);
            }
        }
    }

    /// Takes note of a worker's end.
    fn ended(&mut self, key: &Key, status: std::io::Result<ExitStatus>) {
        let Some(Worker { stage, device, kills, .. }) = self.workers.remove(key) else { return };
        self.local.slots.give_back(device);
        let ending = match status {
            Ok(status) => worker::ending(&stage, self.local.store, status, kills),
            Err(error) => Ending::Failed(format!("{}: its worker cannot be waited for: {error}", stage.label)),
        };
        match ending {
            Ending::Done => {
                self.progress.finished(key, "done");
                self.schedule.set(key, Outcome::Done);
                (self.local.finished)(&stage);
            }
            Ending::Stopped => {
                self.progress.finished(key, "stopped");
                self.schedule.set(key, Outcome::Cancelled);
            }
            Ending::CorruptInput if self.repairs < REPAIRS => {
                self.repairs += 1;
                self.progress.put_back(key, "found a corrupt input");
                for line in self.local.store.work(key).last_lines(1) {
                    self.progress.line(&line);
                }
                self.schedule.set(key, Outcome::Pending);
                for input in stage.inputs.values() {
                    if self.local.store.state(input) != State::Present {
                        self.schedule.set(input, Outcome::Pending);
                        self.progress.more(1);
                    }
                }
            }
            Ending::OutOfMemory => self.out_of_memory(&stage),
            Ending::CorruptInput => self.failed(&stage, format!("{}: its inputs are damaged again and again", stage.label)),
            Ending::Failed(message) => self.failed(&stage, message),
        }
    }

    /// Trains the same batches in smaller parts, where the stage trains.
    fn out_of_memory(&mut self, stage: &Stage) {
        let parts = 2 * self.parts.get(&stage.key).copied().unwrap_or(1);
        if !stage.work.trains() || parts > MOST_PARTS {
            let message =
                format!("{}: the memory does not suffice; lower --jobs, or give the study smaller batches", stage.label);
            return self.failed(stage, message);
        }
        self.parts.insert(stage.key, parts);
        self.progress.put_back(&stage.key, "out of memory");
        self.progress.line(&format!(
            "{}: the memory did not suffice; it is tried again with every batch in {parts} parts and gradient_checkpointing, which gives the same gradient but for rounding",
            stage.label
        ));
        self.schedule.set(&stage.key, Outcome::Pending);
    }

    fn failed(&mut self, stage: &Stage, message: String) {
        self.progress.finished(&stage.key, "failed");
        self.progress.line(&format!("  {message}"));
        self.schedule.set(&stage.key, Outcome::Failed(message));
    }

    fn ask_to_stop(&mut self) {
        if !self.workers.is_empty() {
            self.progress.line("stopping: training keeps a checkpoint, other stages finish; Ctrl-C again to stop at once");
        }
        for worker in self.workers.values() {
            worker::signal(worker.pid, false);
        }
    }

    /// Ends the workers; what they had not kept is made again next time.
    fn stop_now(&mut self) -> Result<()> {
        for worker in self.workers.values() {
            worker::signal(worker.pid, true);
        }
        while !self.workers.is_empty() {
            let Ok((key, _)) = self.ends.1.recv() else { break };
            self.workers.remove(&key);
            self.progress.finished(&key, "stopped");
            self.schedule.set(&key, Outcome::Cancelled);
        }
        self.schedule.cancel_pending();
        Err(Error::Interrupted)
    }
}
