//! Every figure of a study: one file and one line of [`ALL`] each.

use crate::error::{Doing, Result};
use crate::report::judged_rows::WinRateRow;
use crate::report::rows::{BestOfNRow, FrontierRow, OptimumRow, OracleRow, PreferencesRow, SeedsRow, TrainRow};
use crate::report::theme::kind;
use canvas::Drawing;
use std::path::{Path, PathBuf};

pub mod axis;
pub mod best_of_n;
pub mod canvas;
pub mod convergence;
pub mod displacement;
pub mod fluency;
pub mod frontier;
pub mod heatmap;
pub mod legend;
pub mod lengths;
pub mod multiples;
pub mod optimum;
pub mod oracle;
pub mod out_of_distribution;
pub mod overoptimisation;
pub mod panel;
pub mod ppo;
pub mod preferences;
pub mod render;
pub mod seeds;
pub mod steps;
pub mod sweep;
pub mod swept;
pub mod tracks;
pub mod training;
pub mod win_rates;
pub mod winrate_steps;
pub mod winrate_temperature;

/// What the figures are drawn from.
#[derive(Clone, Copy, Debug)]
pub struct Figures<'a> {
    /// Name of the study.
    pub study: &'a str,
    /// What the true reward is, for axes: `mean true reward (sentiment probability)`.
    pub reward_label: &'a str,
    /// Rows of frontier.csv.
    pub frontier: &'a [FrontierRow],
    /// Rows of best_of_n.csv.
    pub best_of_n: &'a [BestOfNRow],
    /// Rows of preferences.csv.
    pub preferences: &'a [PreferencesRow],
    /// Rows of every run's train.csv.
    pub training: &'a [(RunLabel, Vec<TrainRow>)],
    /// Rows of oracle.csv.
    pub oracle: &'a [OracleRow],
    /// Rows of optimum.csv.
    pub optimum: &'a [OptimumRow],
    /// Rows of seeds.csv.
    pub seeds: &'a [SeedsRow],
    /// Rows of winrate.csv.
    pub win_rates: &'a [WinRateRow],
}

/// Which run a train.csv is of.
#[derive(Clone, Debug, PartialEq)]
pub struct RunLabel {
    /// Name of the run.
    pub run: String,
    /// Name of its method.
    pub method: String,
    /// Swept parameters: `beta=0.1;learning_rate=0.0001`.
    pub params: String,
    /// Its seed.
    pub seed: u64,
    /// The factor of its implicit rewards in train.csv, where it has a reference.
    pub beta: Option<f64>,
}

impl RunLabel {
    /// The method, as figures tell it apart.
    pub fn kind(&self) -> &str {
        kind(&self.method, &self.params)
    }
}

/// Composes a figure, or nothing where there are no data for it.
type Draw = fn(&Figures<'_>) -> Option<Drawing>;

/// Every figure: the name of its files, and what draws it.
pub const ALL: [(&str, Draw); 17] = [
    ("frontier", frontier::draw),
    ("winrate_temperature", winrate_temperature::draw),
    ("winrate_steps", winrate_steps::draw),
    ("out_of_distribution", out_of_distribution::draw),
    ("best_of_n", best_of_n::draw),
    ("preferences", preferences::draw),
    ("sweep", sweep::draw),
    ("heatmap", heatmap::draw),
    ("seeds", seeds::draw),
    ("overoptimisation", overoptimisation::draw),
    ("oracle", oracle::draw),
    ("convergence", convergence::draw),
    ("training", training::draw),
    ("ppo", ppo::draw),
    ("displacement", displacement::draw),
    ("lengths", lengths::draw),
    ("health", fluency::draw),
];

/// Writes NAME.svg and NAME.png (at twice the size) of every figure that has data into `folder`; returns their paths.
pub fn draw_all(data: &Figures<'_>, folder: &Path) -> Result<Vec<PathBuf>> {
    let mut written = Vec::new();
    for (name, draw) in ALL {
        match draw(data) {
            Some(drawing) => written.extend(render::save(&drawing, folder, name)?),
            // One of an earlier plan would be taken for this one's.
            None => ["svg", "png"].iter().try_for_each(|ending| remove(&folder.join(format!("{name}.{ending}"))))?,
        }
    }
    Ok(written)
}

fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).doing("remove", path),
        _ => Ok(()),
    }
}

/// Half the width of a 95% interval from a standard error; 0 where that is not known.
fn half(se: f64) -> f64 {
    if se.is_finite() { 1.96 * se.abs() } else { 0.0 }
}

#[cfg(test)]
mod tests;
