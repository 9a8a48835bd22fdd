//! Likelihood displacement (Razin et al. 2024): what training on a preference does to the log-probs of the chosen and of the
//! rejected completions, each against the reference's. A chosen curve that falls below 0 is displaced.

use super::canvas::Drawing;
use super::multiples::{Curve, Layout, Plot, grid};
use super::steps::{Value, WINDOW, runs, smoothed};
use super::tracks::Palette;
use super::{Figures, RunLabel};
use crate::report::rows::TrainRow;

/// Title and value, once log-probs are less those of the reference.
const PANELS: [(&str, Value); 3] = [
    ("chosen", |row| row.logps_chosen),
    ("rejected", |row| row.logps_rejected),
    ("chosen − rejected", |row| Some(row.logps_chosen? - row.logps_rejected?)),
];

/// Log-probs that differ by less are of the same batch under the same policy.
const SAME: f64 = 1e-3;

/// Draws the figure, of runs whose log-probs can be told from what one batch has more than another: those that know the
/// reference's, and those that saw the same batches as one of them.
pub fn draw(data: &Figures<'_>) -> Option<Drawing> {
    let runs = runs(data);
    let known: Vec<(&[TrainRow], Vec<TrainRow>)> =
        runs.iter().filter_map(|(run, rows)| Some((*rows, over_reference(run, rows)?))).collect();
    let relative = |(run, rows): &(&RunLabel, &[TrainRow])| over_reference(run, rows).or_else(|| by_another(rows, &known));
    let shown: Vec<(&RunLabel, Vec<TrainRow>)> = runs.iter().filter_map(|run| Some((run.0, relative(run)?))).collect();
    let palette = Palette::new(shown.iter().map(|(run, _)| (run.kind(), run.params.as_str())));
    let plot = |(title, value): (&str, Value)| {
        let curve = |(run, rows): &(&RunLabel, Vec<TrainRow>)| Curve {
            color: palette.color(run.kind(), &run.params),
            points: smoothed(rows, value),
            ..Curve::default()
        };
        let y = "log(π / π_ref), nats".to_owned();
        let curves = shown.iter().map(curve).collect();
        Plot { title: title.to_owned(), y, cut: true, level: Some(0.0), curves, ..Plot::default() }
    };
    let title = format!("{}: log-probs against the reference's (running means of {WINDOW} steps)", data.study);
    grid(&title, "optimiser step", PANELS.map(plot).into(), Layout::small(3), &palette.entries(false))
}

/// Rows whose log-probs are less the reference's, which implicit rewards tell.
fn over_reference(run: &RunLabel, rows: &[TrainRow]) -> Option<Vec<TrainRow>> {
    let beta = run.beta?;
    let relative = |row: &TrainRow| {
        let (chosen, rejected) = (row.rewards_chosen? / beta, row.rewards_rejected? / beta);
        Some(TrainRow { logps_chosen: Some(chosen), logps_rejected: Some(rejected), ..row.clone() })
    };
    rows.iter().map(relative).collect()
}

/// The same by the reference's log-probs in another run that saw the same batches: before the first update its log-probs were these.
fn by_another(rows: &[TrainRow], known: &[(&[TrainRow], Vec<TrainRow>)]) -> Option<Vec<TrainRow>> {
    let start = rows.first()?;
    let alike = |(other, _): &&(&[TrainRow], Vec<TrainRow>)| {
        let near = |own: Option<f64>, other: Option<f64>| own.zip(other).is_some_and(|(own, other)| (own - other).abs() < SAME);
        other
            .first()
            .is_some_and(|other| near(start.logps_chosen, other.logps_chosen) && near(start.logps_rejected, other.logps_rejected))
    };
    let (other, relative) = known.iter().filter(|(other, _)| other.len() >= rows.len()).find(alike)?;
    let moved = |((row, other), relative): ((&TrainRow, &TrainRow), &TrainRow)| {
        let less = |own: Option<f64>, whole: Option<f64>, ratio: Option<f64>| Some(own? - (whole? - ratio?));
        TrainRow {
            logps_chosen: less(row.logps_chosen, other.logps_chosen, relative.logps_chosen),
            logps_rejected: less(row.logps_rejected, other.logps_rejected, relative.logps_rejected),
            ..row.clone()
        }
    };
    Some(rows.iter().zip(*other).zip(relative).map(moved).collect())
}

#[cfg(test)]
mod tests {
    use super::super::tests::made;
    use super::*;

    fn row(step: u64, chosen: f64, reward: Option<f64>) -> TrainRow {
        let (logps_chosen, logps_rejected) = (Some(chosen), Some(chosen - 1.0));
        TrainRow { step, logps_chosen, logps_rejected, rewards_chosen: reward, rewards_rejected: reward, ..TrainRow::default() }
    }

    #[test]
    fn a_run_without_a_reference_is_told_by_one_with_the_same_batches() {
        let label = |method: &str, beta| {
            let (run, params) = (method.to_owned(), String::new());
            RunLabel { run, method: method.to_owned(), params, seed: 0, beta }
        };
        // The reference gives -20 to the first batch and -30 to the second.
        let dpo = [row(1, -20.0, Some(0.0)), row(2, -29.0, Some(0.1))];
        let relative = over_reference(&label("dpo", Some(0.1)), &dpo).expect("a reference");
        assert_eq!(relative[1].logps_chosen, Some(1.0));
        let orpo = [row(1, -20.0, None), row(2, -27.0, None)];
        assert!(over_reference(&label("orpo", None), &orpo).is_none());
        let by_dpo = by_another(&orpo, &[(&dpo, relative.clone())]).expect("the same batches");
        assert_eq!((by_dpo[0].logps_chosen, by_dpo[1].logps_chosen), (Some(0.0), Some(3.0)));
        let others = [row(1, -21.0, None), row(2, -27.0, None)];
        assert!(by_another(&others, &[(&dpo, relative)]).is_none());
    }

    #[test]
    fn methods_without_log_probs_have_no_part() {
        let mut made = made();
        let shown = made.svg(draw);
        for text in ["chosen", "rejected", "chosen − rejected", "log(π / π_ref), nats", "DPO"] {
            assert!(shown.lines().any(|line| line.trim() == text), "{text}");
        }
        assert!(!shown.contains("PPO"));
        made.training.retain(|(run, _)| run.method == "ppo");
        assert!(made.draw(draw).is_none());
    }
}
