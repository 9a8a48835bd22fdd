//! The tasks: where their text and prompts come from, and what their true reward is. One file each.

pub mod dialogue;
pub mod given;
pub mod oracle;
pub mod preference;
pub mod reward;
pub mod rows;
pub mod sentiment;
pub mod summarisation;
pub mod tree;
