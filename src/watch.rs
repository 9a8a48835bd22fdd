//! Somebody else's parser at work on somebody else's data, watched: where it takes more memory or time than honest data ever
//! needs, it is given up with an error instead of taking the machine down.
//!
//! Rust cannot stop a thread, and the libraries that this is for have no limits of their own. So what was given up goes on until
//! the process ends, which the error is about to bring about.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// How often the memory is looked at. A machine fills some ten megabytes meanwhile.
const LOOK: Duration = Duration::from_millis(5);
/// What takes no longer is not looked at: almost everything.
const QUICK: Duration = Duration::from_millis(1);

/// What one answer may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// By how many bytes the process may grow while it waits. Looked at where the system has /proc, on Linux.
    pub memory: u64,
    /// How long it may wait.
    pub time: Duration,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exceeded {
    /// It took too much memory.
    Memory,
    /// It took too long.
    Time,
    /// The thread has ended: by a panic, or since an answer was given up before.
    Gone,
}

/// A thread that answers questions one after another.
#[derive(Debug)]
pub struct Watched<Q, A> {
    questions: Sender<Q>,
    answers: Receiver<A>,
    limits: Limits,
}

impl<Q: Send + 'static, A: Send + 'static> Watched<Q, A> {
    /// Starts the thread; it ends with the last of its callers.
    pub fn start(limits: Limits, mut answer: impl FnMut(Q) -> A + Send + 'static) -> std::io::Result<Self> {
        let (questions, asked) = channel::<Q>();
        let (answered, answers) = channel();
        let work = move || {
            for question in asked {
                if answered.send(answer(question)).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("watched".to_owned()).spawn(work)?;
        Ok(Watched { questions, answers, limits })
    }

    /// The answer, or why it was given up. No question may follow one that was.
    pub fn ask(&self, question: Q) -> Result<A, Exceeded> {
        self.questions.send(question).map_err(|_| Exceeded::Gone)?;
        let began = Instant::now();
        let (mut wait, mut before) = (QUICK, None);
        loop {
            match self.answers.recv_timeout(wait) {
                Ok(answer) => return Ok(answer),
                Err(RecvTimeoutError::Disconnected) => return Err(Exceeded::Gone),
                Err(RecvTimeoutError::Timeout) => {}
            }
            wait = LOOK;
            let (now, first) = (resident(), before.is_none());
            let before = *before.get_or_insert(now);
            if !first && now.saturating_sub(before) > self.limits.memory {
                return Err(Exceeded::Memory);
            }
            if began.elapsed() > self.limits.time {
                return Err(Exceeded::Time);
            }
        }
    }
}

/// Bytes of this process that are in memory; 0 where the system does not say.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kilobytes| kilobytes.parse::<u64>().ok()).unwrap_or_default() << 10
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Limits = Limits { memory: 64 << 20, time: Duration::from_secs(60) };

    #[test]
    fn answers_come_in_order() {
        let watched = Watched::start(MINUTE, |number: u32| number * 2).unwrap();
        assert_eq!((watched.ask(1), watched.ask(2)), (Ok(2), Ok(4)));
    }

    #[test]
    fn a_thread_that_panics_gives_no_answer() {
        let watched = Watched::start(MINUTE, |fails: bool| assert!(!fails, "on purpose")).unwrap();
        assert_eq!(watched.ask(false), Ok(()));
        assert_eq!((watched.ask(true), watched.ask(false)), (Err(Exceeded::Gone), Err(Exceeded::Gone)));
    }

    #[test]
    fn what_takes_too_long_is_given_up() {
        let limits = Limits { time: Duration::from_millis(20), ..MINUTE };
        let watched = Watched::start(limits, |()| std::thread::sleep(Duration::from_millis(400))).unwrap();
        assert_eq!(watched.ask(()), Err(Exceeded::Time));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_takes_too_much_memory_is_given_up() {
        let hog = |()| {
            let mut held = Vec::new();
            for _ in 0..100 {
                held.push(vec![1u8; 4 << 20]);
                std::thread::sleep(Duration::from_millis(2));
            }
            held.len()
        };
        assert_eq!(Watched::start(MINUTE, hog).unwrap().ask(()), Err(Exceeded::Memory));
    }
}
