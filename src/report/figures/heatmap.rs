//! How two swept settings work together: reward and KL of the last checkpoint of every combination, as the colour of a cell.

use super::Figures;
use super::axis::{extent, short};
use super::canvas::{Align, Drawing, Rect, Text, fitted};
use super::multiples::rounded;
use super::swept::{Outcome, Swept, number, outcomes, swept};
use crate::report::theme::{AXIS, FAINT, GRID, INK, LABEL, NOTE, PAPER, TICK, TITLE, label, mix, setting_name, text_width};
use plotters::style::RGBColor;

const METHODS: usize = 4;
const CELL: (f64, f64) = (58.0, 34.0);
/// Room above a map for its title, below it for the ticks and the name of its axis, and between maps.
const HEAD: f64 = 34.0;
const FOOT: f64 = 48.0;
const BAR: f64 = 12.0;
/// Room right of a map for its colour bar and the labels of that.
const BESIDE: f64 = 92.0;

/// Viridis (van der Walt and Smith 2015) at nine even steps: as light as it is high, and in order for the colour-blind too.
const VIRIDIS: [u32; 9] = [0x440154, 0x472d7b, 0x3b528b, 0x2c728e, 0x21918c, 0x28ae80, 0x5ec962, 0xaddc30, 0xfde725];

/// Reward and KL over a grid of two settings of one method.
struct Grid<'a> {
    method: &'a str,
    across: Swept<'a>,
    up: Swept<'a>,
    /// Names of settings that cells are means over.
    over: Vec<String>,
    outcomes: Vec<&'a Outcome<'a>>,
}

