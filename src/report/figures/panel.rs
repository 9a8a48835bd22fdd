//! A panel: the frame of one plot, and how data become pixels in it.

use super::axis::Axis;
use super::canvas::{Align, Drawing, Point, Rect, Text, fitted};
use crate::report::theme::{AXIS, FAINT, GRID, INK, LABEL, Marker, NOTE, PAPER, TICK, TITLE, mix, text_width};
use plotters::style::RGBColor;

/// One plot with its axes.
#[derive(Clone, Debug)]
pub struct Panel {
    /// Where data are drawn, in pixels.
    pub plot: Rect,
    /// Horizontal axis.
    pub x: Axis,
    /// Vertical axis.
    pub y: Axis,
    /// Room for the tick labels of the vertical axis, in pixels.
    pub labels: f64,
}

impl Panel {
    /// Puts the axes around a plot inside `outer`: as much room on the left as the labels need.
    pub fn new(outer: Rect, x: Axis, y: Axis, titled: bool) -> Self {
        let labels = y.ticks.iter().map(|(_, label)| text_width(label, TICK, false)).fold(0.0, f64::max);
        let left = outer.left + labels + if y.title.is_empty() { 10.0 } else { 32.0 };
        let top = outer.top + if titled { 24.0 } else { 8.0 };
        let bottom = outer.bottom - if x.title.is_empty() { 22.0 } else { 42.0 };
        let right = outer.right - 8.0;
        let plot = Rect { left: left.min(right - 20.0), top: top.min(bottom - 20.0), right, bottom };
        Self { plot, x, y, labels }
    }

    /// Gives the tick labels more room, so that panels above each other have one left edge.
    pub fn align(&mut self, labels: f64) {
        self.plot.left = (self.plot.left + (labels - self.labels).max(0.0)).min(self.plot.right - 20.0);
        self.labels = self.labels.max(labels);
    }

    /// The pixel of a pair of values; not finite where a value is not.
    pub fn at(&self, x: f64, y: f64) -> Point {
        (self.plot.left + self.x.share(x) * self.plot.width(), self.plot.bottom - self.y.share(y) * self.plot.height())
    }

    /// Grid, axes, ticks and descriptions, and a bold title at the upper left.
    pub fn frame(&self, on: &mut Drawing, title: &str) {
        let Rect { left, top, right, bottom } = self.plot;
        let inside = |share: f64| (-1e-6..=1.0 + 1e-6).contains(&share);
        for (value, label) in self.y.ticks.iter().filter(|(value, _)| inside(self.y.share(*value))) {
            let y = bottom - self.y.share(*value) * self.plot.height();
            on.line([(left, y), (right, y)], GRID, 0.8);
            on.line([(left - 3.5, y), (left, y)], AXIS, 0.8);
            on.text(label, (left - 7.0, y + TICK * 0.36), TICK, INK, Align::End);
        }
        for (value, label) in self.x.ticks.iter().filter(|(value, _)| inside(self.x.share(*value))) {
            let x = left + self.x.share(*value) * self.plot.width();
            on.line([(x, top), (x, bottom)], GRID, 0.8);
            on.line([(x, bottom), (x, bottom + 3.5)], AXIS, 0.8);
            on.text(label, (x, bottom + 8.0 + TICK * 0.73), TICK, INK, Align::Middle);
        }
        on.line([(left, top), (left, bottom), (right, bottom)], AXIS, 0.9);
        let middle = ((left + right) / 2.0, (top + bottom) / 2.0);
        on.text(&self.x.title, (middle.0, bottom + 37.0), LABEL, INK, Align::Middle);
        on.push_text(Text {
            text: shortened(&self.y.title, self.plot.height() + 30.0),
            at: (left - self.labels - 16.0, middle.1),
            size: LABEL,
            color: INK,
            align: Align::Middle,
            bold: false,
            upwards: true,
        });
        on.push_text(Text {
            text: title.to_owned(),
            at: (left, top - 9.0),
            size: TITLE,
            color: INK,
            align: Align::Start,
            bold: true,
            upwards: false,
        });
    }

    /// A small note above the upper right corner.
    pub fn note(&self, on: &mut Drawing, text: &str) {
        on.text(text, (self.plot.right, self.plot.top - 9.0), NOTE, FAINT, Align::End);
    }

