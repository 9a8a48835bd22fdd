//! How long each run's completions get: preferences for length are the commonest thing that a policy learns by mistake.

use super::Figures;
use super::axis::Axis;
use super::canvas::Drawing;
use super::multiples::{Curve, Layout, Plot, grid, kl_axis};
use super::tracks::{Palette, tracks};
use crate::report::rows::FrontierRow;
use crate::report::theme::look;

/// A figure of lengths that stay within this share of the reference's would say nothing.
const CHANGE: f64 = 0.05;

/// Draws the figure, where some checkpoint's mean length differs by more than 5% from where its run began.
pub fn draw(data: &Figures<'_>) -> Option<Drawing> {
    let tracks = tracks(data.frontier);
    let length = |row: &FrontierRow| row.completion_tokens_mean;
    let changed = |rows: &[&FrontierRow]| {
        let first = rows.first().map_or(f64::NAN, |row| length(row));
        rows.iter().any(|row| (length(row) - first).abs() > CHANGE * first)
    };
    if !tracks.iter().any(|track| changed(&track.rows)) {
        return None;
    }
    let palette = Palette::new(tracks.iter().map(|track| (track.method, track.params)));
    let plot = |title: &str, x: Option<Axis>, at: fn(&FrontierRow) -> f64| {
        let curves = tracks.iter().map(|track| Curve {
            color: palette.color(track.method, track.params),
            marker: Some(look(track.method).marker),
            points: track.rows.iter().map(|row| (at(row), length(row), 0.0)).collect(),
            ..Curve::default()
        });
        Plot { title: title.to_owned(), y: "tokens".to_owned(), x, curves: curves.collect(), ..Plot::default() }
    };
    let kls = tracks.iter().flat_map(|track| track.rows.iter().map(|row| row.kl_mean));
    let plots = vec![
        plot("mean completion length", None, |row| row.step as f64),
        plot("against KL", Some(kl_axis(kls)), |row| row.kl_mean),
    ];
    let title = format!("{}: completion length", data.study);
    grid(&title, "optimiser step", plots, Layout::large(2), &palette.entries(true))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Made, row};
    use super::*;

    #[test]
    fn lengths_are_shown_where_they_change() {
        let study = |lengths: [f64; 2]| {
            let rows = [0, 1].map(|at| FrontierRow {
                completion_tokens_mean: lengths[at],
                ..row("dpo", "beta=0.1", at as u64 * 100, at as f64, 0.5)
            });
            Made { frontier: rows.into(), ..Made::default() }
        };
        assert!(study([20.0, 20.9]).draw(draw).is_none());
        let shown = study([20.0, 18.0]).svg(draw);
        for text in ["mean completion length", "tokens", "against KL", "DPO"] {
            assert!(shown.lines().any(|line| line.trim() == text), "{text}");
        }
    }
}
