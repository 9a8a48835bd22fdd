//! Table 1 of the paper as a figure: win rates on prompts out of distribution, beside those on prompts like training's.

use super::Figures;
use super::axis::{Axis, short};
use super::canvas::{Align, Drawing, Rect, Text};
use super::panel::Panel;
use super::tracks::Palette;
use super::win_rates::{Comparison, EVEN_DASH, comparisons, is_outside, method, name, tasks_differ, two_temperatures};
use crate::report::judged_rows::WinRateRow;
use crate::report::theme::{FAINT, INK, NOTE, PAPER, TICK, TITLE, mix, text_width};
use plotters::style::RGBColor;

/// The temperatures of table 1.
const WANTED: [f64; 2] = [0.0, 0.25];
/// Width of a bar, the gap between temperatures and the gap between runs, in pixels.
const BAR: f64 = 20.0;
const GAP: f64 = 14.0;
const BETWEEN: f64 = 30.0;
const HEAD: f64 = 60.0;
const HEIGHT: f64 = 270.0;
/// Below a panel: a line for temperatures and one for runs.
const FOOT: f64 = 24.0;

/// Two bars: in distribution, where that was judged, and out of it.
struct Pair<'a> {
    temperature: f64,
    inside: Option<&'a WinRateRow>,
    outside: &'a WinRateRow,
}

impl<'a> Pair<'a> {
    fn rows(&self) -> impl Iterator<Item = &'a WinRateRow> {
        self.inside.into_iter().chain([self.outside])
    }
}

/// The bars of one run.
struct Group<'a> {
    name: String,
    color: RGBColor,
    pairs: Vec<Pair<'a>>,
}

impl Group<'_> {
    fn bars(&self) -> f64 {
        self.pairs.len() as f64 * (2.0 * BAR + GAP) - GAP
    }

    fn width(&self) -> f64 {
        self.bars().max(text_width(&self.name, TICK, false))
    }
}

/// Draws the figure, where some run was judged out of distribution.
pub fn draw(data: &Figures<'_>) -> Option<Drawing> {
    let mut comparisons = comparisons(data.win_rates);
    comparisons.iter_mut().for_each(Comparison::keep_last);
    comparisons.retain(|one| one.rows.iter().any(|row| is_outside(row)));
    let panels: Vec<(&Comparison<'_>, Vec<Group<'_>>)> = comparisons.iter().map(|one| (one, groups(one))).collect();
    let reach = |groups: &[Group<'_>]| BETWEEN + groups.iter().map(|group| group.width() + BETWEEN).sum::<f64>();
    let title = format!("{}: win rate out of distribution (95% intervals)", data.study);
    let widest = panels.iter().map(|panel| reach(&panel.1)).reduce(f64::max)?;
    let width = (widest + 84.0).max(text_width(&title, TITLE, true) + 28.0).max(380.0);
    let mut drawing = Drawing::new(width, HEAD + panels.len() as f64 * HEIGHT, &title);
    drawing.push_text(Text {
        text: title,
        at: (14.0, 22.0),
        size: TITLE,
        color: INK,
        align: Align::Start,
        bold: true,
        upwards: false,
    });
    key(&mut drawing);
    let shown = panels.iter().flat_map(|panel| &panel.1).flat_map(|group| &group.pairs).flat_map(Pair::rows);
    let ends = shown.flat_map(|row| [row.win_rate, row.ci_high]).filter(|end| end.is_finite());
    // One height for all judges, with room for the numbers above the bars.
    let high = ends.fold(0.5, f64::max).min(1.0) * 1.1;
    for (at, (one, groups)) in panels.iter().enumerate() {
        let top = HEAD + at as f64 * HEIGHT;
        let outer = Rect { left: 8.0, top, right: width - 4.0, bottom: top + HEIGHT - FOOT };
        let y = Axis::linear(one.axis(), (0.0, high), 5);
        panel(&mut drawing, outer, (one.title(tasks_differ(&comparisons), widest), y), groups);
    }
    Some(drawing)
}

/// Every run with what was judged at the temperatures that are shown, in the order of a legend.
fn groups<'a>(one: &Comparison<'a>) -> Vec<Group<'a>> {
    let outside = || one.rows.iter().copied().filter(|row| is_outside(row));
    let temperatures = two_temperatures(outside(), WANTED);
    let palette = Palette::new(outside().map(|row| (method(row), row.params.as_str())));
    let mut runs: Vec<&WinRateRow> = outside().filter(|row| temperatures.contains(&row.temperature)).collect();
    runs.sort_by(|a, b| {
        let (a, b) = ((method(a), &a.params, a.seed, &a.run), (method(b), &b.params, b.seed, &b.run));
        palette.place(a.0, a.1).cmp(&palette.place(b.0, b.1)).then_with(|| (a.2, a.3).cmp(&(b.2, b.3)))
    });
    let seeds = |row: &WinRateRow| outside().any(|other| other.method == row.method && other.seed != row.seed);
    let group = |rows: &[&'a WinRateRow]| {
        let first = rows[0];
        let several = outside().any(|other| method(other) == method(first) && other.params != first.params);
        let settings = if several { palette.settings(method(first), &first.params) } else { String::new() };
        let seed = if seeds(first) { format!("seed {}", first.seed) } else { String::new() };
        let name = [name(first), settings, seed].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>();
        let pair = |outside: &&'a WinRateRow| {
            let inside =
                |row: &&&WinRateRow| !is_outside(row) && row.run == outside.run && row.temperature == outside.temperature;
            Pair { temperature: outside.temperature, inside: one.rows.iter().find(inside).copied(), outside }
        };
        Group { name: name.join(" "), color: palette.color(method(first), &first.params), pairs: rows.iter().map(pair).collect() }
    };
    runs.chunk_by(|a, b| a.run == b.run).map(group).collect()
}

