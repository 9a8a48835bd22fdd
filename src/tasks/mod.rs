//! The tasks: where their text and prompts come from, and what their true reward is. One file each.

pub mod dialogue;
pub mod oracle;
pub mod reward;
pub mod rows;
pub mod sentiment;
pub mod tree;
