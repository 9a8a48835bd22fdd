//! Figure 4 of the paper: what Best-of-N gains with N, by the true reward, by the learned one, and by a judge.

use super::axis::{Axis, Scale, extent, padded};
use super::canvas::{Align, Drawing, Rect, Text, fitted};
use super::legend::{Entry, legend};
use super::panel::Panel;
use super::tracks::is_one;
use super::win_rates::EVEN_DASH;
use super::{Figures, half};
use crate::report::rows::BestOfNRow;
use crate::report::theme::{FAINT, INK, PAPER, TITLE, look, mix, shade};
use plotters::style::RGBColor;

/// N, the value and its 95% interval.
type Value = (f64, f64, f64, f64);

const CELL: (f64, f64) = (340.0, 300.0);
const HEAD: f64 = 34.0;
const LEGEND: f64 = 190.0;

/// What one panel shows: its title, its vertical axis, its lines by name, and the value at which nobody wins, where it has one.
struct Shown {
    title: String,
    y: String,
    lines: Vec<(String, Vec<Value>)>,
    even: Option<f64>,
}

/// Draws the figure.
pub fn draw(data: &Figures<'_>) -> Option<Drawing> {
    let look = look("best_of_n");
    let panels = shown(data);
    // The legend names every line that any panel has, so shades are by name.
    let mut names: Vec<&str> = panels.iter().flat_map(|panel| panel.lines.iter().map(|line| line.0.as_str())).collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        return None;
    }
    let color = |name: &str| shade(look.color, names.iter().position(|one| *one == name).unwrap_or(0), names.len());
    let legend_width = if names.len() > 1 { LEGEND } else { 8.0 };
    // Two rows of two look better than three and one.
    let columns = if panels.len() == 4 { 2 } else { panels.len().min(3) };
    let width = columns as f64 * CELL.0 + legend_width;
    let title = format!("{}: Best-of-N (bands: 95% intervals)", data.study);
    let mut drawing = Drawing::new(width, HEAD + panels.len().div_ceil(columns) as f64 * CELL.1, &title);
    drawing.push_text(Text {
        text: title,
        at: (14.0, 22.0),
        size: TITLE,
        color: INK,
        align: Align::Start,
        bold: true,
        upwards: false,
    });
    for (at, shown) in panels.iter().enumerate() {
        let (left, top) = ((at % columns) as f64 * CELL.0, HEAD + (at / columns) as f64 * CELL.1);
        let outer = Rect { left: left + 8.0, top, right: left + CELL.0 - 8.0, bottom: top + CELL.1 };
        panel(&mut drawing, outer, shown, &color);
    }
    if names.len() > 1 {
        let entry = |name: &&str| Entry { label: (*name).to_owned(), color: color(name), marker: Some(look.marker), dash: None };
        let left = columns as f64 * CELL.0 + 8.0;
        let beside = Rect { left, top: HEAD + 24.0, right: width - 4.0, bottom: HEAD + CELL.1 - 8.0 };
        legend(&mut drawing, beside, &names.iter().map(entry).collect::<Vec<_>>());
    }
    Some(drawing)
}

/// Both rewards, then a panel for every judge and what it compared with; those without data are left out.
fn shown(data: &Figures<'_>) -> Vec<Shown> {
    let panel = |title: &str, y: &str, value: &dyn Fn(&BestOfNRow) -> Option<Value>| Shown {
        title: title.to_owned(),
        y: y.to_owned(),
        lines: lines(data.best_of_n, value),
        even: None,
    };
    let mut panels = vec![
        panel("true reward", data.reward_label, &true_reward),
        panel("learned reward (no interval)", "mean learned reward", &learned_reward),
    ];
    let judged = |row: &BestOfNRow| (row.judge.clone().unwrap_or_default(), row.baseline.clone().unwrap_or_default());
    let mut judges: Vec<(String, String)> = Vec::new();
    for found in data.best_of_n.iter().filter(|row| row.win_rate.is_some()).map(judged) {
        if !judges.contains(&found) {
            judges.push(found);
        }
    }
    for (judge, baseline) in judges {
        let title = fitted(format!("judge: {judge}").trim_end_matches([':', ' ']), TITLE, 0.75 * CELL.0);
        let y = format!("win rate against {}", baseline.replace('_', " "));
        let y = if baseline.is_empty() { "win rate" } else { &y };
        let of_judge = |row: &BestOfNRow| win_rate(row).filter(|_| judged(row) == (judge.clone(), baseline.clone()));
        panels.push(Shown { even: Some(0.5), ..panel(&title, y, &of_judge) });
    }
    panels.retain(|panel| !panel.lines.is_empty());
    panels
}

