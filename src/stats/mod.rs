//! Statistics that every number of a report rests on. All of them are pure, and in f64.

mod best_of_n;
mod bootstrap;
mod frontier;
mod mean;

pub use best_of_n::{best_of_n, kl_bound};
pub use bootstrap::{Estimate, Resamples};
pub use frontier::{Frontier, Point};
pub use mean::{Mean, clustered_mean};