/// Draws the figure, of methods that sweep at least two numbers.
pub fn draw(data: &Figures<'_>) -> Option<Drawing> {
    let outcomes = outcomes(data.frontier);
    let mut grids: Vec<Grid<'_>> = outcomes.chunk_by(|a, b| a.method == b.method).filter_map(grid).collect();
    grids.truncate(METHODS);
    let maps: Vec<(&Grid<'_>, Vec<Map>)> = grids.iter().map(|grid| (grid, maps(grid, data.reward_label))).collect();
    let margin = grids.iter().map(margin).fold(0.0, f64::max);
    let wide = |grid: &Grid<'_>| margin + grid.across.values.len() as f64 * CELL.0 + BESIDE;
    let columns = maps.iter().map(|(_, maps)| maps.len()).max().filter(|columns| *columns > 0)?;
    let width = grids.iter().map(wide).fold(0.0, f64::max);
    let height = |grid: &Grid<'_>| HEAD + grid.up.values.len() as f64 * CELL.1 + FOOT;
    let title = format!("{}: last checkpoint of every combination of settings", data.study);
    let needed = (columns as f64 * width + 8.0).max(text_width(&title, TITLE, true) + 28.0);
    let mut drawing = Drawing::new(needed, HEAD + grids.iter().map(height).sum::<f64>(), &title);
    heading(&mut drawing, &title, (14.0, 22.0));
    let mut top = HEAD;
    for (grid, maps) in &maps {
        for (at, map) in maps.iter().enumerate() {
            let left = at as f64 * width + margin;
            draw_map(&mut drawing, grid, map, (left, top + HEAD), margin);
        }
        top += height(grid);
    }
    Some(drawing)
}

/// The grid of one method: its two numeric settings with most values, as long as they are more than a line.
fn grid<'a>(of_method: &'a [Outcome<'a>]) -> Option<Grid<'a>> {
    let outcomes: Vec<&Outcome<'_>> = of_method.iter().collect();
    let swept = swept(&outcomes);
    let mut numeric = swept.iter().filter(|setting| setting.numbers().is_some());
    let (across, up) = (numeric.next()?.clone(), numeric.next()?.clone());
    let rest = swept.iter().filter(|setting| setting.name != across.name && setting.name != up.name);
    let over = rest.map(|setting| setting_name(setting.name)).collect();
    Some(Grid { method: of_method[0].method, across, up, over, outcomes })
}

/// One map: what it shows, and a value for every cell that has one, by column and row.
struct Map {
    title: String,
    cells: Vec<(usize, usize, f64)>,
    range: (f64, f64),
}

fn maps(grid: &Grid<'_>, reward_label: &str) -> Vec<Map> {
    let of = |title: &str, value: fn(&Outcome<'_>) -> f64| {
        let mut cells = Vec::new();
        for (column, across) in grid.across.values.iter().enumerate() {
            for (row, up) in grid.up.values.iter().enumerate() {
                let here = |outcome: &&&Outcome<'_>| {
                    outcome.value(grid.across.name) == Some(across) && outcome.value(grid.up.name) == Some(up)
                };
                let values = grid.outcomes.iter().filter(here).map(|outcome| value(outcome)).filter(|value| value.is_finite());
                let values: Vec<f64> = values.collect();
                if !values.is_empty() {
                    cells.push((column, row, values.iter().sum::<f64>() / values.len() as f64));
                }
            }
        }
        let range = extent(cells.iter().map(|cell| cell.2))?;
        Some(Map { title: format!("{}: {title}", label(grid.method)), cells, range })
    };
    let maps = [of(reward_label, |outcome| outcome.reward.0), of("KL (nats per sequence)", |outcome| outcome.kl.0)];
    maps.into_iter().flatten().collect()
}

/// A value as its row or column is labelled.
fn written(value: &str) -> String {
    number(value).map_or_else(|| value.to_owned(), short)
}

/// Room left of a map, for the labels of its rows and the name of their setting.
fn margin(grid: &Grid<'_>) -> f64 {
    grid.up.values.iter().map(|value| text_width(&written(value), TICK, false)).fold(0.0, f64::max) + 42.0
}

fn draw_map(on: &mut Drawing, grid: &Grid<'_>, map: &Map, (left, top): (f64, f64), margin: f64) {
    let (columns, rows) = (grid.across.values.len() as f64, grid.up.values.len() as f64);
    let plot = Rect { left, top, right: left + columns * CELL.0, bottom: top + rows * CELL.1 };
    let place = |column: usize, row: usize| Rect {
        left: left + column as f64 * CELL.0,
        right: left + (column + 1) as f64 * CELL.0,
        // The least value is lowest, as on any axis.
        top: plot.bottom - (row + 1) as f64 * CELL.1,
        bottom: plot.bottom - row as f64 * CELL.1,
    };
    let missing = |column: usize, row: usize| !map.cells.iter().any(|cell| (cell.0, cell.1) == (column, row));
    for (column, row) in (0..grid.across.values.len()).flat_map(|column| (0..grid.up.values.len()).map(move |row| (column, row)))
    {
        if missing(column, row) {
            hatch(on, place(column, row).grown(-0.8));
        }
    }
    for (column, row, value) in &map.cells {
        let (rect, color) = (place(*column, *row).grown(-0.8), sequential(share(*value, map.range)));
        on.rect(rect, color, 1.0);
        let ink = if lightness(color) > 0.5 { INK } else { PAPER };
        let at = ((rect.left + rect.right) / 2.0, (rect.top + rect.bottom) / 2.0 + TICK * 0.36);
        on.text(rounded(*value), at, TICK, ink, Align::Middle);
    }
    for (column, value) in grid.across.values.iter().enumerate() {
        let rect = place(column, 0);
        let shown = fitted(&written(value), TICK, CELL.0 - 4.0);
        on.text(shown, ((rect.left + rect.right) / 2.0, plot.bottom + 16.0), TICK, INK, Align::Middle);
    }
    for (row, value) in grid.up.values.iter().enumerate() {
        let rect = place(0, row);
        on.text(written(value), (left - 7.0, (rect.top + rect.bottom) / 2.0 + TICK * 0.36), TICK, INK, Align::End);
    }
    let middle = ((plot.left + plot.right) / 2.0, (plot.top + plot.bottom) / 2.0);
    on.text(setting_name(grid.across.name), (middle.0, plot.bottom + 35.0), LABEL, INK, Align::Middle);
    on.push_text(Text {
        text: setting_name(grid.up.name),
        at: (left - margin + 22.0, middle.1),
        size: LABEL,
        color: INK,
        align: Align::Middle,
        bold: false,
        upwards: true,
    });
    heading(on, &map.title, (left, top - 9.0));
    if !grid.over.is_empty() {
        on.text(format!("means over {}", grid.over.join(", ")), (plot.right, plot.bottom + 35.0), NOTE, FAINT, Align::End);
    }
    bar(on, plot, map.range);
}

/// The colour bar beside a map, with the ends of its range.
fn bar(on: &mut Drawing, plot: Rect, (low, high): (f64, f64)) {
    const STEPS: usize = 48;
    let (left, right) = (plot.right + 14.0, plot.right + 14.0 + BAR);
    let y = |at: f64| plot.bottom - at * plot.height();
    for step in 0..STEPS {
        let (from, to) = (step as f64 / STEPS as f64, (step + 1) as f64 / STEPS as f64);
        on.rect(Rect { left, right, top: y(to), bottom: y(from) }, sequential((from + to) / 2.0), 1.0);
    }
    let ticks = if low == high { vec![0.5] } else { vec![0.0, 0.5, 1.0] };
    for at in ticks {
        on.line([(right, y(at)), (right + 3.5, y(at))], AXIS, 0.8);
        let value = low + (high - low) * at;
        on.text(rounded(value), (right + 7.0, y(at) + TICK * 0.36), TICK, INK, Align::Start);
    }
}

/// Hatches a rectangle: what no cell covers has no run.
fn hatch(on: &mut Drawing, rect: Rect) {
    let (mut at, end) = (rect.left - rect.height(), rect.right);
    while at < end {
        if let Some((from, to)) = rect.clip((at, rect.bottom), (at + rect.height(), rect.top)) {
            on.line([from, to], mix(GRID, AXIS, 0.15), 0.8);
        }
        at += 7.0;
    }
}

fn heading(on: &mut Drawing, text: &str, at: (f64, f64)) {
    let text = text.to_owned();
    on.push_text(Text { text, at, size: TITLE, color: INK, align: Align::Start, bold: true, upwards: false });
}

/// Where a value lies in a range; in the middle of one without width.
fn share(value: f64, (low, high): (f64, f64)) -> f64 {
    if high > low { (value - low) / (high - low) } else { 0.5 }
}

/// The colour of a share of 0 to 1.
fn sequential(share: f64) -> RGBColor {
    let color = |at: usize| {
        let [_, r, g, b] = VIRIDIS[at].to_be_bytes();
        RGBColor(r, g, b)
    };
    let place = share.clamp(0.0, 1.0) * (VIRIDIS.len() - 1) as f64;
    let low = (place as usize).min(VIRIDIS.len() - 2);
    mix(color(low), color(low + 1), place - low as f64)
}

/// How light a colour seems, from 0 to 1.
fn lightness(color: RGBColor) -> f64 {
    (0.299 * f64::from(color.0) + 0.587 * f64::from(color.1) + 0.114 * f64::from(color.2)) / 255.0
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Made, row};
    use super::*;

    #[test]
    fn the_colour_scale_only_gets_lighter() {
        let light: Vec<f64> = (0..=40).map(|at| lightness(sequential(f64::from(at) / 40.0))).collect();
        assert!(light.windows(2).all(|pair| pair[0] < pair[1]), "{light:?}");
        assert_eq!((share(3.0, (3.0, 3.0)), share(3.0, (2.0, 4.0))), (0.5, 0.5));
    }

    #[test]
    fn a_grid_needs_two_swept_numbers_and_may_have_holes() {
        let study = |params: &[&str]| Made {
            frontier: params.iter().map(|params| row("dpo", params, 100, 1.5, 0.625)).collect(),
            ..Made::default()
        };
        assert!(study(&["beta=1", "beta=2"]).draw(draw).is_none());
        assert!(study(&["beta=1;labels=hard", "beta=2;labels=soft"]).draw(draw).is_none());
        let shown =
            study(&["beta=1;gamma=0.00001", "beta=2;gamma=0.00001", "beta=1;gamma=2;x=1", "beta=1;gamma=2;x=3"]).svg(draw);
        for text in ["β", "γ", "1e−5", "1.50", "means over x", "DPO: mean true reward", "DPO: KL (nats per sequence)"] {
            assert!(shown.lines().any(|line| line.trim() == text), "{text}");
        }
        assert_eq!(
            shown.lines().filter(|line| line.trim() == "1.50").count(),
            4,
            "three cells, and the one tick of a bar without width"
        );
    }
}
