//! The experiment file: TOML with places, `extends`, `--set` and sweep axes on one side, a typed [`Study`] on the other.

mod load;
mod paper;
mod source;
mod study;
mod sweep;
mod task;
pub mod tree;
mod validate;

pub use load::{Loaded, load};
pub use source::{Problem, Span};
pub use study::*;
pub use tree::Table;
