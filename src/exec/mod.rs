//! Runs a plan's stages, each once, as soon as its inputs are there. Knows keys, not what is in a stage.

mod interrupts;
mod local;
mod progress;
mod schedule;
mod slots;
pub mod slurm;
mod worker;

pub use interrupts::Interrupts;
pub use local::{Local, Memory, run};
pub use progress::{Progress, Verbosity};
pub use schedule::{Outcome, Schedule};
pub use slots::{Slots, devices};
pub use worker::CORRUPT_INPUT;

/// Cores that this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
