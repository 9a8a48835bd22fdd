//! Figure 4 of the paper: what Best-of-N gains with N, by the true reward, by the learned one, and by a judge.

use super::axis::{Axis, Scale, extent, padded};
use super::canvas::{Align, Drawing, Rect, Text};
use super::legend::{Entry, legend};
use super::panel::Panel;
use super::tracks::is_one;
use super::{Figures, half};
use crate::report::rows::BestOfNRow;
use crate::report::theme::{INK, TITLE, look, shade};
use plotters::style::RGBColor;

/// N, the value and its 95% interval.
type Value = (f64, f64, f64, f64);

const CELL: (f64, f64) = (340.0, 300.0);
const HEAD: f64 = 34.0;
const LEGEND: f64 = 190.0;

/// Draws the figure.
pub fn draw(data: &Figures<'_>) -> Option<Drawing> {
    let look = look("best_of_n");
    let lines = |value: fn(&BestOfNRow) -> Option<Value>| -> Vec<(String, Vec<Value>)> {
        let mut lines: Vec<(String, Vec<Value>)> = Vec::new();
        for row in data.best_of_n {
            let Some(value) = value(row).filter(|(n, value, ..)| *n > 0.0 && value.is_finite()) else { continue };
            // Every N is a run of its own; what a line joins is the same draw at growing N.
            let name = format!("{}, seed {}, T={}", row.task, row.seed, row.temperature);
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
    };
    let panels = [
        ("true reward", data.reward_label, lines(true_reward)),
        ("learned reward (no interval)", "mean learned reward", lines(learned_reward)),
        ("judge", "win rate", lines(win_rate)),
    ];
    let panels: Vec<_> = panels.into_iter().filter(|panel| !panel.2.is_empty()).collect();
    // The legend names every line that any panel has, so shades are by name.
    let mut names: Vec<&str> = panels.iter().flat_map(|panel| panel.2.iter().map(|line| line.0.as_str())).collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        return None;
    }
    let color = |name: &str| shade(look.color, names.iter().position(|one| *one == name).unwrap_or(0), names.len());
    let legend_width = if names.len() > 1 { LEGEND } else { 8.0 };
    let width = panels.len() as f64 * CELL.0 + legend_width;
    let title = format!("{}: Best-of-N (bands: 95% intervals)", data.study);
    let mut drawing = Drawing::new(width, HEAD + CELL.1, &title);
    drawing.push_text(Text {
        text: title,
        at: (14.0, 22.0),
        size: TITLE,
        color: INK,
        align: Align::Start,
        bold: true,
        upwards: false,
    });
    for (at, (name, y, lines)) in panels.iter().enumerate() {
        let left = at as f64 * CELL.0;
        let outer = Rect { left: left + 8.0, top: HEAD, right: left + CELL.0 - 8.0, bottom: HEAD + CELL.1 };
        panel(&mut drawing, outer, (name, y), lines, &color);
    }
    if names.len() > 1 {
        let entry = |name: &&str| Entry { label: (*name).to_owned(), color: color(name), marker: Some(look.marker), dash: None };
        let left = panels.len() as f64 * CELL.0 + 8.0;
        let beside = Rect { left, top: HEAD + 24.0, right: width - 4.0, bottom: HEAD + CELL.1 - 8.0 };
        legend(&mut drawing, beside, &names.iter().map(entry).collect::<Vec<_>>());
    }
    Some(drawing)
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

fn panel(
    on: &mut Drawing,
    outer: Rect,
    (title, y): (&str, &str),
    lines: &[(String, Vec<Value>)],
    color: &impl Fn(&str) -> RGBColor,
) {
    let every = || lines.iter().flat_map(|line| &line.1);
    let all_n: Vec<f64> = every().map(|value| value.0).collect();
    let range = extent(every().flat_map(|(_, value, low, high)| [*value, *low, *high])).unwrap_or((0.0, 1.0));
    let x = Axis::values("N (completions drawn, log scale)", Scale::Log, &all_n, CELL.0 - 90.0);
    let panel = Panel::new(outer, x, Axis::linear(y, padded(range, 0.06), 5), true);
    panel.frame(on, title);
    for (name, values) in lines {
        let band: Vec<_> = values.iter().map(|(n, _, low, high)| (*n, *low, *high)).collect();
        panel.band(on, &band, color(name));
    }
    for (name, values) in lines {
        panel.line(on, values.iter().map(|(n, value, ..)| (*n, *value)), color(name), 1.4);
        for (n, value, low, high) in values {
            // A band of one point has no width, so its interval is a bar.
            let bar = if values.len() == 1 { half((high - low) / 2.0 / 1.96) } else { 0.0 };
            panel.point(on, (*n, *value), (0.0, bar), look("best_of_n").marker, 3.8, color(name));
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
    use super::super::tests::best;
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
}
