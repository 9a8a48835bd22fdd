//! Statistics that every number of a report rests on. All of them are pure, and in f64.

mod agreement;
mod best_of_n;
mod bootstrap;
mod calibration;
mod comparison;
mod degenerate;
mod exact_best_of_n;
mod frontier;
mod hierarchical;
mod length_control;
mod mean;
mod optimum;
#[cfg(test)]
mod population;
mod proportion;
mod reweighted;
#[cfg(test)]
mod simulated_judge;
mod student;
mod win_rate;

pub use agreement::{Agreement, AgreementRow, Kappa, Rating, Sides, agreement, agreement_row};
pub use best_of_n::{best_of_n, kl_bound};
pub use bootstrap::{Estimate, Resamples};
pub use calibration::{Calibration, CorrectedRate, calibrate};
pub use comparison::{PairedDifference, paired_difference, paired_means, resolvable};
pub use degenerate::degenerate;
pub use frontier::{Frontier, Point};
pub use hierarchical::{AcrossSeeds, across_seeds};
pub use length_control::{LengthControlled, length_controlled};
pub use mean::{Mean, clustered_mean};
pub use optimum::{Enumerated, log_spaced, mean_kl};
#[cfg(test)]
pub use population::{Labels, population_loss};
pub use proportion::{Proportion, clustered_proportion};
pub use reweighted::{Reweighted, reweighted_frontier};
pub use win_rate::{JudgedPair, Outcome, WinRate, win_rate};
