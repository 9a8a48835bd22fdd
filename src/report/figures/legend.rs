//! Legends, and labels beside points that keep out of each other's way.

use super::canvas::{Align, Drawing, Point, Rect, fitted};
use crate::report::theme::{AXIS, FAINT, INK, Marker, NOTE, PAPER, TICK, mix, text_width};
use plotters::style::RGBColor;

/// One line of a legend.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What it says.
    pub label: String,
    /// Colour of its line and marker.
    pub color: RGBColor,
    /// Its marker, where points have one.
    pub marker: Option<Marker>,
    /// Dash of its line, where it is not solid.
    pub dash: Option<(f64, f64)>,
}

/// Pixels between the lines of a legend.
const LINE: f64 = 18.0;

/// The width of one column of a legend.
fn column(entries: &[Entry]) -> f64 {
    entries.iter().map(|entry| text_width(&entry.label, TICK, false)).fold(0.0, f64::max) + 44.0
}

/// The height of a legend with so many lines.
pub fn legend_height(lines: usize) -> f64 {
    LINE * lines as f64 + 0.5
}

/// The width that a legend of this height needs to show everything.
pub fn legend_width(entries: &[Entry], height: f64) -> f64 {
    column(entries) * entries.len().div_ceil(((height / LINE) as usize).max(1)) as f64
}

/// Draws a legend from the upper left corner of `area`, in as many columns as fit; what has no room is counted in a last line.
pub fn legend(on: &mut Drawing, area: Rect, entries: &[Entry]) {
    if entries.is_empty() {
        return;
    }
    let rows = ((area.height() / LINE) as usize).max(1);
    let column = column(entries).clamp(60.0, area.width().max(60.0));
    let columns = ((area.width() / column) as usize).clamp(1, entries.len().div_ceil(rows).max(1));
    let room = rows * columns;
    let shown = if entries.len() > room { room - 1 } else { entries.len() };
    let place = |at: usize| (area.left + (at / rows) as f64 * column, area.top + (at % rows) as f64 * LINE + LINE / 2.0);
    for (at, entry) in entries.iter().take(shown).enumerate() {
        let (left, middle) = place(at);
        let line = [(left, middle), (left + 22.0, middle)];
        match entry.dash {
            Some(dash) => on.dashed(&line, entry.color, 1.5, dash),
            None => on.line(line, if entry.marker.is_some() { mix(entry.color, PAPER, 0.45) } else { entry.color }, 1.7),
        }
        if let Some(marker) = entry.marker {
            on.marker((left + 11.0, middle), marker, 4.0, entry.color);
        }
        on.text(fitted(&entry.label, TICK, column - 34.0), (left + 29.0, middle + TICK * 0.36), TICK, INK, Align::Start);
    }
    if shown < entries.len() {
        let (left, middle) = place(shown);
        on.text(format!("and {} more", entries.len() - shown), (left, middle + TICK * 0.36), TICK, FAINT, Align::Start);
    }
}

/// Places small labels beside points where they cover nothing.
#[derive(Clone, Debug)]
pub struct Labels {
    area: Rect,
    taken: Vec<Rect>,
    written: Vec<Rect>,
    markers: Vec<Point>,
    lines: Vec<(Point, Point)>,
}

impl Labels {
    /// Labels stay inside `area`.
    pub fn new(area: Rect) -> Self {
        Self { area, taken: Vec::new(), written: Vec::new(), markers: Vec::new(), lines: Vec::new() }
    }

    /// Keeps labels off a marker.
    pub fn avoid(&mut self, (x, y): Point, radius: f64) {
        self.taken.push(Rect { left: x, top: y, right: x, bottom: y }.grown(radius));
        self.markers.push((x, y));
    }

    /// Keeps labels off a rectangle.
    pub fn avoid_rect(&mut self, rect: Rect) {
        self.taken.push(rect);
    }

    /// Prefers places where labels do not cross this line.
    pub fn avoid_line(&mut self, points: &[Point]) {
        self.lines.extend(points.windows(2).map(|pair| (pair[0], pair[1])));
    }