/// Which bar is which, below the title.
fn key(on: &mut Drawing) {
    let mut left = 15.0;
    for (name, share) in [("like training's prompts", LIGHT), ("out of distribution", 0.0)] {
        bar(on, Rect { left, top: 36.0, right: left + 11.0, bottom: 47.0 }, FAINT, share);
        on.text(name, (left + 17.0, 45.5), TICK, INK, Align::Start);
        left += text_width(name, TICK, false) + 38.0;
    }
}

/// Share of white in a bar of prompts in distribution.
const LIGHT: f64 = 0.72;

fn bar(on: &mut Drawing, rect: Rect, color: RGBColor, light: f64) {
    let Rect { left, top, right, bottom } = rect;
    on.rect(rect, mix(color, PAPER, light), 1.0);
    on.line([(left, bottom), (left, top), (right, top), (right, bottom)], color, 0.9);
}

fn panel(on: &mut Drawing, outer: Rect, (title, mut y): (String, Axis), groups: &[Group<'_>]) {
    let mut x = Axis::linear("", (0.0, outer.width()), 1);
    x.ticks.clear();
    y.ticks.retain(|tick| tick.0 <= 1.0);
    let panel = Panel::new(outer, x, y, true);
    panel.frame(on, &title);
    let bottom = panel.plot.bottom;
    let mut left = panel.plot.left + BETWEEN;
    let mut columns: Vec<(&WinRateRow, f64)> = Vec::new();
    for group in groups {
        let middle = left + group.width() / 2.0;
        let mut bars = middle - group.bars() / 2.0;
        for pair in &group.pairs {
            for (row, at, light) in [(pair.inside, bars, LIGHT), (Some(pair.outside), bars + BAR, 0.0)] {
                let Some(row) = row else { continue };
                let top = height(&panel, row.win_rate);
                let rect = Rect { left: at + 0.7, top, right: at + BAR - 0.7, bottom };
                bar(on, rect, group.color, light);
                columns.push((row, at + BAR / 2.0));
            }
            on.text(format!("T={}", short(pair.temperature)), (bars + BAR, bottom + 15.0), NOTE, FAINT, Align::Middle);
            bars += 2.0 * BAR + GAP;
        }
        on.text(&group.name, (middle, bottom + 33.0), TICK, INK, Align::Middle);
        left += group.width() + BETWEEN;
    }
    // Upon the bars, since the taller ones would hide it, and below the numbers.
    let even = height(&panel, 0.5);
    on.dashed(&[(panel.plot.left, even), (panel.plot.right, even)], FAINT, 1.0, EVEN_DASH);
    for (row, middle) in columns {
        interval(on, &panel, middle, row);
    }
}

fn height(panel: &Panel, rate: f64) -> f64 {
    panel.at(0.0, rate.clamp(0.0, 1.0)).1
}

/// The interval of a bar, and its number above that.
fn interval(on: &mut Drawing, panel: &Panel, middle: f64, row: &WinRateRow) {
    let mut highest = height(panel, row.win_rate);
    if row.ci_low.is_finite() && row.ci_high.is_finite() {
        let (low, high) = (height(panel, row.ci_low), height(panel, row.ci_high));
        // A white edge, so that it is seen on bars of every colour.
        for (color, more) in [(PAPER, 1.6), (INK, 0.0)] {
            on.line([(middle, low), (middle, high)], color, 1.0 + more);
            for end in [low, high] {
                on.line([(middle - 3.0, end), (middle + 3.0, end)], color, 1.0 + more);
            }
        }
        highest = highest.min(high);
    }
    // As table 1 writes them.
    let number = format!("{:.2}", row.win_rate);
    let number = number.strip_prefix('0').unwrap_or(&number);
    let half = text_width(number, NOTE, false) / 2.0;
    let baseline = highest - 4.0;
    on.rect(Rect { left: middle - half, top: baseline - NOTE * 0.8, right: middle + half, bottom: baseline + 1.0 }, PAPER, 0.8);
    on.text(number, (middle, baseline), NOTE, INK, Align::Middle);
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Made, won};
    use super::*;

    fn outside(row: WinRateRow) -> WinRateRow {
        WinRateRow { task: format!("{}-ood", row.task), ..row }
    }

    #[test]
    fn bars_stand_side_by_side_with_their_numbers() {
        let mut rows: Vec<WinRateRow> = [0.0, 0.25, 1.0].map(|temperature| won("dpo", "beta=0.1", 100, temperature, 0.61)).into();
        rows.extend(rows.clone().into_iter().map(|row| outside(WinRateRow { win_rate: 0.36, ..row })));
        rows.push(outside(won("ppo", "", 100, 0.0, 0.26)));
        let shown = Made { win_rates: rows, ..Made::default() }.svg(draw);
        for text in [".61", ".36", ".26", "T=0", "T=0.25", "DPO", "PPO", "out of distribution", "win rate against reference"] {
            assert!(shown.lines().any(|line| line.trim() == text), "{text}");
        }
        assert!(!shown.contains("T=1"), "table 1 has two temperatures");
    }

    #[test]
    fn without_prompts_out_of_distribution_there_is_nothing_to_compare() {
        assert!(Made { win_rates: vec![won("dpo", "", 1, 0.0, 0.6)], ..Made::default() }.draw(draw).is_none());
    }

    #[test]
    fn variants_and_seeds_are_told_apart() {
        let seed =
            |params: &str, seed| outside(WinRateRow { run: format!("{params}-{seed}"), seed, ..won("dpo", params, 1, 0.0, 0.3) });
        let rows = vec![seed("beta=0.1", 0), seed("beta=0.1", 1), seed("beta=1", 0)];
        let shown = Made { win_rates: rows, ..Made::default() }.svg(draw);
        for text in ["DPO β=0.1 seed 0", "DPO β=0.1 seed 1", "DPO β=1 seed 0"] {
            assert!(shown.lines().any(|line| line.trim() == text), "{text}");
        }
    }
}
