//! What train.csv says of every optimiser step, smoothed so that runs can be told apart.

use super::multiples::{Curve, Plot};
use super::tracks::Palette;
use super::{Figures, RunLabel};
use crate::report::rows::TrainRow;
use crate::report::theme::{order, order_params};

/// Steps of the running mean.
pub const WINDOW: usize = 10;

/// More points than this cannot be told apart in a panel, and make the SVG large.
const POINTS: usize = 400;

/// A value of one step, where it has it.
pub type Value = fn(&TrainRow) -> Option<f64>;

/// A column of train.csv: title, description of its axis, value, and whether values that are far off may be cut.
pub type Column = (&'static str, &'static str, Value, bool);

/// Every run that has steps, in the order of a legend.
pub fn runs<'a>(data: &Figures<'a>) -> Vec<(&'a RunLabel, &'a [TrainRow])> {
    let mut runs: Vec<_> = data.training.iter().map(|(run, rows)| (run, rows.as_slice())).collect();
    runs.sort_by(|(a, _), (b, _)| order(a.kind(), b.kind()).then_with(|| order_params(&a.params, &b.params)));
    runs
}

/// A panel for every column, with a smoothed line for every run.
pub fn plots(runs: &[(&RunLabel, &[TrainRow])], palette: &Palette, columns: &[Column]) -> Vec<Plot> {
    let plot = |(title, y, value, cut): &Column| {
        let curve = |(run, rows): &(&RunLabel, &[TrainRow])| Curve {
            color: palette.color(run.kind(), &run.params),
            points: smoothed(rows, *value),
            ..Curve::default()
        };
        Plot {
            title: (*title).to_owned(),
            y: (*y).to_owned(),
            cut: *cut,
            curves: runs.iter().map(curve).collect(),
            ..Plot::default()
        }
    };
    columns.iter().map(plot).collect()
}

/// The mean over a step and those before it, [`WINDOW`] in all, that have a finite value; of long runs, evenly spaced steps. As
/// points without an error: step, mean, 0.
pub fn smoothed(rows: &[TrainRow], value: Value) -> Vec<(f64, f64, f64)> {
    let found = finite(rows, value);
    let mean = |at: usize| {
        let window = &found[(at + 1).saturating_sub(WINDOW)..=at];
        window.iter().map(|(_, value)| value / window.len() as f64).sum::<f64>()
    };
    let stride = found.len().div_ceil(POINTS).max(1);
    let last = found.len().checked_sub(1).filter(|last| last % stride != 0);
    (0..found.len()).step_by(stride).chain(last).map(|at| (found[at].0 as f64, mean(at), 0.0)).collect()
}

/// The steps that have a finite value, in order.
fn finite(rows: &[TrainRow], value: Value) -> Vec<(u64, f64)> {
    let of = |row: &TrainRow| value(row).filter(|value| value.is_finite()).map(|value| (row.step, value));
    let mut found: Vec<(u64, f64)> = rows.iter().filter_map(of).collect();
    found.sort_by_key(|(step, _)| *step);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_leaves_out_what_is_not_finite() {
        let rows: Vec<TrainRow> = (1..=20)
            .map(|step| TrainRow { step, loss: if step == 3 { f64::NAN } else { step as f64 }, ..TrainRow::default() })
            .collect();
        let points = smoothed(&rows, |row| Some(row.loss));
        assert_eq!((points.len(), points[0]), (19, (1.0, 1.0, 0.0)));
        assert!((points[18].1 - 15.5).abs() < 1e-9, "{:?}", points[18]);
        assert!(smoothed(&rows, |row| row.rewards_accuracies).is_empty());
        let many: Vec<TrainRow> = (1..=2002).map(|step| TrainRow { step, ..TrainRow::default() }).collect();
        let points = smoothed(&many, |row| Some(row.loss));
        assert!(points.len() <= POINTS + 1 && points.last().is_some_and(|last| last.0 == 2002.0));
    }
}
