//! Small multiples: a grid of panels that share their lines and one legend.

use super::axis::{Axis, Scale, extent, padded, reach, robust};
use super::canvas::{Align, Drawing, Rect, Text};
use super::legend::{Entry, legend, legend_height, legend_width};
use super::panel::Panel;
use crate::report::theme::{FAINT, INK, Marker, NOTE, PAPER, TITLE, mix, text_width};
use plotters::style::RGBColor;

/// One line of a panel.
#[derive(Clone, Debug, Default)]
pub struct Curve {
    /// Its colour.
    pub color: RGBColor,
    /// The marker of its points, where they have one.
    pub marker: Option<Marker>,
    /// x, y and the half-width of a 95% interval (0 for none).
    pub points: Vec<(f64, f64, f64)>,
    /// How its points are joined.
    pub stroke: Stroke,
    /// A band around it: x, lower and upper end, in the order of x; empty for none.
    pub band: Vec<(f64, f64, f64)>,
}

/// How points are joined.
#[derive(Clone, Copy, Debug)]
pub enum Stroke {
    /// By a line of this width in pixels.
    Solid(f64),
    /// By a dashed line of this width: pixels drawn and not.
    Dashed(f64, (f64, f64)),
    /// Not at all.
    None,
}

impl Default for Stroke {
    fn default() -> Self {
        Stroke::Solid(1.2)
    }
}

/// One panel.
#[derive(Clone, Debug, Default)]
pub struct Plot {
    /// Its title.
    pub title: String,
    /// Description of the vertical axis, with its unit.
    pub y: String,
    /// Whether values that are far off may be cut. Not for what is bounded anyway.
    pub cut: bool,
    /// Its lines.
    pub curves: Vec<Curve>,
    /// A horizontal axis of its own; without one it has that of all.
    pub x: Option<Axis>,
    /// Layout of the vertical axis, linear or logarithmic.
    pub scale: Scale,
    /// A value that a thin line marks.
    pub level: Option<f64>,
    /// A vertical range of its own, where panels have to be comparable.
    pub range: Option<(f64, f64)>,
}

/// How panels are arranged.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    columns: usize,
    cell: (f64, f64),
}

impl Layout {
    /// So many small panels in a row.
    pub fn small(columns: usize) -> Self {
        Self { columns, cell: (290.0, 210.0) }
    }

    /// So many large panels in a row.
    pub fn large(columns: usize) -> Self {
        Self { columns, cell: (400.0, 310.0) }
    }
}

const HEAD: f64 = 34.0;

/// The horizontal axis of a panel against KL, which leaves out what is very far away.
pub fn kl_axis(kls: impl IntoIterator<Item = f64>) -> Axis {
    // Nothing is said by how many are at 0, where every run begins.
    let limit = reach(kls.into_iter().filter(|kl| *kl > 0.0)).unwrap_or(1.0);
    Axis::linear("KL(π ‖ π_ref), nats per sequence", (-0.015 * limit, 1.04 * limit), 6)
}

