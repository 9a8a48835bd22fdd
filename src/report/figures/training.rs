//! How each run went: loss, implicit rewards and log-probs of every step, KL and reward of every checkpoint.

use super::canvas::Drawing;
use super::multiples::{Curve, Layout, Plot, grid};
use super::steps::{Column, WINDOW, plots, runs};
use super::tracks::{Palette, tracks};
use super::{Figures, half};
use crate::report::rows::FrontierRow;
use crate::report::theme::look;

const COLUMNS: [Column; 5] = [
    ("loss", "loss", |row| Some(row.loss), true),
    ("rewards/accuracies", "share of pairs", |row| row.rewards_accuracies, false),
    ("rewards/margins", "implicit reward", |row| row.rewards_margins, true),
    ("logps/chosen", "log-prob. (nats)", |row| row.logps_chosen, true),
    ("logps/rejected", "log-prob. (nats)", |row| row.logps_rejected, true),
];

/// Draws the figure.
pub fn draw(data: &Figures<'_>) -> Option<Drawing> {
    let tracks = tracks(data.frontier);
    let runs = runs(data);
    let trained = runs.iter().map(|(run, _)| (run.kind(), run.params.as_str()));
    let palette = Palette::new(trained.chain(tracks.iter().map(|track| (track.method, track.params))));
    let of_checkpoints = |title: &str, y: &str, value: fn(&FrontierRow) -> (f64, f64)| {
        let curves = tracks.iter().map(|track| Curve {
            color: palette.color(track.method, track.params),
            marker: Some(look(track.method).marker),
            points: track.rows.iter().map(|row| (row.step as f64, value(row).0, half(value(row).1))).collect(),
            ..Curve::default()
        });
        Plot { title: title.to_owned(), y: y.to_owned(), cut: true, curves: curves.collect(), ..Plot::default() }
    };
    let mut plots = plots(&runs, &palette, &COLUMNS);
    plots.push(of_checkpoints("KL", "nats per sequence", |row| (row.kl_mean, row.kl_se)));
    plots.push(of_checkpoints("reward", data.reward_label, |row| (row.reward_mean, row.reward_se)));
    let title = format!("{}: training (running mean of {WINDOW} steps; checkpoints with 95% intervals)", data.study);
    grid(&title, "optimiser step", plots, Layout::small(4), &palette.entries(false))
}
