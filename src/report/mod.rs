//! CSVs, figures and the HTML report, made from the store alone.

mod artifacts;
mod best;
pub mod blank;
mod choices;
mod collect;
mod compare;
mod escape;
pub mod figures;
mod headline;
pub mod html;
mod judged;
pub mod judged_rows;
mod measured;
mod optimum;
mod origins;
mod page;
mod past;
mod preferences;
mod provenance;
mod public;
mod published;
pub mod rows;
mod sections;
mod seeds;
mod side_by_side;
mod summary;
mod tables;
pub mod theme;
mod win_rates;
mod write;

pub use artifacts::Artifacts;
pub use collect::calibration_file;
pub use compare::{Comparison, Difference, Number, compare};
pub use past::{PastRun, statuses};
pub use provenance::{Build, Datum, Provenance, StageRecord, write as write_provenance};
pub use write::{Written, write};
