//! Statistics that every number of a report rests on. All of them are pure, and in f64.

mod best_of_n;
mod bootstrap;
mod exact_best_of_n;
mod frontier;
mod hierarchical;
mod mean;
mod optimum;
#[cfg(test)]
mod population;
mod reweighted;

pub use best_of_n::{best_of_n, kl_bound};
pub use bootstrap::{Estimate, Resamples};
pub use frontier::{Frontier, Point};
pub use hierarchical::{AcrossSeeds, across_seeds};
pub use mean::{Mean, clustered_mean};
pub use optimum::{Enumerated, log_spaced, mean_kl};
#[cfg(test)]
pub use population::{Labels, population_loss};
pub use reweighted::{Reweighted, reweighted_frontier};
