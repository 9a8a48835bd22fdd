//! The tasks: where their text and prompts come from, and what their true reward is. One file each.

pub mod dialogue;
pub mod rows;
pub mod sentiment;