/// Draws the panels that have data, and the legend in an empty cell, on the right or below. `x` describes the horizontal axis of
/// those panels that have none of their own. Nothing where no panel has data.
pub fn grid(title: &str, x: &str, mut plots: Vec<Plot>, layout: Layout, entries: &[Entry]) -> Option<Drawing> {
    for curve in plots.iter_mut().flat_map(|plot| &mut plot.curves) {
        curve.points.retain(|(x, y, _)| x.is_finite() && y.is_finite());
    }
    plots.retain(|plot| plot.curves.iter().any(|curve| !curve.points.is_empty()));
    if plots.is_empty() {
        return None;
    }
    let (columns, cell) = (layout.columns.clamp(1, plots.len()), layout.cell);
    let rows = plots.len().div_ceil(columns);
    let (grid_width, height) = (columns as f64 * cell.0, HEAD + rows as f64 * cell.1);
    let (area, size) = legend_area(plots.len(), columns, cell, (grid_width, height), entries);
    let width = size.0.max(text_width(title, TITLE, true) + 28.0);
    let mut drawing = Drawing::new(width, size.1, title);
    drawing.push_text(Text {
        text: title.to_owned(),
        at: (14.0, 22.0),
        size: TITLE,
        color: INK,
        align: Align::Start,
        bold: true,
        upwards: false,
    });
    let shared = plots.iter().filter(|plot| plot.x.is_none()).flat_map(|plot| &plot.curves).flat_map(|curve| &curve.points);
    let span = extent(shared.map(|point| point.0)).unwrap_or((0.0, 1.0));
    let mut panels: Vec<Panel> = Vec::new();
    for (at, plot) in plots.iter().enumerate() {
        let (left, top) = ((at % columns) as f64 * cell.0, HEAD + (at / columns) as f64 * cell.1);
        // Only the lowest panel of a column describes x, but all are of one height.
        let lowest = at + columns >= plots.len();
        let shared = || Axis::linear(if lowest { x } else { "" }, padded(span, 0.02), ticks(cell.0, 70.0));
        let horizontal = plot.x.clone().unwrap_or_else(shared);
        let bottom = top + cell.1 - if horizontal.title.is_empty() { 20.0 } else { 0.0 };
        let outer = Rect { left: left + 8.0, top, right: left + cell.0 - 4.0, bottom };
        panels.push(Panel::new(outer, horizontal, vertical(plot, ticks(cell.1, 45.0)), true));
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
fn legend_area(
    plots: usize,
    columns: usize,
    cell: (f64, f64),
    (width, height): (f64, f64),
    entries: &[Entry],
) -> (Rect, (f64, f64)) {
    let used = (plots % columns) as f64 * cell.0;
    if used > 0.0 && legend_width(entries, cell.1 - 32.0) <= width - used - 40.0 {
        return (
            Rect { left: used + 40.0, top: height - cell.1 + 24.0, right: width, bottom: height - 8.0 },
            (width + 8.0, height),
        );
    }
    let beside = legend_width(entries, height - HEAD - 32.0);
    if used == 0.0 && beside <= 0.6 * cell.0 {
        let right = width + 16.0 + beside.max(120.0);
        return (Rect { left: width + 16.0, top: HEAD + 24.0, right, bottom: height - 8.0 }, (right + 4.0, height));
    }
    // As many lines as are needed, but never more than a figure can have below it.
    let lines = (1..16).find(|lines| legend_width(entries, legend_height(*lines)) <= width - 36.0).unwrap_or(16);
    let bottom = height + 10.0 + legend_height(lines);
    (Rect { left: 28.0, top: height + 10.0, right: width - 8.0, bottom }, (width + 8.0, bottom + 10.0))
}

/// How many ticks an axis of a cell has room for, one in so many pixels.
fn ticks(length: f64, pixels: f64) -> usize {
    (length / pixels).round() as usize
}

/// The vertical axis of a panel: over all values, or over most where a few are so far off that nothing else could be seen.
fn vertical(plot: &Plot, ticks: usize) -> Axis {
    if let Some(range) = plot.range {
        return Axis::linear(&plot.y, range, ticks);
    }
    let values: Vec<f64> = plot.curves.iter().flat_map(|curve| curve.points.iter().map(|point| point.1)).collect();
    if plot.scale == Scale::Log {
        return Axis::log10(&plot.y, values);
    }
    let all = extent(values.iter().copied()).unwrap_or((0.0, 1.0));
    let most = robust(&values).filter(|most| plot.cut && all.1 - all.0 > 2.5 * (most.1 - most.0));
    // Intervals belong to what is shown, but never widen an axis that is cut.
    let bands = plot.curves.iter().flat_map(|curve| &curve.band).flat_map(|(_, low, high)| [*low, *high]);
    let bars = plot.curves.iter().filter(|curve| curve.marker.is_some()).flat_map(|curve| &curve.points);
    let ends = bands.chain(bars.flat_map(|(_, y, half)| [y - half, y + half])).chain([all.0, all.1]);
    Axis::linear(&plot.y, padded(most.or_else(|| extent(ends)).unwrap_or(all), 0.06), ticks)
}

fn draw(on: &mut Drawing, panel: &Panel, plot: &Plot) {
    panel.frame(on, &plot.title);
    if let Some(level) = plot.level {
        let (low, high) = panel.x.range();
        panel.line(on, [(low, level), (high, level)], FAINT, 0.8);
    }
    let bands = plot.curves.iter().filter(|curve| curve.band.len() > 1).count();
    for curve in &plot.curves {
        panel.one_band_of(bands, on, &curve.band, curve.color);
        if let [(x, low, high)] = curve.band[..] {
            // A band of one point has no width, so its interval is a bar.
            panel.line(on, [(x, low), (x, high)], mix(curve.color, PAPER, 0.35), 0.9);
        }
    }
    for curve in &plot.curves {
        let points = curve.points.iter().map(|(x, y, _)| (*x, *y));
        match curve.stroke {
            Stroke::Solid(width) => panel.line(on, points, curve.color, width),
            Stroke::Dashed(width, dash) => panel.dashed(on, points, curve.color, width, dash),
            Stroke::None => {}
        }
    }
    // Markers lie upon all lines.
    for curve in &plot.curves {
        let lonely = curve.points.len() == 1;
        let Some(marker) = curve.marker.or(lonely.then_some(Marker::Circle)) else { continue };
        for (x, y, half) in &curve.points {
            panel.point(on, (*x, *y), (0.0, *half), marker, 2.8, curve.color);
        }
    }
    let points = || plot.curves.iter().flat_map(|curve| &curve.points);
    let beyond = |ends: Option<(f64, f64)>, (low, high): (f64, f64)| {
        let ends = ends.filter(|ends| ends.0 < low || ends.1 > high)?;
        Some(rounded(if ends.1 - high > low - ends.0 { ends.1 } else { ends.0 }))
    };
    // What has no place on a logarithmic axis is not far off.
    let shown = |(_, y, _): &&(f64, f64, f64)| panel.y.share(*y).is_finite();
    let x = beyond(extent(points().map(|point| point.0)), panel.x.range());
    let y = beyond(extent(points().filter(shown).map(|point| point.1)), panel.y.range());
    let reached = match (x, y) {
        (None, Some(y)) => format!("reaches {y}"),
        (Some(x), None) => format!("x reaches {x}"),
        (Some(x), Some(y)) => format!("reaches x {x}, y {y}"),
        (None, None) => return,
    };
    let room = panel.plot.width() - text_width(&plot.title, TITLE, true) - 6.0;
    let long = format!("axis cut: {reached}");
    panel.note(on, if text_width(&long, NOTE, false) <= room { &long } else { &reached });
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
