//! Ctrl-C: once to finish or checkpoint what runs and stop, twice to stop now.

use crate::error::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// What a person, or a machine that shuts down, asked this process for since it began to listen.
#[derive(Clone, Debug, Default)]
pub struct Interrupts {
    asked: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl Interrupts {
    /// Listens for Ctrl-C, and for the signals that end a process, from now on.
    pub fn listen() -> Result<Self> {
        let interrupts = Interrupts::default();
        let heard = interrupts.clone();
        ctrlc::set_handler(move || heard.hear()).map_err(Error::other)?;
        Ok(interrupts)
    }

    /// As if somebody had asked.
    pub fn hear(&self) {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.stop.store(true, Ordering::SeqCst);
    }

    /// Whether nothing new may start.
    pub fn stopping(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Whether nothing may be waited for.
    pub fn now(&self) -> bool {
        self.asked.load(Ordering::SeqCst) > 1
    }

    /// Set once something was asked.
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }
}
