//! A drawing as a list of lines, areas and texts in logical pixels, so that a figure is composed once and rendered twice.

use crate::report::theme::{Marker, PAPER, text_width};
use plotters::style::RGBColor;
use std::f64::consts::TAU;

/// A position in logical pixels, from the upper left corner.
pub type Point = (f64, f64);

/// A rectangle in logical pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rect {
    /// Left edge.
    pub left: f64,
    /// Upper edge.
    pub top: f64,
    /// Right edge.
    pub right: f64,
    /// Lower edge.
    pub bottom: f64,
}

impl Rect {
    /// Width in pixels.
    pub fn width(&self) -> f64 {
        self.right - self.left
    }

    /// Height in pixels.
    pub fn height(&self) -> f64 {
        self.bottom - self.top
    }

    /// Whether a point lies in it, its edges included.
    pub fn holds(&self, (x, y): Point) -> bool {
        (self.left..=self.right).contains(&x) && (self.top..=self.bottom).contains(&y)
    }

    /// The area that two rectangles share, in square pixels.
    pub fn overlap(&self, other: &Rect) -> f64 {
        let width = self.right.min(other.right) - self.left.max(other.left);
        let height = self.bottom.min(other.bottom) - self.top.max(other.top);
        width.max(0.0) * height.max(0.0)
    }

    /// The rectangle with every edge moved out by `by`.
    pub fn grown(&self, by: f64) -> Rect {
        Rect { left: self.left - by, top: self.top - by, right: self.right + by, bottom: self.bottom + by }
    }

    /// The part of a segment that lies inside (Liang and Barsky), if any.
    pub fn clip(&self, from: Point, to: Point) -> Option<(Point, Point)> {
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let (mut start, mut end) = (0.0_f64, 1.0_f64);
        for (step, room) in
            [(-dx, from.0 - self.left), (dx, self.right - from.0), (-dy, from.1 - self.top), (dy, self.bottom - from.1)]
        {
            if step == 0.0 {
                if room < 0.0 {
                    return None;
                }
            } else if step < 0.0 {
                start = start.max(room / step);
            } else {
                end = end.min(room / step);
            }
        }
        (start <= end).then_some(((from.0 + start * dx, from.1 + start * dy), (from.0 + end * dx, from.1 + end * dy)))
    }
}

/// Which part of a line of text lies at its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Its beginning.
    Start,
    /// Its middle.
    Middle,
    /// Its end.
    End,
}

/// A line of text.
#[derive(Clone, Debug)]
pub struct Text {
    /// What it says.
    pub text: String,
    /// Position of its baseline.
    pub at: Point,
    /// Pixels of an em.
    pub size: f64,
    /// Its colour.
    pub color: RGBColor,
    /// What lies at the position.
    pub align: Align,
    /// Whether it is bold.
    pub bold: bool,
    /// Whether it reads upwards.
    pub upwards: bool,
}

/// One thing on a drawing.
#[derive(Clone, Debug)]
pub enum Item {
    /// An open line with round joins: points, colour, width in pixels.
    Line(Vec<Point>, RGBColor, f64),
    /// A filled polygon: corners, colour, opacity.
    Area(Vec<Point>, RGBColor, f64),
    /// A line of text.
    Text(Text),
}

/// A figure before it is rendered.
#[derive(Clone, Debug)]
pub struct Drawing {
    /// Width and height in logical pixels.
    pub size: (u32, u32),
    /// What it shows, for those who cannot see it.
    pub title: String,
    /// What is on it, from the back to the front.
    pub items: Vec<Item>,
}

impl Drawing {
    /// An empty drawing.
    pub fn new(width: f64, height: f64, title: impl Into<String>) -> Self {
        let pixels = |length: f64| length.clamp(16.0, 4000.0).round() as u32;
        Self { size: (pixels(width), pixels(height)), title: title.into(), items: Vec::new() }
    }

    /// A line through points; those that are not finite are left out.
    pub fn line(&mut self, points: impl IntoIterator<Item = Point>, color: RGBColor, width: f64) {
        let mut kept: Vec<Point> = Vec::new();
        for point in points.into_iter().filter(|(x, y)| x.is_finite() && y.is_finite()) {
            // Steps too small to be seen only make files large.
            if kept.last().is_none_or(|last| (last.0 - point.0).abs() + (last.1 - point.1).abs() > 0.25) {
                kept.push(point);
            }
        }
        if kept.len() > 1 {
            self.items.push(Item::Line(kept, color, width));
        }
    }

    /// A dashed line: `on` pixels drawn, `off` pixels not.
    pub fn dashed(&mut self, points: &[Point], color: RGBColor, width: f64, (on, off): (f64, f64)) {
        let mut dash: Vec<Point> = Vec::new();
        let (mut drawing, mut left) = (true, on);
        for pair in points.windows(2) {
            let (from, to) = (pair[0], pair[1]);
            let length = (to.0 - from.0).hypot(to.1 - from.1);
            if !length.is_finite() || length > 1e5 {
                continue;
            }
            let mut gone = 0.0;
            let at = |gone: f64| {
                let share = if length > 0.0 { gone / length } else { 0.0 };
                (from.0 + (to.0 - from.0) * share, from.1 + (to.1 - from.1) * share)
            };
            while gone < length {
                let step = left.min(length - gone);
                if drawing {
                    if dash.is_empty() {
                        dash.push(at(gone));
                    }
                    dash.push(at(gone + step));
                }
                gone += step;
                left -= step;
                if left <= 1e-9 {
                    if drawing {
                        self.line(std::mem::take(&mut dash), color, width);
                    }
                    drawing = !drawing;
                    left = if drawing { on } else { off };
                }
            }
        }
        self.line(dash, color, width);
    }

