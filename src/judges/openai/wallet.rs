//! The budget while questions are in flight: each reserves the most that it may cost before it is sent, so that no number of
//! threads can spend more than there is.

use super::batch::Halt;
use super::ledger::{Contents, Entry, Ledger, Spent};
use super::settings::Settings;
use crate::error::{Error, Result};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often a thread that waits for its turn looks whether the batch has been halted.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Sums of prices are exact to rounding only.
const ROUNDING: f64 = 1.0 + 1e-9;

/// A ledger, and what is reserved beside it.
pub(super) struct Wallet<'a> {
    settings: &'a Settings,
    books: Mutex<Books>,
    settled: Condvar,
}

struct Books {
    ledger: Ledger,
    reserved: Spent,
}

impl<'a> Wallet<'a> {
    pub fn new(settings: &'a Settings, ledger: Ledger) -> Self {
        Wallet { settings, books: Mutex::new(Books { ledger, reserved: Spent::default() }), settled: Condvar::new() }
    }

    /// Reserves one call of this cost, waiting for calls in flight to turn out cheaper.
    ///
    /// Fails when the batch is halted, or when nothing is in flight and the budget does not reach.
    pub fn reserve(&self, cost: f64, halt: &Halt<'_>) -> Result<()> {
        let mut books = self.books();
        loop {
            halt.check()?;
            let (spent, reserved) = (books.ledger.contents.spent, books.reserved);
            let after = Spent { calls: spent.calls + reserved.calls + 1, cost: spent.cost + reserved.cost + cost };
            let Some(limit) = exceeded(self.settings, after) else {
                books.reserved = Spent { calls: reserved.calls + 1, cost: reserved.cost + cost };
                return Ok(());
            };
            if reserved.calls == 0 {
                return Err(Error::Other(format!(
                    "the judge's budget is spent: {limit} does not reach for another call, after {}; what was answered is kept: \
                     raise it and give the same command again",
                    describe(self.settings, spent)
                )));
            }
            books = self.settled.wait_timeout(books, LOOK_AGAIN).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Gives back a reservation of this cost and writes down what came of it; nothing, if the request did not get out.
    pub fn settle(&self, cost: f64, entry: Option<Entry>) -> Result<()> {
        let mut books = self.books();
        let calls = books.reserved.calls - 1;
        books.reserved = Spent { calls, cost: if calls == 0 { 0.0 } else { books.reserved.cost - cost } };
        let written = entry.map_or(Ok(()), |entry| books.ledger.append(entry, self.settings));
        self.settled.notify_all();
        written
    }

    /// The answers to a question so far.
    pub fn answers(&self, question: &str) -> Vec<String> {
        self.books().ledger.contents.answers(question).to_vec()
    }

    /// Ends a batch: all lines are on the disk.
    pub fn close(self) -> Result<Contents> {
        let books = self.books.into_inner().unwrap_or_else(PoisonError::into_inner);
        books.ledger.sync()?;
        Ok(books.ledger.contents)
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Fails where `missing` questions, of about this cost in all, are more than the budget has left.
pub(super) fn check_budget(settings: &Settings, spent: Spent, missing: u64, cost: f64) -> Result<()> {
    let after = Spent { calls: spent.calls + missing, cost: spent.cost + cost };
    let Some(limit) = exceeded(settings, after) else { return Ok(()) };
    let needed = match settings.max_cost {
        Some(_) => format!("{missing} more calls at about {cost:.4}"),
        None => format!("{missing} more calls"),
    };
    Err(Error::Data(format!(
        "the judge's budget does not reach: {needed} are needed, and of {limit} there are left {}, after {}; raise it, or judge \
         fewer prompts; nothing was asked",
        left(settings, spent),
        describe(settings, spent)
    )))
}

/// The limit of the settings that is below this, as it is written there.
fn exceeded(settings: &Settings, spent: Spent) -> Option<String> {
    if let Some(most) = settings.max_calls
        && spent.calls > most
    {
        return Some(format!("max_calls = {most}"));
    }
    settings.max_cost.filter(|most| spent.cost > most * ROUNDING).map(|most| format!("max_cost = {most}"))
}

fn left(settings: &Settings, spent: Spent) -> String {
    let calls = settings.max_calls.map(|most| format!("{} calls", most.saturating_sub(spent.calls)));
    let cost = settings.max_cost.map(|most| format!("{:.4} in money", (most - spent.cost).max(0.0)));
    [calls, cost].into_iter().flatten().collect::<Vec<_>>().join(" and ")
}

fn describe(settings: &Settings, spent: Spent) -> String {
    match settings.price(0, 0) {
        Some(_) => format!("{} calls that cost {:.4}", spent.calls, spent.cost),
        None => format!("{} calls", spent.calls),
    }
}
