//! What the figures of win rates share: which rows they show, their panels, and the line at which nobody wins.

use super::axis::{Axis, extent, padded};
use super::canvas::fitted;
use super::multiples::{Curve, Stroke};
use super::tracks::Palette;
use crate::report::judged_rows::{OUT_OF_DISTRIBUTION, WinRateRow};
use crate::report::theme::{FAINT, Marker, TITLE, kind, label};
use plotters::style::RGBColor;
use std::cmp::Reverse;

/// Dash of the line at a win rate of one half.
pub const EVEN_DASH: (f64, f64) = (6.0, 4.0);
/// Dash of the second line of two that have one colour.
pub const SECOND_DASH: (f64, f64) = (5.0, 3.0);

/// What one judge said of one task's completions against one baseline.
#[derive(Clone, Debug)]
pub struct Comparison<'a> {
    /// The task, without the ending that tells out-of-distribution prompts.
    pub task: &'a str,
    /// The judge.
    pub judge: &'a str,
    /// The baseline.
    pub baseline: &'a str,
    /// Its rows, by run, temperature and step; never empty.
    pub rows: Vec<&'a WinRateRow>,
}

/// Rows that can be drawn, by task, judge and baseline in the order of the table. In- and out-of-distribution rows of a task are together.
pub fn comparisons<'a>(rows: impl IntoIterator<Item = &'a WinRateRow>) -> Vec<Comparison<'a>> {
    let mut found: Vec<Comparison<'a>> = Vec::new();
    for row in rows.into_iter().filter(|row| row.win_rate.is_finite() && row.temperature.is_finite()) {
        let (task, judge, baseline) = (base_task(row), &row.judge[..], &row.baseline[..]);
        match found.iter_mut().find(|one| (one.task, one.judge, one.baseline) == (task, judge, baseline)) {
            Some(one) => one.rows.push(row),
            None => found.push(Comparison { task, judge, baseline, rows: vec![row] }),
        }
    }
    for one in &mut found {
        one.rows.sort_by(|a, b| a.run.cmp(&b.run).then(a.temperature.total_cmp(&b.temperature)).then(a.step.cmp(&b.step)));
    }
    found
}

/// The task of a row, without the ending that tells out-of-distribution prompts.
fn base_task(row: &WinRateRow) -> &str {
    row.task.strip_suffix(OUT_OF_DISTRIBUTION).unwrap_or(&row.task)
}

/// Whether the prompts of a row are out of distribution.
pub fn is_outside(row: &WinRateRow) -> bool {
    row.task.ends_with(OUT_OF_DISTRIBUTION)
}

/// The method of a row, as figures tell it apart.
pub fn method(row: &WinRateRow) -> &str {
    kind(&row.method, &row.params)
}

impl Comparison<'_> {
    /// Keeps each run's last checkpoint, and of Best-of-N the greatest N of each seed: what N does is a figure of its own.
    pub fn keep_last(&mut self) {
        let rows = self.rows.clone();
        let last = |row: &WinRateRow| rows.iter().all(|other| other.run != row.run || other.step <= row.step);
        let greatest = |row: &WinRateRow| {
            let rival = |other: &&&WinRateRow| other.method == row.method && other.seed == row.seed;
            row.method != "best_of_n" || rows.iter().filter(rival).all(|other| completions(other) <= completions(row))
        };
        self.rows.retain(|row| last(row) && greatest(row));
    }

    /// What a panel of it is called: its judge, and its task where `tasks` says that panels differ in it.
    pub fn title(&self, tasks: bool, width: f64) -> String {
        let task = if tasks { format!("{}, ", self.task) } else { String::new() };
        // Bold letters are wider than those that are measured here.
        fitted(&format!("{task}judge: {}", self.judge), TITLE, width * 0.9)
    }

    /// What its vertical axis shows.
    pub fn axis(&self) -> String {
        format!("win rate against {}", self.baseline.replace('_', " "))
    }
}

/// The completions that Best-of-N chose from, where that is swept.
fn completions(row: &WinRateRow) -> Option<u64> {
    row.params.split(';').find_map(|written| written.strip_prefix("n=")?.parse().ok())
}

/// The name of a row's method that a person reads, with the N of Best-of-N where that is known.
pub fn name(row: &WinRateRow) -> String {
    match completions(row).filter(|_| row.method == "best_of_n") {
        Some(n) => format!("Best-of-{n}"),
        None => label(method(row)),
    }
}

