//! Figures 2 (right) and 3 (left) of the paper: win rate over sampling temperature, at each run's last checkpoint.

use super::Figures;
use super::axis::{Axis, Scale};
use super::canvas::Drawing;
use super::multiples::{Layout, Plot, Stroke, grid};
use super::tracks::Palette;
use super::win_rates::{Comparison, SECOND_DASH, comparisons, curve, even, is_outside, lines, method, name, range, tasks_differ};
use crate::report::theme::{label, look};

/// Width of a panel's plot in pixels, about.
const WIDTH: f64 = 320.0;

/// Draws the figure, of prompts in distribution; the others have a figure of their own.
pub fn draw(data: &Figures<'_>) -> Option<Drawing> {
    let mut comparisons = comparisons(data.win_rates.iter().filter(|row| !is_outside(row)));
    comparisons.iter_mut().for_each(Comparison::keep_last);
    let rows = || comparisons.iter().flat_map(|one| &one.rows).copied();
    let temperatures: Vec<f64> = rows().map(|row| row.temperature).collect();
    let x = Axis::values("sampling temperature", Scale::Linear, &temperatures, WIDTH);
    let palette = Palette::new(rows().map(|row| (method(row), row.params.as_str())));
    let mut seeds: Vec<u64> = rows().map(|row| row.seed).collect();
    seeds.sort_unstable();
    seeds.dedup();
    let (range, tasks) = (range(&comparisons), tasks_differ(&comparisons));
    let plots = comparisons.iter().map(|one| {
        let runs = lines(one, &palette, |a, b| a.run == b.run).into_iter().map(|run| {
            let look = (palette.color(method(run[0]), &run[0].params), look(method(run[0])).marker);
            curve(run, |row| row.temperature, look, stroke(seeds.iter().position(|seed| *seed == run[0].seed)))
        });
        let curves = std::iter::once(even(&x)).chain(runs).collect();
        let title = one.title(tasks, WIDTH);
        Plot { title, y: one.axis(), x: Some(x.clone()), range: Some(range), curves, ..Plot::default() }
    });
    let mut entries = palette.entries(true);
    let best = rows().find(|row| row.method == "best_of_n").map(name);
    for entry in entries.iter_mut().filter(|entry| entry.label == label("best_of_n")) {
        entry.label = best.clone().unwrap_or_default();
    }
    let dashes = if seeds.len() > 1 { "; dashes: further seeds" } else { "" };
    let title = format!("{}: win rate over temperature (bands: 95% intervals{dashes})", data.study);
    grid(&title, "", plots.collect(), Layout::large(comparisons.len().min(2)), &entries)
}

/// Seeds of one method share its colour: the first is solid, the second dashed, all others dotted.
fn stroke(seed: Option<usize>) -> Stroke {
    match seed {
        None | Some(0) => Stroke::Solid(1.5),
        Some(1) => Stroke::Dashed(1.4, SECOND_DASH),
        Some(_) => Stroke::Dashed(1.4, (1.5, 2.5)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Made, won};
    use super::*;
    use crate::report::judged_rows::WinRateRow;

    fn study(rows: Vec<WinRateRow>) -> Made {
        Made { win_rates: rows, ..Made::default() }
    }

    #[test]
    fn every_judge_and_baseline_has_a_panel() {
        let mut rows = vec![won("dpo", "beta=0.1", 100, 0.0, 0.61), won("dpo", "beta=0.1", 100, 1.0, 0.4)];
        rows.push(WinRateRow { judge: "length".into(), ..won("prompting", "", 0, 0.0, 0.1) });
        rows.push(WinRateRow { baseline: "sft".into(), ..won("best_of_n", "n=64", 0, 0.25, 0.6) });
        rows.push(WinRateRow { task: "summarisation-ood".into(), judge: "other".into(), ..won("ppo", "", 100, 0.0, 0.3) });
        let shown = study(rows).svg(draw);
        for text in [
            "judge: true",
            "judge: length",
            "win rate against reference",
            "win rate against sft",
            "Best-of-64",
            "Prompting",
            "DPO",
            "0.25",
            "sampling temperature",
        ] {
            assert!(shown.lines().any(|line| line.trim() == text), "{text}");
        }
        assert!(!shown.contains("PPO") && !shown.contains("other"), "out-of-distribution prompts have a figure of their own");
    }

    #[test]
    fn a_single_temperature_has_an_error_bar_in_place_of_a_band() {
        let lines = |rows: Vec<WinRateRow>| study(rows).svg(draw).matches("<polyline").count();
        let without = WinRateRow { ci_low: f64::NAN, ..won("dpo", "", 1, 1.0, 0.6) };
        assert_eq!(lines(vec![won("dpo", "", 1, 1.0, 0.6)]), lines(vec![without]) + 1);
    }

    #[test]
    fn variants_are_named_and_seeds_are_dashed() {
        let seed = |seed| WinRateRow { run: format!("dpo-{seed}"), seed, ..won("dpo", "beta=0.1", 9, 0.0, 0.6) };
        let shown = study(vec![seed(0), seed(1), won("dpo", "beta=1", 9, 0.0, 0.5)]).svg(draw);
        assert!(shown.contains("dashes: further seeds") && shown.contains("DPO β=0.1") && shown.contains("DPO β=1"));
    }
}