    /// Writes `text` at most `reach` pixels from `at`, with a thin leader where it stands off; without a free place, it is left out.
    pub fn write(&mut self, on: &mut Drawing, text: &str, at: Point, reach: f64, color: RGBColor) -> bool {
        let (width, height) = (text_width(text, NOTE, false), NOTE * 0.95);
        let mut best: Option<(f64, Rect)> = None;
        for distance in [7.0, 12.0, 18.0, 26.0, 36.0, 48.0].into_iter().filter(|distance| *distance <= reach) {
            for direction in 0..16 {
                let (sin, cos) = (f64::from(direction) * std::f64::consts::PI / 8.0).sin_cos();
                // The nearest edge of the label, not its middle, stands at this distance.
                let middle = (at.0 + cos * (distance + width / 2.0), at.1 - sin * (distance + height / 2.0));
                let rect = Rect {
                    left: middle.0 - width / 2.0,
                    top: middle.1 - height / 2.0,
                    right: middle.0 + width / 2.0,
                    bottom: middle.1 + height / 2.0,
                };
                let inside = self.area.holds((rect.left, rect.top)) && self.area.holds((rect.right, rect.bottom));
                if !inside || self.taken.iter().any(|taken| taken.overlap(&rect.grown(1.5)) > 0.0) {
                    continue;
                }
                let crossed = self.lines.iter().filter(|(from, to)| rect.grown(1.0).clip(*from, *to).is_some()).count();
                // Nearer to another marker, it would seem to be that one's. Beside is best, above better than below.
                let mut others = self.markers.iter().filter(|marker| gap(**marker, at) > 1.0);
                let stray = others.any(|marker| gap(*marker, middle) < gap(at, middle));
                // A leader through another label would seem to be its own.
                let struck = self.written.iter().filter(|other| other.clip(at, near(&rect, at)).is_some()).count();
                let cost = distance
                    + 20.0 * struck as f64
                    + 7.0 * crossed as f64
                    + if stray { 12.0 } else { 0.0 }
                    + 4.0 * sin.abs()
                    + if sin < 0.0 { 1.0 } else { 0.0 };
                if best.is_none_or(|(least, _)| cost < least) {
                    best = Some((cost, rect));
                }
            }
        }
        let Some((_, rect)) = best else { return false };
        let near = near(&rect, at);
        let length = gap(near, at);
        if length > 14.0 {
            let from = |share: f64| (at.0 + (near.0 - at.0) * share, at.1 + (near.1 - at.1) * share);
            let leader = [from(5.0 / length), from(1.0 - 2.0 / length)];
            on.line(leader, mix(AXIS, PAPER, 0.5), 0.6);
            self.avoid_line(&leader);
        }
        // The grid, and lines that could not be avoided, are dimmed behind it.
        on.rect(rect.grown(1.0), PAPER, 0.7);
        on.text(text, (rect.left, rect.bottom - NOTE * 0.12), NOTE, color, Align::Start);
        self.taken.push(rect);
        self.written.push(rect);
        true
    }
}

/// The point of a rectangle that is nearest to another.
fn near(rect: &Rect, (x, y): Point) -> Point {
    (x.clamp(rect.left, rect.right), y.clamp(rect.top, rect.bottom))
}

fn gap(a: Point, b: Point) -> f64 {
    (a.0 - b.0).hypot(a.1 - b.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_do_not_overlap() {
        let area = Rect { left: 0.0, top: 0.0, right: 200.0, bottom: 200.0 };
        let (mut labels, mut drawing) = (Labels::new(area), Drawing::new(200.0, 200.0, ""));
        let written = (0..30).filter(|_| labels.write(&mut drawing, "β=0.1", (100.0, 100.0), 48.0, INK)).count();
        assert!(written > 5 && written < 30, "{written}");
        for (at, one) in labels.taken.iter().enumerate() {
            assert!(labels.taken[at + 1..].iter().all(|other| one.overlap(other) == 0.0));
        }
    }

    #[test]
    fn legends_count_what_does_not_fit() {
        let entry = |label: &str| Entry { label: label.to_owned(), color: INK, marker: None, dash: None };
        let mut drawing = Drawing::new(200.0, 100.0, "");
        let entries: Vec<_> = (0..40).map(|at| entry(&format!("run number {at}"))).collect();
        legend(&mut drawing, Rect { left: 0.0, top: 0.0, right: 150.0, bottom: 90.0 }, &entries);
        assert!(format!("{:?}", drawing.items).contains("and 36 more"));
        legend(&mut drawing, Rect { left: 0.0, top: 0.0, right: 0.0, bottom: 0.0 }, &entries);
    }
}
