//! Where all completions can be enumerated: every checkpoint's exact KL and reward against the exact optimal frontier, and the
//! regret, which is what the checkpoint lacks to the frontier at its own KL.

use super::Figures;
use super::axis::{Axis, Scale, reach};
use super::canvas::Drawing;
use super::legend::Entry;
use super::multiples::{Curve, Layout, Plot, Stroke, grid};
use super::optimum::{COLOR, optima};
use super::tracks::Palette;
use crate::report::rows::OracleRow;
use crate::report::theme::{kind, look, order, order_params};
use std::collections::BTreeMap;

/// One run's exact checkpoints in the order of its steps; never empty.
pub type Run<'a> = Vec<&'a OracleRow>;

/// The runs of oracle.csv, in the order of a legend.
pub fn runs(rows: &[OracleRow]) -> Vec<Run<'_>> {
    let mut runs: BTreeMap<&str, Run<'_>> = BTreeMap::new();
    for row in rows {
        runs.entry(&row.run).or_default().push(row);
    }
    let mut runs: Vec<Run<'_>> = runs.into_values().collect();
    runs.iter_mut().for_each(|run| run.sort_by_key(|row| row.step));
    runs.sort_by(|a, b| order(method(a), method(b)).then_with(|| order_params(&a[0].params, &b[0].params)));
    runs
}

/// The method of a run, as figures tell it apart.
pub fn method<'a>(run: &Run<'a>) -> &'a str {
    kind(&run[0].method, &run[0].params)
}

/// Colours and names of these runs.
pub fn palette(runs: &[Run<'_>]) -> Palette {
    Palette::new(runs.iter().map(|run| (method(run), run[0].params.as_str())))
}

/// A curve of every run through `point` of its checkpoints.
pub fn curves(runs: &[Run<'_>], palette: &Palette, point: fn(&OracleRow) -> (f64, f64)) -> Vec<Curve> {
    let curve = |run: &Run<'_>| Curve {
        color: palette.color(method(run), &run[0].params),
        marker: Some(look(method(run)).marker),
        points: run.iter().map(|row| (point(row).0, point(row).1, 0.0)).collect(),
        ..Curve::default()
    };
    runs.iter().map(curve).collect()
}

/// Draws the figure.
pub fn draw(data: &Figures<'_>) -> Option<Drawing> {
    if data.oracle.is_empty() {
        return None;
    }
    let runs = runs(data.oracle);
    let palette = palette(&runs);
    let exact = optima(data.optimum).into_iter().find(|optimum| optimum.exact);
    // Rewards rise about with the square root of the KL, and most runs stay near 0.
    let limit = reach(data.oracle.iter().map(|row| row.kl).filter(|kl| *kl > 0.0)).unwrap_or(1.0);
    let x = Axis::sqrt("KL(π ‖ π_ref), nats (square-root scale)", limit * 1.04, 6);
    let mut against_kl: Vec<Curve> = Vec::new();
    let mut entries = palette.entries(true);
    if let Some(optimum) = exact {
        // Beyond the runs the frontier says nothing, and would be cut.
        let mut points = optimum.points.clone();
        points.retain(|(kl, ..)| *kl <= x.range().1);
        against_kl.push(Curve { color: COLOR, points, stroke: Stroke::Solid(2.4), ..Curve::default() });
        entries.insert(0, Entry { dash: None, ..optimum.entry() });
    }
    against_kl.extend(curves(&runs, &palette, |row| (row.kl.max(0.0), row.reward)));
    let plots = vec![
        Plot {
            title: "reward against KL".to_owned(),
            y: format!("exact {}", data.reward_label),
            curves: against_kl,
            x: Some(x),
            ..Plot::default()
        },
        Plot {
            title: "regret".to_owned(),
            y: "optimal − own reward (log scale)".to_owned(),
            curves: curves(&runs, &palette, |row| (row.step as f64, row.regret)),
            scale: Scale::Log,
            ..Plot::default()
        },
    ];
    let title = format!("{}: exact rewards and the optimal frontier", data.study);
    grid(&title, "optimiser step", plots, Layout::large(2), &entries)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Made, made};
    use super::*;

    #[test]
    fn runs_are_shown_against_the_exact_frontier_only() {
        let shown = made().svg(draw);
        for text in ["optimum (exact)", "exact mean true reward", "regret", "optimiser step"] {
            assert!(shown.lines().any(|line| line.trim() == text), "{text}");
        }
        let mut estimated = made();
        estimated.optimum.iter_mut().for_each(|row| row.kind = "estimated".into());
        assert!(!estimated.svg(draw).contains("optimum ("));
        assert!(Made { oracle: Vec::new(), ..made() }.draw(draw).is_none());
    }

    #[test]
    fn the_checkpoints_of_a_run_are_in_order() {
        let mut rows = made().oracle;
        rows.reverse();
        let runs = runs(&rows);
        assert_eq!(runs.len(), 4);
        assert_eq!(runs[0].iter().map(|row| row.step).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(runs[2][0].params, "comparisons=1024");
    }
}
