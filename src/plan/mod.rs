//! What a study means: a graph of stages with content keys. Pure: no files, no tensors.

pub mod cost;
mod data;
mod graph;
mod judging;
mod keep;
mod kind;
mod runs;
mod stage;
mod tasks;
mod why;
mod work;

pub use graph::{Drawn, Judged, Plan, PromptSet, RunPlan, build};
pub use judging::subject;
pub use kind::Kind;
pub use stage::Stage;
pub use why::{Saved, SavedStage, changes};
pub use work::{ModelRole, Split, Work};