/// A line for every task, seed and temperature, by N. Of many temperatures, which would hide each other, the lowest above 0 and the
/// highest are shown.
fn lines(rows: &[BestOfNRow], value: &dyn Fn(&BestOfNRow) -> Option<Value>) -> Vec<(String, Vec<Value>)> {
    let mut temperatures: Vec<f64> = rows.iter().map(|row| row.temperature).filter(|at| *at > 0.0).collect();
    temperatures.sort_by(f64::total_cmp);
    temperatures.dedup();
    let ends = [temperatures.first().copied(), temperatures.last().copied()];
    let mut lines: Vec<(String, Vec<Value>)> = Vec::new();
    for row in rows.iter().filter(|row| temperatures.len() < 3 || ends.contains(&Some(row.temperature))) {
        let Some(value) = value(row).filter(|(n, value, ..)| *n > 0.0 && value.is_finite()) else { continue };
        // Every N is a run of its own; what a line joins is the same draw at growing N.
        let name = name(row, rows);
        match lines.iter_mut().find(|line| line.0 == name) {
            // A row for every judge repeats the rewards.
            Some(line) if line.1.iter().any(|known| known.0 == value.0) => {}
            Some(line) => line.1.push(value),
            None => lines.push((name, vec![value])),
        }
    }
    for (_, values) in &mut lines {
        values.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    lines
}

/// What tells a line from the others: task and seed only where they differ.
fn name(row: &BestOfNRow, rows: &[BestOfNRow]) -> String {
    let task = rows.iter().any(|other| other.task != row.task).then(|| row.task.clone());
    let seed = rows.iter().any(|other| other.seed != row.seed).then(|| format!("seed {}", row.seed));
    let parts = [task, seed, Some(format!("T={}", row.temperature))];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Best-of-N by N, a curve for every task, seed and temperature: at temperature 1, or at all where there is none at 1.
pub fn curves(rows: &[BestOfNRow]) -> Vec<Vec<&BestOfNRow>> {
    let plain = rows.iter().any(|row| is_one(row.temperature));
    let mut curves: Vec<Vec<&BestOfNRow>> = Vec::new();
    let sound = |row: &&BestOfNRow| row.kl_bound.is_finite() && row.reward_mean.is_finite();
    for row in rows.iter().filter(sound).filter(|row| !plain || is_one(row.temperature)) {
        // Every N is a run of its own.
        let draw = |row: &BestOfNRow| (row.task.clone(), row.seed, row.temperature.to_bits());
        match curves.iter_mut().find(|curve| draw(curve[0]) == draw(row)) {
            // A row for every judge repeats the rewards.
            Some(curve) if curve.iter().any(|known| known.n == row.n) => {}
            Some(curve) => curve.push(row),
            None => curves.push(vec![row]),
        }
    }
    curves.iter_mut().for_each(|curve| curve.sort_by_key(|row| row.n));
    curves
}

fn panel(on: &mut Drawing, outer: Rect, shown: &Shown, color: &impl Fn(&str) -> RGBColor) {
    let every = || shown.lines.iter().flat_map(|line| &line.1);
    let all_n: Vec<f64> = every().map(|value| value.0).collect();
    let ends = every().flat_map(|(_, value, low, high)| [*value, *low, *high]).chain(shown.even);
    let x = Axis::values("N (completions drawn, log scale)", Scale::Log, &all_n, CELL.0 - 90.0);
    let y = Axis::linear(&shown.y, padded(extent(ends).unwrap_or((0.0, 1.0)), 0.06), 5);
    let panel = Panel::new(outer, x, y, true);
    panel.frame(on, &shown.title);
    if let Some(even) = shown.even {
        let (low, high) = panel.x.range();
        panel.dashed(on, [(low, even), (high, even)], FAINT, 1.0, EVEN_DASH);
    }
    for (name, values) in &shown.lines {
        let band: Vec<_> = values.iter().map(|(n, _, low, high)| (*n, *low, *high)).collect();
        panel.band(on, &band, color(name));
    }
    for (name, values) in &shown.lines {
        panel.line(on, values.iter().map(|(n, value, ..)| (*n, *value)), color(name), 1.4);
        if let [(n, _, low, high)] = values[..] {
            // A band of one point has no width, so its interval is a bar.
            panel.line(on, [(n, low), (n, high)], mix(color(name), PAPER, 0.35), 0.9);
        }
        for (n, value, ..) in values {
            panel.point(on, (*n, *value), (0.0, 0.0), look("best_of_n").marker, 3.8, color(name));
        }
    }
}

fn true_reward(row: &BestOfNRow) -> Option<Value> {
    let half = half(row.reward_se);
    Some((row.n as f64, row.reward_mean, row.reward_mean - half, row.reward_mean + half))
}

fn learned_reward(row: &BestOfNRow) -> Option<Value> {
    row.proxy_reward_mean.map(|value| (row.n as f64, value, value, value))
}

fn win_rate(row: &BestOfNRow) -> Option<Value> {
    let value = row.win_rate?;
    Some((row.n as f64, value, row.ci_low.unwrap_or(value), row.ci_high.unwrap_or(value)))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Made, best};
    use super::*;

    #[test]
    fn every_n_is_a_run_of_its_own_and_one_curve_joins_them() {
        let mut warm = best(4, 0.9);
        warm.temperature = 0.7;
        let rows = [best(16, 0.7), best(1, 0.5), best(4, 0.6), best(4, 0.6), warm];
        let found = curves(&rows);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].iter().map(|row| row.n).collect::<Vec<_>>(), [1, 4, 16]);
    }

    #[test]
    fn every_judge_and_baseline_has_a_panel_with_its_interval() {
        let judged = |n, judge: &str, win_rate| BestOfNRow {
            judge: Some(judge.into()),
            baseline: Some("chosen".into()),
            win_rate: Some(win_rate),
            ci_low: Some(win_rate - 0.05),
            ci_high: Some(win_rate + 0.05),
            ..best(n, f64::NAN)
        };
        let rows = vec![judged(1, "true", 0.3), judged(64, "true", 0.6), judged(1, "length", 0.4), judged(64, "length", 0.5)];
        let shown = Made { best_of_n: rows, ..Made::default() }.svg(draw);
        for text in ["judge: true", "judge: length", "win rate against chosen"] {
            assert!(shown.lines().any(|line| line.trim() == text), "{text}");
        }
        assert_eq!(shown.matches("opacity=\"0.16\"").count(), 2, "a band each");
        assert!(!shown.contains("mean true reward"));
    }
}
