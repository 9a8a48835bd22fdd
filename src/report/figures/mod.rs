//! Every figure of a study: one file and one line of [`ALL`] each.

use crate::error::Result;
use crate::report::rows::{BestOfNRow, FrontierRow, PreferencesRow, TrainRow};
use canvas::Drawing;
use std::path::{Path, PathBuf};

pub mod axis;
pub mod best_of_n;
pub mod canvas;
pub mod fluency;
pub mod frontier;
pub mod legend;
pub mod multiples;
pub mod panel;
pub mod preferences;
pub mod render;
pub mod tracks;
pub mod training;

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
}

/// Which run a train.csv is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunLabel {
    /// Name of the run.
    pub run: String,
    /// Name of its method.
    pub method: String,
    /// Swept parameters: `beta=0.1;learning_rate=0.0001`.
    pub params: String,
    /// Its seed.
    pub seed: u64,
}

/// Composes a figure, or nothing where there are no data for it.
type Draw = fn(&Figures<'_>) -> Option<Drawing>;

/// Every figure: the name of its files, and what draws it.
pub const ALL: [(&str, Draw); 5] = [
    ("frontier", frontier::draw),
    ("best_of_n", best_of_n::draw),
    ("preferences", preferences::draw),
    ("training", training::draw),
    ("health", fluency::draw),
];

/// Writes NAME.svg and NAME.png (at twice the size) of every figure that has data into `folder`; returns their paths.
pub fn draw_all(data: &Figures<'_>, folder: &Path) -> Result<Vec<PathBuf>> {
    let mut written = Vec::new();
    for (name, draw) in ALL {
        if let Some(drawing) = draw(data) {
            written.extend(render::save(&drawing, folder, name)?);
        }
    }
    Ok(written)
}

/// Half the width of a 95% interval from a standard error; 0 where that is not known.
fn half(se: f64) -> f64 {
    if se.is_finite() { 1.96 * se.abs() } else { 0.0 }
}

#[cfg(test)]
mod tests;
