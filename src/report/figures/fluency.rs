//! The health of what each run writes: entropy, repetition, length and cut completions show a policy that degenerates.

use super::Figures;
use super::canvas::Drawing;
use super::multiples::{Curve, Layout, Plot, grid};
use super::tracks::{Palette, tracks};
use crate::report::rows::FrontierRow;
use crate::report::theme::look;

/// A column of frontier.csv: title, description of its axis and value.
type Column = (&'static str, &'static str, fn(&FrontierRow) -> f64);

const COLUMNS: [Column; 4] = [
    ("entropy of the policy", "nats per token", |row| row.entropy_mean),
    ("distinct bigrams (distinct-2)", "share of bigrams", |row| row.distinct_2),
    ("completion length", "tokens", |row| row.completion_tokens_mean),
    ("completions cut at the limit", "share of completions", |row| row.truncated_share),
];

/// Draws the figure.
pub fn draw(data: &Figures<'_>) -> Option<Drawing> {
    let tracks = tracks(data.frontier);
    let palette = Palette::new(tracks.iter().map(|track| (track.method, track.params)));
    let plots = COLUMNS.iter().map(|(title, y, value)| {
        let curves = tracks.iter().map(|track| Curve {
            color: palette.color(track.method, track.params),
            marker: Some(look(track.method).marker),
            points: track.rows.iter().map(|row| (row.step as f64, value(row), 0.0)).collect(),
            ..Curve::default()
        });
        Plot { title: (*title).to_owned(), y: (*y).to_owned(), cut: false, curves: curves.collect(), ..Plot::default() }
    });
    let title = format!("{}: health of the samples", data.study);
    grid(&title, "optimiser step", plots.collect(), Layout::small(2), &palette.entries(true))
}
