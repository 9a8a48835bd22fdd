//! Data: built-in worlds and readers of files.

pub mod builtin;
pub mod reviews;