    /// A line through values, in pixels and cut at the frame: what lies beyond is left out, and gaps stay gaps.
    pub fn clipped(&self, values: impl IntoIterator<Item = (f64, f64)>) -> Vec<Vec<Point>> {
        let points: Vec<Point> =
            values.into_iter().map(|(x, y)| self.at(x, y)).filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
        let mut parts: Vec<Vec<Point>> = Vec::new();
        for pair in points.windows(2) {
            let Some((from, to)) = self.plot.clip(pair[0], pair[1]) else { continue };
            match parts.last_mut() {
                Some(part) if part.last() == Some(&from) => part.push(to),
                _ => parts.push(vec![from, to]),
            }
        }
        parts
    }

    /// A solid line through values.
    pub fn line(&self, on: &mut Drawing, values: impl IntoIterator<Item = (f64, f64)>, color: RGBColor, width: f64) {
        for part in self.clipped(values) {
            on.line(part, color, width);
        }
    }

    /// A dashed line through values.
    pub fn dashed(
        &self,
        on: &mut Drawing,
        values: impl IntoIterator<Item = (f64, f64)>,
        color: RGBColor,
        width: f64,
        dash: (f64, f64),
    ) {
        for part in self.clipped(values) {
            on.dashed(&part, color, width, dash);
        }
    }

    /// A band between two values at every x: `(x, low, high)`, in the order of x.
    pub fn band(&self, on: &mut Drawing, values: &[(f64, f64, f64)], color: RGBColor) {
        self.one_band_of(1, on, values, color);
    }

    /// The same, lighter where there are more than four of them, so that bands that lie upon each other hide nothing.
    pub fn one_band_of(&self, count: usize, on: &mut Drawing, values: &[(f64, f64, f64)], color: RGBColor) {
        let Rect { left, top, right, bottom } = self.plot;
        let inside = |(x, y): Point| (x.clamp(left, right), y.clamp(top, bottom));
        let sound: Vec<_> = values
            .iter()
            .map(|(x, low, high)| (self.at(*x, *low), self.at(*x, *high)))
            .filter(|(low, high)| [low.0, low.1, high.0, high.1].iter().all(|value| value.is_finite()))
            .collect();
        let there = sound.iter().map(|(_, high)| inside(*high));
        let back = sound.iter().rev().map(|(low, _)| inside(*low));
        on.area(there.chain(back).collect(), color, 0.16 * (4.0 / count.max(1) as f64).sqrt().min(1.0));
    }

    /// The error bars of a point in pixels, from their half-widths; a bar that the marker hides says nothing and is left out.
    pub fn bars(&self, (x, y): (f64, f64), (dx, dy): (f64, f64), radius: f64) -> Vec<(Point, Point)> {
        let ends = [((x - dx, y), (x + dx, y)), ((x, y - dy), (x, y + dy))];
        let pixels = ends.map(|(from, to)| (self.at(from.0, from.1), self.at(to.0, to.1)));
        let long = |(from, to): &(Point, Point)| (to.0 - from.0).abs() + (to.1 - from.1).abs() > 2.0 * radius + 1.5;
        pixels.into_iter().filter(long).filter_map(|(from, to)| self.plot.clip(from, to)).collect()
    }

    /// A marker at a pair of values, with half-widths of its error bars; nothing where it lies outside.
    pub fn point(
        &self,
        on: &mut Drawing,
        (x, y): (f64, f64),
        (dx, dy): (f64, f64),
        marker: Marker,
        radius: f64,
        color: RGBColor,
    ) {
        let at = self.at(x, y);
        if !self.plot.grown(0.5).holds(at) {
            return;
        }
        let bar = mix(color, PAPER, 0.35);
        for (from, to) in self.bars((x, y), (dx, dy), radius) {
            on.line([from, to], bar, 0.9);
        }
        on.marker(at, marker, radius, color);
    }
}

/// A description that has to fit: without what stands in brackets at its end, then cut.
fn shortened(title: &str, width: f64) -> String {
    let short = title.split_once(" (").map_or(title, |(short, _)| short);
    let title = if text_width(title, LABEL, false) <= width { title } else { short };
    fitted(title, LABEL, width)
}
