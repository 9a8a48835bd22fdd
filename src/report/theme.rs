//! The look of every figure: one font, one colour and one marker for each method, thin axes and a sparse grid.
//!
//! The colours start from Okabe and Ito's palette (safe for the common kinds of colour blindness) and go on with Tol's muted
//! ones. Methods of the paper have the most distant colours; a marker always tells apart what a colour may not.

use crate::error::{Error, Result};
use plotters::style::{FontStyle, IntoFont, RGBColor, register_font};
use std::cmp::Ordering;
use std::sync::OnceLock;

/// The font family, as plotters looks it up and as an SVG names it: the first that a viewer has is drawn.
pub const FAMILY: &str = "DejaVu Sans, Verdana, Helvetica, Arial, sans-serif";
/// DejaVu's ascent less its descent, in ems: ab_glyph sizes a font by this height, everyone else by the em.
pub const FONT_HEIGHT: f64 = 2384.0 / 2048.0;

/// Font sizes in pixels of an em: title of a figure or panel, axis descriptions, tick labels and legend, small notes.
pub const TITLE: f64 = 13.0;
/// Size of an axis description.
pub const LABEL: f64 = 12.0;
/// Size of tick labels and legends.
pub const TICK: f64 = 11.0;
/// Size of notes and of labels beside points.
pub const NOTE: f64 = 9.5;

/// Text.
pub const INK: RGBColor = RGBColor(0x22, 0x22, 0x22);
/// Notes, and text that should not be seen first.
pub const FAINT: RGBColor = RGBColor(0x6b, 0x6b, 0x6b);
/// The axes.
pub const AXIS: RGBColor = RGBColor(0x55, 0x55, 0x55);
/// The grid.
pub const GRID: RGBColor = RGBColor(0xe8, 0xe8, 0xe8);
/// The paper.
pub const PAPER: RGBColor = RGBColor(0xff, 0xff, 0xff);

/// The shape of a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marker {
    /// A disc.
    Circle,
    /// An upright square.
    Square,
    /// A square on its corner.
    Diamond,
    /// A triangle that points up.
    Up,
    /// A triangle that points down.
    Down,
    /// A five-pointed star.
    Star,
    /// A regular pentagon.
    Pentagon,
    /// An upright cross.
    Plus,
    /// A cross on its side.
    Cross,
}

/// How one method is drawn, everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Name that a person reads; for a method that is not known, none.
    pub label: Option<&'static str>,
    /// Its colour.
    pub color: RGBColor,
    /// Its marker.
    pub marker: Marker,
}

/// Every method with a look of its own, in the order of a legend.
pub const METHODS: [&str; 20] = [
    "dpo",
    "cdpo",
    "robust_dpo",
    "plackett_luce",
    "ipo",
    "hinge",
    "kto",
    "orpo",
    "simpo",
    "ppo",
    "ppo_off_the_shelf",
    "ppo_gt",
    "ppo_gt_off_the_shelf",
    "rloo",
    "grpo",
    "unlikelihood",
    "preferred_ft",
    "sft",
    "prompting",
    "best_of_n",
];

/// The swept setting that turns PPO into a method of its own: the paper compares its implementation with one off the shelf.
const OFF_THE_SHELF: &str = "preset=off-the-shelf";

/// The method as figures tell it apart: that of a run with the settings `params`, under a name that [`look`], [`label`] and
/// [`order`] know.
pub fn kind<'a>(method: &'a str, params: &str) -> &'a str {
    match method {
        "ppo" if params.split(';').any(of_kind) => "ppo_off_the_shelf",
        "ppo_gt" if params.split(';').any(of_kind) => "ppo_gt_off_the_shelf",
        _ => method,
    }
}

/// Whether a setting is already said by the name of a [`kind`], so that nothing has to repeat it.
pub fn of_kind(written: &str) -> bool {
    written == OFF_THE_SHELF
}

