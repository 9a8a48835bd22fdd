//! How each run went: loss, implicit rewards and log-probs of every step, KL and reward of every checkpoint.

use super::canvas::Drawing;
use super::multiples::{Curve, Plot, grid};
use super::tracks::{Palette, tracks};
use super::{Figures, half};
use crate::report::rows::TrainRow;
use crate::report::theme::{look, order, order_params};

/// Steps of the running mean.
const WINDOW: usize = 10;

/// A column of train.csv: title, description of its axis and value.
type Column = (&'static str, &'static str, fn(&TrainRow) -> Option<f64>);

const COLUMNS: [Column; 5] = [
    ("loss", "loss", |row| Some(row.loss)),
    ("rewards/accuracies", "share of pairs", |row| row.rewards_accuracies),
    ("rewards/margins", "implicit reward", |row| row.rewards_margins),
    ("logps/chosen", "log-prob. (nats)", |row| row.logps_chosen),
    ("logps/rejected", "log-prob. (nats)", |row| row.logps_rejected),
];

/// Draws the figure.
pub fn draw(data: &Figures<'_>) -> Option<Drawing> {
    let tracks = tracks(data.frontier);
    let trained = data.training.iter().map(|(run, _)| (run.method.as_str(), run.params.as_str()));
    let palette = Palette::new(trained.chain(tracks.iter().map(|track| (track.method, track.params))));
    let mut runs: Vec<_> = data.training.iter().collect();
    runs.sort_by(|(a, _), (b, _)| order(&a.method, &b.method).then_with(|| order_params(&a.params, &b.params)));

    let of_steps = COLUMNS.iter().map(|(title, y, value)| {
        let curves = runs.iter().map(|(run, rows)| Curve {
            color: palette.color(&run.method, &run.params),
            marker: None,
            points: smoothed(rows, value),
        });
        Plot { title: (*title).to_owned(), y: (*y).to_owned(), cut: *title != "rewards/accuracies", curves: curves.collect() }
    });
    let of_checkpoints = |title: &str, y: &str, value: fn(&crate::report::rows::FrontierRow) -> (f64, f64)| {
        let curves = tracks.iter().map(|track| Curve {
            color: palette.color(track.method, track.params),
            marker: Some(look(track.method).marker),
            points: track.rows.iter().map(|row| (row.step as f64, value(row).0, half(value(row).1))).collect(),
        });
        Plot { title: title.to_owned(), y: y.to_owned(), cut: true, curves: curves.collect() }
    };
    let mut plots: Vec<Plot> = of_steps.collect();
    plots.push(of_checkpoints("KL", "nats per sequence", |row| (row.kl_mean, row.kl_se)));
    plots.push(of_checkpoints("reward", data.reward_label, |row| (row.reward_mean, row.reward_se)));
    let title = format!("{}: training (running mean of {WINDOW} steps; checkpoints with 95% intervals)", data.study);
    grid(&title, "optimiser step", plots, 4, &palette.entries(false))
}

/// More points than this cannot be told apart in a panel, and make the SVG large.
const POINTS: usize = 400;

/// The mean of a step and up to nine before it, over those that have a finite value; of long runs, evenly spaced steps.
fn smoothed(rows: &[TrainRow], value: &fn(&TrainRow) -> Option<f64>) -> Vec<(f64, f64, f64)> {
    let mut found: Vec<(u64, f64)> =
        rows.iter().filter_map(|row| value(row).filter(|value| value.is_finite()).map(|value| (row.step, value))).collect();
    found.sort_by_key(|(step, _)| *step);
    let mean = |at: usize| {
        let window = &found[at.saturating_sub(WINDOW - 1)..=at];
        window.iter().map(|(_, value)| value / window.len() as f64).sum::<f64>()
    };
    let stride = found.len().div_ceil(POINTS).max(1);
    let last = found.len().checked_sub(1).filter(|last| last % stride != 0);
    (0..found.len()).step_by(stride).chain(last).map(|at| (found[at].0 as f64, mean(at), 0.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_leaves_out_what_is_not_finite() {
        let rows: Vec<TrainRow> = (1..=20)
            .map(|step| TrainRow { step, loss: if step == 3 { f64::NAN } else { step as f64 }, ..TrainRow::default() })
            .collect();
        let points = smoothed(&rows, &COLUMNS[0].2);
        assert_eq!((points.len(), points[0]), (19, (1.0, 1.0, 0.0)));
        assert!((points[18].1 - 15.5).abs() < 1e-9, "{:?}", points[18]);
        assert!(smoothed(&rows, &COLUMNS[1].2).is_empty());
        let many: Vec<TrainRow> = (1..=2002).map(|step| TrainRow { step, ..TrainRow::default() }).collect();
        let points = smoothed(&many, &COLUMNS[0].2);
        assert!(points.len() <= POINTS + 1 && points.last().is_some_and(|last| last.0 == 2002.0));
    }
}
