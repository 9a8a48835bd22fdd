//! CSVs, figures and the HTML report, made from the store alone.

pub mod blank;
mod collect;
pub mod figures;
pub mod html;
mod optimum;
mod page;
mod preferences;
pub mod rows;
mod seeds;
mod summary;
mod tables;
pub mod theme;
mod write;

pub use write::{Written, write};
