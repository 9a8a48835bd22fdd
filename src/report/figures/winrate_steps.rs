//! Figure 3 (right) of the paper: win rate over training, at two sampling temperatures.

use super::Figures;
use super::axis::{Axis, extent, padded, short};
use super::canvas::Drawing;
use super::legend::Entry;
use super::multiples::{Layout, Plot, Stroke, grid};
use super::tracks::Palette;
use super::win_rates::{SECOND_DASH, comparisons, curve, even, is_outside, lines, method, range, tasks_differ, two_temperatures};
use crate::report::judged_rows::WinRateRow;
use crate::report::theme::{FAINT, look};

/// The paper does not name the temperatures of its figure; these two are likely (docs: what the paper does not fix).
const WANTED: [f64; 2] = [0.7, 1.0];
/// Width of a panel's title in pixels.
const WIDTH: f64 = 320.0;

/// Draws the figure, of runs that were judged at more than one step.
pub fn draw(data: &Figures<'_>) -> Option<Drawing> {
    let same = |a: &WinRateRow, b: &WinRateRow| (&a.run, a.temperature.to_bits()) == (&b.run, b.temperature.to_bits());
    let mut comparisons = comparisons(data.win_rates.iter().filter(|row| !is_outside(row)));
    for one in &mut comparisons {
        let all = one.rows.clone();
        one.rows.retain(|row| all.iter().any(|other| same(row, other) && other.step != row.step));
    }
    let temperatures = two_temperatures(comparisons.iter().flat_map(|one| &one.rows).copied(), WANTED);
    comparisons.iter_mut().for_each(|one| one.rows.retain(|row| temperatures.contains(&row.temperature)));
    comparisons.retain(|one| !one.rows.is_empty());
    let rows = || comparisons.iter().flat_map(|one| &one.rows).copied();
    let palette = Palette::new(rows().map(|row| (method(row), row.params.as_str())));
    let steps = padded(extent(rows().map(|row| row.step as f64))?, 0.02);
    let x = Axis::linear("optimiser step", steps, 6);
    // The higher temperature is the policy as it was trained: it has the solid line.
    let low = |temperature: f64| temperatures.len() > 1 && temperature == temperatures[0];
    let (range, tasks) = (range(&comparisons), tasks_differ(&comparisons));
    let plots = comparisons.iter().map(|one| {
        let drawn = lines(one, &palette, same).into_iter().map(|line| {
            let look = (palette.color(method(line[0]), &line[0].params), look(method(line[0])).marker);
            let stroke = if low(line[0].temperature) { Stroke::Dashed(1.4, SECOND_DASH) } else { Stroke::Solid(1.5) };
            curve(line, |row| row.step as f64, look, stroke)
        });
        let curves = std::iter::once(even(&x)).chain(drawn).collect();
        let title = one.title(tasks, WIDTH);
        Plot { title, y: one.axis(), x: Some(x.clone()), range: Some(range), curves, ..Plot::default() }
    });
    let mut entries = palette.entries(true);
    entries.extend(temperatures.iter().rev().map(|temperature| Entry {
        label: format!("temperature {}", short(*temperature)),
        color: FAINT,
        marker: None,
        dash: low(*temperature).then_some(SECOND_DASH),
    }));
    let title = format!("{}: win rate over training (bands: 95% intervals)", data.study);
    grid(&title, "", plots.collect(), Layout::large(comparisons.len().min(2)), &entries)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Made, won};
    use super::*;

    #[test]
    fn two_temperatures_of_runs_with_several_steps_are_shown() {
        let mut rows = vec![won("prompting", "", 0, 1.0, 0.1)];
        for step in [100, 200] {
            rows.extend([0.0, 0.25, 0.75, 1.0].map(|temperature| won("dpo", "", step, temperature, 0.5)));
        }
        let shown = Made { win_rates: rows.clone(), ..Made::default() }.svg(draw);
        for text in ["DPO", "temperature 1", "temperature 0.75", "optimiser step", "judge: true"] {
            assert!(shown.lines().any(|line| line.trim() == text), "{text}");
        }
        assert!(!shown.contains("Prompting") && !shown.contains("temperature 0.25"));
        rows.retain(|row| row.step < 200);
        assert!(Made { win_rates: rows, ..Made::default() }.draw(draw).is_none(), "one step is no training");
    }
}
