//! A drawing as SVG and as PNG, with plotters' backends, each file put in its place in one step.
//!
//! Both backends take whole pixels only. So the SVG is drawn ten times as large as its view box says, and the PNG four times as
//! large and then averaged down to twice the logical size, which also gives it smooth edges.

use super::canvas::{Align, Drawing, Item, Point, Text};
use crate::error::{Doing, Error, Result};
use crate::report::theme::{FAMILY, FONT_HEIGHT, PAPER, fonts};
use plotters::coord::Shift;
use plotters::prelude::{BitMapBackend, DrawingArea, DrawingBackend, IntoDrawingArea, PathElement, Polygon, SVGBackend};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontStyle, FontTransform, IntoFont, TextStyle};
use std::f64::consts::{FRAC_PI_2, PI};
use std::fs;
use std::path::{Path, PathBuf};

const SVG_SCALE: f64 = 10.0;
const PNG_DRAWN: u32 = 4;
/// Pixels of the PNG to a logical pixel.
pub const PNG_SCALE: u32 = 2;

/// Where plotters puts a text, which differs between its backends.
struct Typography {
    /// What plotters calls the size of a font, in ems.
    size: f64,
    /// From the position of a text that hangs from its top to its baseline, in ems.
    baseline: f64,
    /// Whether the backend draws round joins itself.
    joins: bool,
}

// plotters-svg writes size / 1.24 as font-size and 0.76em as dy; its bitmaps have the baseline at half the size.
const SVG: Typography = Typography { size: 1.24, baseline: 0.76, joins: true };
const BITMAP: Typography = Typography { size: FONT_HEIGHT, baseline: FONT_HEIGHT / 2.0, joins: false };

/// Writes NAME.svg and NAME.png into `folder`, which it makes where it is missing, and returns their paths.
pub fn save(drawing: &Drawing, folder: &Path, name: &str) -> Result<Vec<PathBuf>> {
    fs::create_dir_all(folder).doing("make", folder)?;
    let svg = folder.join(format!("{name}.svg"));
    let png = folder.join(format!("{name}.png"));
    publish(&svg, |path| fs::write(path, to_svg(drawing)?).doing("write", path))?;
    publish(&png, |path| write_png(drawing, path))?;
    Ok(vec![svg, png])
}

/// Has `write` fill a file beside `path`, then renames it, so that nobody sees half a figure.
fn publish(path: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    // The ending stays: plotters chooses the format by it.
    let draft = path.with_file_name(format!(".{}-{name}", std::process::id()));
    let done = write(&draft).and_then(|()| fs::rename(&draft, path).doing("write", path));
    if done.is_err() {
        // What matters is the first error; a draft that stays behind is harmless.
        fs::remove_file(&draft).ok();
    }
    done
}

/// The drawing as an SVG document.
pub fn to_svg(drawing: &Drawing) -> Result<String> {
    let (width, height) = drawing.size;
    let scaled = (width * SVG_SCALE as u32, height * SVG_SCALE as u32);
    let mut svg = String::new();
    paint(drawing, &SVGBackend::with_string(&mut svg, scaled).into_drawing_area(), SVG_SCALE, &SVG)?;
    // The first tag is the document's: it gets its true size, and joins as round as those of the PNG.
    let (_, rest) = svg.split_once('>').ok_or_else(|| Error::other("plotters wrote no svg; this is a bug"))?;
    let title = visible(&drawing.title).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {} {}\" \
         stroke-linejoin=\"round\" stroke-linecap=\"round\" role=\"img\">\n<title>{title}</title>{rest}",
        scaled.0, scaled.1
    ))
}

/// Writes the drawing as a PNG of [`PNG_SCALE`] times its size.
fn write_png(drawing: &Drawing, path: &Path) -> Result<()> {
    let (width, height) = drawing.size;
    let (wide, high) = (width * PNG_DRAWN, height * PNG_DRAWN);
    let mut drawn = vec![0; (wide * high * 3) as usize];
    paint(drawing, &BitMapBackend::with_buffer(&mut drawn, (wide, high)).into_drawing_area(), f64::from(PNG_DRAWN), &BITMAP)?;
    let size = (width * PNG_SCALE, height * PNG_SCALE);
    let pixels = halved(&drawn, size);
    let mut file = BitMapBackend::new(path, size);
    file.blit_bitmap((0, 0), size, &pixels).map_err(Error::other)?;
    file.present().map_err(|error| Error::other(format!("cannot write {}: {error}", path.display())))
}