/// Whether panels have to say which task they are of.
pub fn tasks_differ(comparisons: &[Comparison<'_>]) -> bool {
    comparisons.iter().any(|one| one.task != comparisons[0].task)
}

/// The vertical range of all panels, so that judges can be compared: every interval, and one half.
pub fn range(comparisons: &[Comparison<'_>]) -> (f64, f64) {
    let ends = comparisons.iter().flat_map(|one| &one.rows).flat_map(|row| [row.win_rate, row.ci_low, row.ci_high]);
    let (low, high) = padded(extent(ends.chain([0.5])).unwrap_or((0.0, 1.0)), 0.06);
    // A win rate of 0 or 1 still gets room for its marker.
    (low.max(-0.03), high.min(1.03))
}

/// Every sampling temperature once, from low to high; where there are more than two, the nearest to each of `wanted`.
pub fn two_temperatures<'a>(rows: impl IntoIterator<Item = &'a WinRateRow>, wanted: [f64; 2]) -> Vec<f64> {
    let mut all: Vec<f64> = rows.into_iter().map(|row| row.temperature).collect();
    all.sort_by(f64::total_cmp);
    all.dedup();
    if all.len() < 3 {
        return all;
    }
    let mut kept: Vec<f64> = Vec::new();
    for target in wanted {
        let left = all.iter().copied().filter(|one| !kept.contains(one));
        kept.extend(left.min_by(|a, b| (a - target).abs().total_cmp(&(b - target).abs())));
    }
    kept.sort_by(f64::total_cmp);
    kept
}

/// The rows of each line, those that are one by `same`; what a legend names first comes last, so that it lies upon the rest.
pub fn lines<'r, 'a>(
    one: &'r Comparison<'a>,
    palette: &Palette,
    same: impl Fn(&WinRateRow, &WinRateRow) -> bool,
) -> Vec<&'r [&'a WinRateRow]> {
    let mut lines: Vec<_> = one.rows.chunk_by(|a, b| same(a, b)).collect();
    lines.sort_by_key(|line| Reverse(palette.place(method(line[0]), &line[0].params)));
    lines
}

/// A line of win rates with its band; `rows` in the order of `x`.
pub fn curve(rows: &[&WinRateRow], x: fn(&WinRateRow) -> f64, (color, marker): (RGBColor, Marker), stroke: Stroke) -> Curve {
    Curve {
        color,
        marker: Some(marker),
        points: rows.iter().map(|row| (x(row), row.win_rate, 0.0)).collect(),
        stroke,
        band: rows.iter().map(|row| (x(row), row.ci_low, row.ci_high)).collect(),
    }
}

/// The dashed line at one half, where nobody wins.
pub fn even(x: &Axis) -> Curve {
    let (low, high) = x.range();
    let stroke = Stroke::Dashed(1.0, EVEN_DASH);
    Curve { color: FAINT, points: vec![(low, 0.5, 0.0), (high, 0.5, 0.0)], stroke, ..Curve::default() }
}

#[cfg(test)]
mod tests {
    use super::super::tests::won;
    use super::*;

    #[test]
    fn each_run_is_shown_at_its_last_step_and_best_of_n_at_its_greatest_n() {
        let best = |n: u64| WinRateRow { run: format!("best-{n}"), ..won("best_of_n", &format!("n={n}"), 0, 1.0, 0.6) };
        let rows =
            [won("dpo", "", 100, 1.0, 0.5), won("dpo", "", 200, 1.0, 0.6), won("dpo", "", 200, 0.0, 0.7), best(64), best(128)];
        let mut found = comparisons(&rows);
        assert_eq!(found.len(), 1);
        found[0].keep_last();
        let shown: Vec<_> = found[0].rows.iter().map(|row| (row.run.as_str(), row.step, row.temperature)).collect();
        assert_eq!(shown, [("best-128", 0, 1.0), ("dpo--seed0", 200, 0.0), ("dpo--seed0", 200, 1.0)]);
    }

    #[test]
    fn at_most_two_temperatures_are_chosen() {
        let rows = |all: &[f64]| all.iter().map(|t| won("dpo", "", 1, *t, 0.5)).collect::<Vec<_>>();
        assert_eq!(two_temperatures(&rows(&[1.0, 0.0]), [0.7, 1.0]), [0.0, 1.0]);
        assert_eq!(two_temperatures(&rows(&[0.0, 0.25, 0.5, 0.75, 1.0]), [0.7, 1.0]), [0.75, 1.0]);
        assert_eq!(two_temperatures(&rows(&[0.0, 0.1, 0.2]), [0.7, 1.0]), [0.1, 0.2], "each counts once");
    }

    #[test]
    fn rows_without_a_win_rate_are_left_out() {
        let rows = [won("dpo", "", 1, f64::NAN, 0.5), won("dpo", "", 1, 1.0, f64::NAN)];
        assert!(comparisons(&rows).is_empty());
    }
}
