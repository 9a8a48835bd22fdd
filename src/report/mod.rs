//! CSVs, figures and the HTML report, made from the store alone.

mod best;
pub mod blank;
mod choices;
mod collect;
pub mod figures;
pub mod html;
mod judged;
pub mod judged_rows;
mod optimum;
mod page;
mod preferences;
mod published;
pub mod rows;
mod seeds;
mod side_by_side;
mod summary;
mod tables;
pub mod theme;
mod win_rates;
mod write;

pub use collect::calibration_file;
pub use write::{Written, write};
