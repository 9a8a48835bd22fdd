//! Runs a plan's stages, each once, as soon as its inputs are there. Knows keys, not what is in a stage.

mod local;
mod progress;
mod schedule;

pub use local::{CORRUPT_INPUT, cores, run};
pub use progress::{Progress, Verbosity};
pub use schedule::{Outcome, Schedule};
