//! Likelihood displacement (Razin et al. 2024): what training on a preference does to the log-probs of the chosen and of the
//! rejected completions, each against where its run began. A chosen curve that falls is displaced.

use super::Figures;
use super::canvas::Drawing;
use super::multiples::{Curve, Layout, Plot, grid};
use super::steps::{Value, WINDOW, runs, smoothed, start};
use super::tracks::Palette;

/// In a run with fewer steps, batches differ by more than training changes.
const STEPS: usize = 5 * WINDOW;

/// Title and value. The difference is freed of what only tells one batch from another, such as its lengths.
const PANELS: [(&str, Value); 3] = [
    ("chosen", |row| row.logps_chosen),
    ("rejected", |row| row.logps_rejected),
    ("chosen − rejected", |row| Some(row.logps_chosen? - row.logps_rejected?)),
];

/// Draws the figure, of runs that are long enough.
pub fn draw(data: &Figures<'_>) -> Option<Drawing> {
    let mut runs = runs(data);
    runs.retain(|(_, rows)| rows.len() >= STEPS && rows.iter().any(|row| row.logps_chosen.is_some()));
    let palette = Palette::new(runs.iter().map(|(run, _)| (run.kind(), run.params.as_str())));
    let plot = |(title, value): (&str, Value)| {
        let mut curves = Vec::new();
        for (run, rows) in &runs {
            // A change of a few nats drowns in what batches differ by, so the window is long.
            let window = (rows.len() / 20).max(WINDOW);
            let Some((first, start)) = start(rows, value, window) else { continue };
            let full = smoothed(rows, value, window).into_iter().filter(|(step, ..)| *step >= first);
            let points = full.map(|(step, mean, half)| (step, mean - start, half));
            let color = palette.color(run.kind(), &run.params);
            curves.push(Curve { color, points: points.collect(), ..Curve::default() });
        }
        let y = "change of log-prob. (nats)".to_owned();
        Plot { title: title.to_owned(), y, cut: true, level: Some(0.0), curves, ..Plot::default() }
    };
    let title =
        format!("{}: log-probs against where each run began (running means over 5% of its steps, at least {WINDOW})", data.study);
    grid(&title, "optimiser step", PANELS.map(plot).into(), Layout::small(3), &palette.entries(false))
}

#[cfg(test)]
mod tests {
    use super::super::tests::made;
    use super::*;

    #[test]
    fn methods_without_log_probs_have_no_part() {
        let mut made = made();
        let shown = made.svg(draw);
        for text in ["chosen", "rejected", "chosen − rejected", "change of log-prob. (nats)", "DPO"] {
            assert!(shown.lines().any(|line| line.trim() == text), "{text}");
        }
        assert!(!shown.contains("PPO"));
        let mut short = made.clone();
        short.training.iter_mut().for_each(|(_, rows)| rows.truncate(STEPS - 1));
        assert!(short.draw(draw).is_none());
        made.training.retain(|(run, _)| run.method == "ppo");
        assert!(made.draw(draw).is_none());
    }
}