/// The look of a method, from its name in an experiment file or from [`kind`]. An unknown method is a grey disc.
pub fn look(method: &str) -> Look {
    use Marker::*;
    let (label, color, marker) = match method {
        "dpo" => ("DPO", 0x0072b2, Circle),
        "unlikelihood" => ("Unlikelihood", 0x009e73, Up),
        "preferred_ft" => ("Preferred-FT", 0xe69f00, Square),
        "ppo" => ("PPO", 0xd55e00, Diamond),
        "ppo_gt" => ("PPO-GT", 0xcc79a7, Star),
        "ppo_off_the_shelf" => ("PPO (off-the-shelf)", 0x5511bb, Pentagon),
        "ppo_gt_off_the_shelf" => ("PPO-GT (off-the-shelf)", 0x663311, Down),
        "rloo" => ("RLOO", 0x44aa99, Square),
        "grpo" => ("GRPO", 0xaf8dc3, Pentagon),
        "best_of_n" => ("Best-of-N", 0x000000, Cross),
        "sft" => ("SFT", 0x7f7f7f, Pentagon),
        "prompting" => ("Prompting", 0xa9a9a9, Plus),
        "cdpo" => ("cDPO", 0x56b4e9, Down),
        "robust_dpo" => ("Robust DPO", 0x332288, Diamond),
        "ipo" => ("IPO", 0xaa4499, Square),
        "hinge" => ("Hinge", 0x999933, Up),
        "kto" => ("KTO", 0x882255, Down),
        "orpo" => ("ORPO", 0x8c510a, Star),
        "simpo" => ("SimPO", 0xcc6677, Pentagon),
        "plackett_luce" => ("Plackett-Luce", 0x117733, Plus),
        _ => return Look { label: None, color: RGBColor(0x88, 0x88, 0x88), marker: Circle },
    };
    Look { label: Some(label), color: hex(color), marker }
}

/// The name that a person reads; a method that is not known keeps its own.
pub fn label(method: &str) -> String {
    look(method).label.map_or_else(|| method.to_owned(), str::to_owned)
}

/// Sorts methods as in [`METHODS`], then the unknown by name.
pub fn order(a: &str, b: &str) -> Ordering {
    let rank = |name: &str| METHODS.iter().position(|known| *known == name).unwrap_or(METHODS.len());
    rank(a).cmp(&rank(b)).then_with(|| a.cmp(b))
}

fn hex(color: u32) -> RGBColor {
    let [_, r, g, b] = color.to_be_bytes();
    RGBColor(r, g, b)
}

/// `color` with `share` of `other` mixed in; opaque, so that lines that cross do not darken.
pub fn mix(color: RGBColor, other: RGBColor, share: f64) -> RGBColor {
    let channel = |a: u8, b: u8| (f64::from(a) + (f64::from(b) - f64::from(a)) * share).round() as u8;
    RGBColor(channel(color.0, other.0), channel(color.1, other.1), channel(color.2, other.2))
}

/// The `index`-th of `count` shades of a method's colour, from light to dark; the only one is the colour itself.
pub fn shade(color: RGBColor, index: usize, count: usize) -> RGBColor {
    if count < 2 {
        return color;
    }
    // Black cannot get darker, and a light colour cannot get much lighter and still be seen.
    let light = (f64::from(color.0) + f64::from(color.1) + f64::from(color.2)) / 765.0;
    let (white, black) = (0.66 - 0.3 * light, 0.1 + 0.45 * light);
    let at = index as f64 / (count - 1) as f64 * (white + black) - white;
    if at < 0.0 { mix(color, PAPER, -at) } else { mix(color, RGBColor(0, 0, 0), at) }
}

/// A swept setting as a figure names it: `beta=0.1` is `β=0.1`.
pub fn setting(written: &str) -> String {
    let (name, value) = written.split_once('=').unwrap_or((written, ""));
    match (setting_name(name).as_str(), value) {
        // As experiment files mean them: no limit, and every pair that there could be.
        ("comparisons", "0") => "all comparisons".to_owned(),
        ("samples from", "population") => "exact population loss".to_owned(),
        (name, "") => name.to_owned(),
        (name, value) => format!("{name}={value}"),
    }
}

/// The name of a swept setting as a figure writes it: `beta` is `β`, `kl_target` is `target KL`.
pub fn setting_name(name: &str) -> String {
    // A nested parameter is known by its last part.
    let name = match name.rsplit('.').next().unwrap_or(name) {
        "alpha" => "α",
        "beta" => "β",
        "gamma" => "γ",
        "tau" => "τ",
        "lambda" => "λ",
        "epsilon" => "ε",
        "learning_rate" => "lr",
        "kl_target" | "target_kl" => "target KL",
        other => other,
    };
    name.replace('_', " ")
}

/// Sorts `beta=0.05;x=1` before `beta=0.1;x=1`: settings by name, then numbers by size, then words by letter.
pub fn order_params(a: &str, b: &str) -> Ordering {
    let mut left = a.split(';');
    let mut right = b.split(';');
    loop {
        let (a, b) = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, _) => return Ordering::Less,
            (_, None) => return Ordering::Greater,
            (Some(a), Some(b)) => (a.split_once('=').unwrap_or((a, "")), b.split_once('=').unwrap_or((b, ""))),
        };
        let values = match (a.1.parse::<f64>(), b.1.parse::<f64>()) {
            (Ok(a), Ok(b)) => a.total_cmp(&b),
            // Numbers before words: by letter alone, 9, 10 and 1a would be in a circle.
            (Ok(_), Err(_)) => Ordering::Less,
            (Err(_), Ok(_)) => Ordering::Greater,
            (Err(_), Err(_)) => a.1.cmp(b.1),
        };
        let found = a.0.cmp(b.0).then(values);
        if found != Ordering::Equal {
            return found;
        }
    }
}

