//! Small multiples: a grid of panels that share their lines and one legend.

use super::axis::{Axis, extent, padded, robust};
use super::canvas::{Align, Drawing, Rect, Text};
use super::legend::{Entry, legend, legend_height, legend_width};
use super::panel::Panel;
use crate::report::theme::{INK, Marker, TITLE};
use plotters::style::RGBColor;

/// One line of a panel.
#[derive(Clone, Debug)]
pub struct Curve {
    /// Its colour.
    pub color: RGBColor,
    /// The marker of its points, where they have one.
    pub marker: Option<Marker>,
    /// x, y and the half-width of a 95% interval (0 for none).
    pub points: Vec<(f64, f64, f64)>,
}

/// One panel.
#[derive(Clone, Debug)]
pub struct Plot {
    /// Its title.
    pub title: String,
    /// Description of the vertical axis, with its unit.
    pub y: String,
    /// Whether values that are far off may be cut. Not for what is bounded anyway.
    pub cut: bool,
    /// Its lines.
    pub curves: Vec<Curve>,
}

/// Width and height of a panel with its labels.
const CELL: (f64, f64) = (290.0, 210.0);
const HEAD: f64 = 34.0;

/// Draws the panels that have data, `columns` in a row, and the legend in an empty cell or on the right. `x` describes the
/// horizontal axis of all. Nothing where no panel has data.
pub fn grid(title: &str, x: &str, mut plots: Vec<Plot>, columns: usize, entries: &[Entry]) -> Option<Drawing> {
    for curve in plots.iter_mut().flat_map(|plot| &mut plot.curves) {
        curve.points.retain(|(x, y, _)| x.is_finite() && y.is_finite());
    }
    plots.retain(|plot| plot.curves.iter().any(|curve| !curve.points.is_empty()));
    if plots.is_empty() {
        return None;
    }
    let columns = columns.clamp(1, plots.len());
    let rows = plots.len().div_ceil(columns);
    let (grid_width, height) = (columns as f64 * CELL.0, HEAD + rows as f64 * CELL.1);
    let (area, size) = legend_area(plots.len(), columns, (grid_width, height), entries);
    let mut drawing = Drawing::new(size.0, size.1, title);
    drawing.push_text(Text {
        text: title.to_owned(),
        at: (14.0, 22.0),
        size: TITLE,
        color: INK,
        align: Align::Start,
        bold: true,
        upwards: false,
    });
    let every = || plots.iter().flat_map(|plot| &plot.curves).flat_map(|curve| &curve.points);
    let span = extent(every().map(|point| point.0)).unwrap_or((0.0, 1.0));
    let mut panels: Vec<Panel> = Vec::new();
    for (at, plot) in plots.iter().enumerate() {
        let (left, top) = ((at % columns) as f64 * CELL.0, HEAD + (at / columns) as f64 * CELL.1);
        // Only the lowest panel of a column describes x, but all are of one height.
        let lowest = at + columns >= plots.len();
        let bottom = top + CELL.1 - if lowest { 0.0 } else { 20.0 };
        let outer = Rect { left: left + 8.0, top, right: left + CELL.0 - 4.0, bottom };
        let described = Axis::linear(if lowest { x } else { "" }, padded(span, 0.02), 4);
        panels.push(Panel::new(outer, described, vertical(plot), true));
    }
    for column in 0..columns {
        let of_column = || (column..plots.len()).step_by(columns);
        let widest = of_column().map(|at| panels[at].labels).fold(0.0, f64::max);
        of_column().for_each(|at| panels[at].align(widest));
    }
    for (panel, plot) in panels.iter().zip(&plots) {
        draw(&mut drawing, panel, plot);
    }
    legend(&mut drawing, area, entries);
    Some(drawing)
}

/// Where the legend goes, and the size of the drawing with it: into the empty cells, as a column on the right, or below.
fn legend_area(plots: usize, columns: usize, (width, height): (f64, f64), entries: &[Entry]) -> (Rect, (f64, f64)) {
    let used = (plots % columns) as f64 * CELL.0;
    if used > 0.0 && legend_width(entries, CELL.1 - 32.0) <= width - used - 40.0 {
        return (
            Rect { left: used + 40.0, top: height - CELL.1 + 24.0, right: width, bottom: height - 8.0 },
            (width + 8.0, height),
        );
    }
    let beside = legend_width(entries, height - HEAD - 32.0);
    if used == 0.0 && beside <= 0.6 * CELL.0 {
        let right = width + 16.0 + beside.max(120.0);
        return (Rect { left: width + 16.0, top: HEAD + 24.0, right, bottom: height - 8.0 }, (right + 4.0, height));
    }
    // As many lines as are needed, but never more than a figure can have below it.
    let lines = (1..16).find(|lines| legend_width(entries, legend_height(*lines)) <= width - 36.0).unwrap_or(16);
    let bottom = height + 10.0 + legend_height(lines);
    (Rect { left: 28.0, top: height + 10.0, right: width - 8.0, bottom }, (width + 8.0, bottom + 10.0))
}

/// The vertical axis of a panel: over all values, or over most where a few are so far off that nothing else could be seen.
fn vertical(plot: &Plot) -> Axis {
    let values: Vec<f64> = plot.curves.iter().flat_map(|curve| curve.points.iter().map(|point| point.1)).collect();
    let all = extent(values.iter().copied()).unwrap_or((0.0, 1.0));
    let most = robust(&values).filter(|most| plot.cut && all.1 - all.0 > 2.5 * (most.1 - most.0));
    Axis::linear(&plot.y, padded(most.unwrap_or(all), 0.06), 5)
}

fn draw(on: &mut Drawing, panel: &Panel, plot: &Plot) {
    let (low, high) = panel.y.range();
    panel.frame(on, &plot.title);
    for curve in &plot.curves {
        panel.line(on, curve.points.iter().map(|(x, y, _)| (*x, *y)), curve.color, 1.2);
    }
    // Markers lie upon all lines.
    for curve in &plot.curves {
        let lonely = curve.points.len() == 1;
        let Some(marker) = curve.marker.or(lonely.then_some(Marker::Circle)) else { continue };
        for (x, y, half) in &curve.points {
            panel.point(on, (*x, *y), (0.0, *half), marker, 2.8, curve.color);
        }
    }
    let values = plot.curves.iter().flat_map(|curve| curve.points.iter().map(|point| point.1));
    let Some(ends) = extent(values).filter(|ends| ends.0 < low || ends.1 > high) else { return };
    let far = if ends.1 - high > low - ends.0 { ends.1 } else { ends.0 };
    panel.note(on, &format!("axis cut: reaches {}", rounded(far)));
}

/// A number for a note: three digits are enough.
pub fn rounded(value: f64) -> String {
    let text = match value.abs() {
        size if size >= 1e6 || (size < 1e-3 && size > 0.0) => format!("{value:.1e}"),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    };
    text.replace('-', "−")
}
