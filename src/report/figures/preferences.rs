//! Held-out comparisons: how often, and by how much, every checkpoint prefers the chosen completion, and how likely that makes the
//! labels.

use super::canvas::Drawing;
use super::multiples::{Curve, Layout, Plot, grid};
use super::tracks::{Palette, tracks};
use super::{Figures, half};
use crate::report::rows::PreferencesRow;
use crate::report::theme::look;

/// Title, axis, value and standard error.
type Column = (&'static str, &'static str, fn(&PreferencesRow) -> (f64, f64));

const COLUMNS: [Column; 3] = [
    ("accuracy", "share of comparisons", |row| (row.accuracy, row.accuracy_se)),
    ("margin", "implicit reward", |row| (row.margin, row.margin_se)),
    ("loss", "−log σ(margin)", |row| (row.loss, row.loss_se)),
];

/// Draws the figure, step by step: one run that leaves the reference far behind would flatten all others against KL.
pub fn draw(data: &Figures<'_>) -> Option<Drawing> {
    if data.preferences.is_empty() {
        return None;
    }
    let tracks = tracks(data.frontier);
    let palette = Palette::new(tracks.iter().map(|track| (track.method, track.params)));
    let plots = COLUMNS.iter().map(|(title, y, value)| {
        let curves = tracks.iter().map(|track| {
            let points = track.rows.iter().filter_map(|at| {
                let row = data.preferences.iter().find(|row| (&row.run, row.step) == (&at.run, at.step))?;
                let (value, error) = value(row);
                Some((at.step as f64, value, half(error)))
            });
            Curve {
                color: palette.color(track.method, track.params),
                marker: Some(look(track.method).marker),
                points: points.collect(),
                ..Curve::default()
            }
        });
        Plot {
            title: (*title).to_owned(),
            y: (*y).to_owned(),
            cut: *title != "accuracy",
            curves: curves.collect(),
            ..Plot::default()
        }
    });
    let title = format!("{}: held-out comparisons (95% intervals, clustered by prompt)", data.study);
    grid(&title, "optimiser step", plots.collect(), Layout::small(3), &palette.entries(true))
}