    /// A filled polygon; one with a corner that is not finite is left out.
    pub fn area(&mut self, corners: Vec<Point>, color: RGBColor, opacity: f64) {
        if corners.len() > 2 && corners.iter().all(|(x, y)| x.is_finite() && y.is_finite()) {
            self.items.push(Item::Area(corners, color, opacity));
        }
    }

    /// A filled rectangle.
    pub fn rect(&mut self, rect: Rect, color: RGBColor, opacity: f64) {
        let Rect { left, top, right, bottom } = rect;
        self.area(vec![(left, top), (right, top), (right, bottom), (left, bottom)], color, opacity);
    }

    /// A line of text with its baseline at `at`.
    pub fn text(&mut self, text: impl Into<String>, at: Point, size: f64, color: RGBColor, align: Align) {
        self.push_text(Text { text: text.into(), at, size, color, align, bold: false, upwards: false });
    }

    /// Any line of text.
    pub fn push_text(&mut self, text: Text) {
        if text.at.0.is_finite() && text.at.1.is_finite() && !text.text.is_empty() {
            self.items.push(Item::Text(text));
        }
    }

    /// A marker with a thin white edge, so that markers that lie upon each other can be told apart.
    pub fn marker(&mut self, at: Point, marker: Marker, radius: f64, color: RGBColor) {
        self.area(outline(marker, at, radius + 0.9), PAPER, 0.9);
        self.area(outline(marker, at, radius), color, 1.0);
    }
}

/// `text` cut to `width` pixels, with an ellipsis where something is missing.
pub fn fitted(text: &str, size: f64, width: f64) -> String {
    if text_width(text, size, false) <= width {
        return text.to_owned();
    }
    let mut cut: Vec<char> = text.chars().collect();
    while cut.pop().is_some() {
        let shown: String = cut.iter().collect::<String>().trim_end().to_owned() + "…";
        if text_width(&shown, size, false) <= width {
            return shown;
        }
    }
    String::new()
}

/// The corners of a marker around `at`. All shapes cover about the same area as a disc of that radius.
fn outline(marker: Marker, (x, y): Point, radius: f64) -> Vec<Point> {
    // Corner `index` of `count`, the first straight up or turned by `turn` of a circle.
    let polygon = |count: usize, turn: f64, radius: f64| -> Vec<Point> {
        (0..count)
            .map(|index| {
                let angle = TAU * (index as f64 / count as f64 + turn);
                (x + radius * angle.sin(), y - radius * angle.cos())
            })
            .collect()
    };
    let cross = |turn: f64| -> Vec<Point> {
        let (long, thin) = (radius * 1.2, radius * 0.4);
        let corners = [(-thin, -long), (thin, -long), (thin, -thin), (long, -thin), (long, thin), (thin, thin)];
        let half = corners.into_iter().chain(corners.into_iter().map(|(a, b)| (-a, -b)));
        let (sin, cos) = (TAU * turn).sin_cos();
        half.map(|(a, b)| (x + a * cos - b * sin, y + a * sin + b * cos)).collect()
    };
    match marker {
        Marker::Circle => polygon(24, 0.0, radius),
        Marker::Square => polygon(4, 0.125, radius * 1.25),
        Marker::Diamond => polygon(4, 0.0, radius * 1.3),
        Marker::Up => polygon(3, 0.0, radius * 1.4),
        Marker::Down => polygon(3, 0.5, radius * 1.4),
        Marker::Pentagon => polygon(5, 0.0, radius * 1.15),
        Marker::Plus => cross(0.0),
        Marker::Cross => cross(0.125),
        Marker::Star => {
            let (tips, dents) = (polygon(5, 0.0, radius * 1.5), polygon(5, 0.1, radius * 0.65));
            tips.into_iter().zip(dents).flat_map(|(tip, dent)| [tip, dent]).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_clipped() {
        let rect = Rect { left: 0.0, top: 0.0, right: 10.0, bottom: 10.0 };
        assert_eq!(rect.clip((-5.0, 5.0), (15.0, 5.0)), Some(((0.0, 5.0), (10.0, 5.0))));
        assert_eq!(rect.clip((-5.0, -5.0), (-1.0, 20.0)), None);
        assert_eq!(rect.clip((2.0, 2.0), (2.0, 2.0)), Some(((2.0, 2.0), (2.0, 2.0))));
    }

    #[test]
    fn dashes_leave_gaps_and_end() {
        let mut drawing = Drawing::new(100.0, 100.0, "");
        drawing.dashed(&[(0.0, 0.0), (95.0, 0.0), (95.0, 0.0)], PAPER, 1.0, (6.0, 4.0));
        assert_eq!(drawing.items.len(), 10);
        drawing.dashed(&[(0.0, 0.0), (f64::NAN, 0.0), (1e300, 0.0)], PAPER, 1.0, (6.0, 4.0));
        assert_eq!(drawing.items.len(), 10);
    }

    #[test]
    fn long_texts_are_cut() {
        assert_eq!(fitted("short", 10.0, 100.0), "short");
        let cut = fitted("a name that is far too long for a legend", 10.0, 80.0);
        assert!(cut.ends_with('…') && text_width(&cut, 10.0, false) <= 80.0);
        assert_eq!(fitted("x", 10.0, 0.0), "");
    }
}
