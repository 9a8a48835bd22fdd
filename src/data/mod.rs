//! Data: built-in worlds and readers of files.

pub mod builtin;
pub mod files;
pub mod formats;
pub mod read;
pub mod reviews;
