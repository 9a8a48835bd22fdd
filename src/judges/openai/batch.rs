//! Asking many questions at once: threads that share a queue, and for each question as many tries as it takes.

use super::backoff::Pauses;
use super::client::{Client, Failure, Reply};
use super::estimate::{input_tokens, likely_tokens, most_tokens};
use super::ledger::Entry;
use super::settings::Settings;
use super::templates::REMINDER;
use super::verdict::settled;
use super::wallet::Wallet;
use crate::error::{Doing, Error, Result};
use crate::random::Stream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

/// How often a thread that pauses looks whether the batch has been halted.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A question in words, as the server gets it.
pub(super) struct Request {
    /// The digest of everything that decides the answer.
    pub digest: String,
    /// The user's message.
    pub text: String,
    /// How many of the questions come to this.
    pub questions: usize,
}

/// Whether to go on: a person may interrupt, and a thread may meet what ends the batch.
pub(super) struct Halt<'a> {
    interrupted: &'a AtomicBool,
    failed: AtomicBool,
}

impl<'a> Halt<'a> {
    pub fn new(interrupted: &'a AtomicBool) -> Self {
        Halt { interrupted, failed: AtomicBool::new(false) }
    }

    /// Fails if the batch is to end.
    pub fn check(&self) -> Result<()> {
        let halted = self.interrupted.load(Ordering::SeqCst) || self.failed.load(Ordering::SeqCst);
        if halted { Err(Error::Interrupted) } else { Ok(()) }
    }

    /// Sleeps, and fails as soon as the batch is to end.
    fn pause(&self, length: Duration) -> Result<()> {
        let began = Instant::now();
        loop {
            self.check()?;
            match length.checked_sub(began.elapsed()) {
                Some(rest) if !rest.is_zero() => std::thread::sleep(rest.min(LOOK_AGAIN)),
                _ => return Ok(()),
            }
        }
    }
}

/// Requests that are asked together.
pub(super) struct Batch<'a> {
    pub settings: &'a Settings,
    pub client: &'a Client,
    pub pauses: Pauses,
    pub wallet: &'a Wallet<'a>,
    pub halt: Halt<'a>,
    pub requests: &'a [&'a Request],
}

impl Batch<'_> {
    /// Asks everything; the answers are in the ledger then. `done` is told of each request that is settled.
    ///
    /// Fails with the first thing that ends the batch; requests that are in flight at that time are waited for and kept.
    pub fn run(&self, mut done: impl FnMut(&Request)) -> Result<()> {
        let next = AtomicUsize::new(0);
        let (sender, settled) = channel();
        std::thread::scope(|scope| {
            let mut threads = Vec::new();
            for _ in 0..self.settings.concurrency.min(self.requests.len()) {
                let (sender, next) = (sender.clone(), &next);
                let work = move || {
                    let result = self.work(next, &sender);
                    self.halt.failed.fetch_or(result.is_err(), Ordering::SeqCst);
                    result
                };
                match std::thread::Builder::new().spawn_scoped(scope, work).doing("start a thread for", Path::new("the judge")) {
                    Ok(thread) => threads.push(thread),
                    // With some threads it only takes longer.
                    Err(error) if threads.is_empty() => return Err(error),
                    Err(_) => break,
                }
            }
            drop(sender);
            settled.iter().for_each(|number: usize| done(self.requests[number]));
            let ended = threads.into_iter().map(|thread| {
                thread.join().unwrap_or_else(|_| Err(Error::Other("a thread of the judge failed; this is a bug".to_owned())))
            });
            // Threads that were halted by another one say that they were interrupted.
            let mut errors: Vec<Error> = ended.filter_map(Result::err).collect();
            errors.sort_by_key(|error| matches!(error, Error::Interrupted));
            errors.into_iter().next().map_or(Ok(()), Err)
        })
    }

    fn work(&self, next: &AtomicUsize, done: &Sender<usize>) -> Result<()> {
        loop {
            let number = next.fetch_add(1, Ordering::SeqCst);
            let Some(request) = self.requests.get(number) else { return Ok(()) };
            self.settle(request)?;
            // Nobody listens any more only where the batch is at its end.
            let _ = done.send(number);
        }
    }

    /// Asks until there is a verdict or no hope of one, counting answers of earlier runs.
    fn settle(&self, request: &Request) -> Result<()> {
        // The start of a digest is as good a number as any.
        let row = request.digest.get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or_default();
        let mut jitter = Stream::new(0, 0, "judge back-off", row);
        loop {
            let answers = self.wallet.answers(&request.digest);
            if settled(&answers).is_some() {
                return Ok(());
            }
            // The same words would get the same answer from a judge at temperature 0.
            let reminder = if answers.is_empty() { "" } else { REMINDER };
            self.ask(&request.digest, &format!("{}{reminder}", request.text), &mut jitter)?;
        }
    }

    /// Gets one answer, readable or not, into the ledger.
    fn ask(&self, digest: &str, text: &str, jitter: &mut Stream) -> Result<()> {
        let most = self.settings.price(most_tokens(text), self.settings.max_tokens).unwrap_or_default();
        let mut failed = 0;
        loop {
            self.wallet.reserve(most, &self.halt)?;
            let result = self.client.send(text);
            self.wallet.settle(most, self.entry(digest, text, &result))?;
            let Err(failure) = result else { return Ok(()) };
            failed += 1;
            if failed > self.settings.retries || !failure.may_pass() {
                return Err(self.client.explain(&failure, failed));
            }
            self.halt.pause(self.pauses.after(failed, failure.retry_after(), jitter))?;
        }
    }

    /// The line for a request; none if it did not get out.
    ///
    /// Where the answer is lost the server may have made it and charge for it, so it counts with all the tokens that it may
    /// have had.
    fn entry(&self, question: &str, text: &str, result: &Result<Reply, Failure>) -> Option<Entry> {
        let (tokens, failure) = match result {
            Ok(reply) => (reply.tokens, None),
            Err(failure) if !failure.was_sent() => return None,
            Err(failure) => (failure.is_free().then_some((0, 0)), Some(failure.to_string())),
        };
        let answer = result.as_ref().ok().map(|reply| reply.text.clone());
        let written = answer.as_ref().map_or(self.settings.max_tokens, |answer| likely_tokens(answer.len()));
        let (input, output) = tokens.unwrap_or((input_tokens(text.len()), written));
        let cost = self.settings.price(input, output);
        let (question, estimated) = (question.to_owned(), tokens.is_none());
        Some(Entry { question, answer, failure, input_tokens: input, output_tokens: output, estimated, cost })
    }
}