/// Registers the font with plotters, once a process. Without it, drawing text fails.
pub fn fonts() -> Result<()> {
    static REGISTERED: OnceLock<bool> = OnceLock::new();
    let registered = *REGISTERED.get_or_init(|| {
        register_font(FAMILY, FontStyle::Normal, dejavu::sans::regular()).is_ok()
            && register_font(FAMILY, FontStyle::Bold, dejavu::sans::bold()).is_ok()
    });
    if registered { Ok(()) } else { Err(Error::other("cannot load the built-in font of the figures; this is a bug")) }
}

/// Width of a line of text in pixels, at `size` pixels an em.
pub fn text_width(text: &str, size: f64, bold: bool) -> f64 {
    // Measured large and scaled down, since plotters rounds to whole pixels. A font that cannot be had is guessed at.
    let style = if bold { FontStyle::Bold } else { FontStyle::Normal };
    let measured = fonts().ok().and_then(|()| (FAMILY, 100.0 * FONT_HEIGHT, style).into_font().box_size(text).ok());
    measured.map_or(text.chars().count() as f64 * 0.6 * size, |(width, _)| f64::from(width) * size / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_has_a_look_of_its_own() {
        for (at, one) in METHODS.iter().enumerate() {
            assert!(look(one).label.is_some(), "{one}");
            assert_ne!(look(one), look("no_such_method"));
            for other in &METHODS[at + 1..] {
                assert_ne!((look(one).color, look(one).marker), (look(other).color, look(other).marker), "{one} {other}");
                assert_ne!(look(one).color, look(other).color, "{one} {other}");
                assert_ne!(label(one), label(other));
            }
        }
    }

    #[test]
    fn shades_differ_and_keep_the_colour_when_alone() {
        let blue = look("dpo").color;
        assert_eq!(shade(blue, 0, 1), blue);
        for count in 2..6 {
            for at in 1..count {
                assert_ne!(shade(blue, at - 1, count), shade(blue, at, count));
            }
        }
    }

    #[test]
    fn settings_sort_by_number_and_read_like_a_paper() {
        assert_eq!(order_params("beta=5", "beta=10"), Ordering::Less);
        assert_eq!(order_params("beta=0.1;x=2", "beta=0.1;x=1"), Ordering::Greater);
        assert_eq!(order_params("", "beta=1"), order_params("", "beta"));
        assert_eq!((order_params("x=9", "x=10"), order_params("x=10", "x=1a")), (Ordering::Less, Ordering::Less));
        assert_eq!(order_params("x=9", "x=1a"), Ordering::Less);
        assert_eq!(setting("beta=0.1"), "β=0.1");
        assert_eq!(setting("train.learning_rate=1e-4"), "lr=1e-4");
        assert_eq!(setting("label_smoothing=0.1"), "label smoothing=0.1");
        assert_eq!(setting("kl_target=6.0"), "target KL=6.0");
        assert_eq!(setting("labels=hard"), "labels=hard");
        assert_eq!(setting("label_noise=0.1"), "label noise=0.1");
        assert_eq!([setting("comparisons=0"), setting("comparisons=64")], ["all comparisons", "comparisons=64"]);
        assert_eq!(setting("samples_from=population"), "exact population loss");
    }

    #[test]
    fn ppo_off_the_shelf_is_a_method_of_its_own() {
        let params = "kl_target=6;preset=off-the-shelf";
        assert_eq!(label(kind("ppo_gt", params)), "PPO-GT (off-the-shelf)");
        assert_eq!((kind("ppo_gt", "kl_target=6"), kind("dpo", params)), ("ppo_gt", "dpo"));
        assert_eq!(kind(kind("ppo", params), params), "ppo_off_the_shelf", "a kind is its own kind");
        assert_eq!(order(kind("ppo", params), "ppo_gt"), Ordering::Less);
    }

    #[test]
    fn text_is_measured() {
        assert!(fonts().is_ok());
        let (narrow, wide) = (text_width("iii", 12.0, false), text_width("MMM", 12.0, false));
        assert!(narrow > 5.0 && wide > narrow * 1.5, "{narrow} {wide}");
    }
}
