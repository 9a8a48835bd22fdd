//! dpo-lab: one experiment file describes a whole study of preference optimisation.
//!
//! ```text
//! experiment file -> resolve -> plan (stage graph) -> executor -> stages -> store (artifacts) -> report (CSV, figures, HTML)
//!      spec/         data digests    plan/             exec/      stages/    store/             report/
//! ```
//!
//! Data flows one way. `methods`, `tasks`, `judges`, `models`, `ops`, `train`, `data` and `stats` are leaves that stages use.

#[macro_use]
mod console;

pub mod bench;
mod bounded;
mod build_info;
pub mod cli;
pub mod data;
pub mod error;
pub mod exec;
mod guard;
pub mod hub;
pub mod human;
pub mod judges;
mod machine;
pub mod methods;
pub mod models;
pub mod ops;
pub mod plan;
pub mod random;
pub mod report;
pub mod resolve;
pub mod spec;
pub mod stages;
pub mod stats;
pub mod store;
pub mod tasks;
pub mod tracking;
pub mod train;
mod watch;
mod web;