/// Every pixel of an RGB image of `size` as the mean of the four that it was drawn with.
fn halved(drawn: &[u8], (width, height): (u32, u32)) -> Vec<u8> {
    let (width, height) = (width as usize, height as usize);
    let mut pixels = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        for x in 0..width {
            for channel in 0..3 {
                let at = |dx: usize, dy: usize| u16::from(drawn[((2 * y + dy) * 2 * width + 2 * x + dx) * 3 + channel]);
                pixels.push(((at(0, 0) + at(1, 0) + at(0, 1) + at(1, 1) + 2) / 4) as u8);
            }
        }
    }
    pixels
}

/// Draws every item at `scale` times its size.
fn paint<B: DrawingBackend>(drawing: &Drawing, root: &DrawingArea<B, Shift>, scale: f64, with: &Typography) -> Result<()> {
    fonts()?;
    root.fill(&PAPER).map_err(Error::other)?;
    let pixels = |points: &[Point]| points.iter().map(|(x, y)| (whole(*x, scale), whole(*y, scale))).collect::<Vec<_>>();
    for item in &drawing.items {
        match item {
            Item::Line(points, color, width) if with.joins => {
                let style = color.stroke_width((width * scale).round().max(1.0) as u32);
                root.draw(&PathElement::new(pixels(points), style)).map_err(Error::other)?;
            }
            Item::Line(points, color, width) => {
                // plotters' own thick lines tear at sharp corners, so every segment is a capsule.
                for pair in points.windows(2) {
                    let corners = pixels(&capsule(pair[0], pair[1], width / 2.0));
                    root.draw(&Polygon::new(corners, color.filled())).map_err(Error::other)?;
                }
            }
            Item::Area(corners, color, opacity) => {
                root.draw(&Polygon::new(pixels(corners), color.mix(*opacity).filled())).map_err(Error::other)?;
            }
            Item::Text(text) => write_text(text, root, scale, with)?,
        }
    }
    root.present().map_err(Error::other)
}

fn write_text<B: DrawingBackend>(text: &Text, root: &DrawingArea<B, Shift>, scale: f64, with: &Typography) -> Result<()> {
    let weight = if text.bold { FontStyle::Bold } else { FontStyle::Normal };
    let turn = if text.upwards { FontTransform::Rotate270 } else { FontTransform::None };
    let across = match text.align {
        Align::Start => HPos::Left,
        Align::Middle => HPos::Center,
        Align::End => HPos::Right,
    };
    let style = TextStyle::from((FAMILY, text.size * scale * with.size, weight).into_font())
        .color(&text.color)
        .transform(turn)
        .pos(Pos::new(across, VPos::Top));
    let rise = text.size * with.baseline;
    let (x, y) = if text.upwards { (text.at.0 - rise, text.at.1) } else { (text.at.0, text.at.1 - rise) };
    root.draw_text(&visible(&text.text), &style, (whole(x, scale), whole(y, scale))).map_err(Error::other)
}

/// A text without control characters, which no XML document may hold.
fn visible(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

/// A length in the pixels of a backend. Far outside is as good as outside, and keeps plotters' sums from overflowing.
fn whole(length: f64, scale: f64) -> i32 {
    (length * scale).clamp(-4e4, 4e4).round() as i32
}

/// A thick segment with round ends.
fn capsule(from: Point, to: Point, radius: f64) -> Vec<Point> {
    const CORNERS: usize = 4;
    let along = (to.1 - from.1).atan2(to.0 - from.0);
    let end = |(x, y): Point, start: f64| {
        (0..=CORNERS).map(move |at| {
            let angle = start + PI * at as f64 / CORNERS as f64;
            (x + radius * angle.cos(), y + radius * angle.sin())
        })
    };
    end(to, along - FRAC_PI_2).chain(end(from, along + FRAC_PI_2)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_in_a_figure_is_markup() {
        let evil = "<script>alert(\"1\" & '2')</script>]]>\u{1b}\u{0}é";
        let mut drawing = Drawing::new(200.0, 100.0, evil);
        let text = Text {
            text: evil.to_owned(),
            at: (10.0, 50.0),
            size: 12.0,
            color: PAPER,
            align: Align::Start,
            bold: false,
            upwards: false,
        };
        drawing.items.push(Item::Text(text));
        let svg = to_svg(&drawing).expect("a drawing");
        assert!(!svg.contains("<script") && !svg.contains("]]>"), "{svg}");
        assert!(!svg.contains(|letter: char| letter.is_control() && letter != '\n'), "{svg}");
        assert_eq!(svg.matches("&lt;script&gt;").count(), 2, "{svg}");
    }
}
