//! The experiment file: TOML with places, `extends`, `--set` and sweep axes on one side, a typed [`Study`] on the other.

mod executor;
mod judging;
mod load;
mod paper;
mod run;
mod settings;
mod source;
mod study;
mod sweep;
mod task;
mod tasks;
mod tracking;
pub mod tree;
mod validate;
mod validate_judging;
mod validate_training;

pub use executor::{Executors, Slurm};
pub use judging::{Baseline, Judge, JudgeFile, load_judges};
pub use load::{Loaded, load};
pub use run::*;
pub use settings::{flat, settings};
pub use source::{Problem, Span};
pub use study::*;
pub use tasks::*;
pub use tracking::Tracking;
pub use tree::Table;
