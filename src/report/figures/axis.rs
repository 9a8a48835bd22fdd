//! One axis: its range, its scale and where its ticks are.

use crate::report::theme::{TICK, text_width};

/// How values are laid out along an axis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scale {
    /// Evenly.
    #[default]
    Linear,
    /// By their square root; values must not be negative.
    Sqrt,
    /// By their logarithm; values must be positive.
    Log,
}

impl Scale {
    /// Where a value lies, up to a shift and a factor; NaN for one that has no place.
    fn place(self, value: f64) -> f64 {
        match self {
            Scale::Linear => value,
            Scale::Sqrt if value >= 0.0 => value.sqrt(),
            Scale::Log if value > 0.0 => value.log2(),
            Scale::Sqrt | Scale::Log => f64::NAN,
        }
    }
}

/// The range of an axis, its ticks and what it shows.
#[derive(Clone, Debug)]
pub struct Axis {
    /// What it shows, with its unit.
    pub title: String,
    /// Value and label of every tick.
    pub ticks: Vec<(f64, String)>,
    low: f64,
    high: f64,
    scale: Scale,
}

impl Axis {
    /// A linear axis over `low..=high` with about `ticks` ticks. A range that is empty or not finite is widened.
    pub fn linear(title: impl Into<String>, (low, high): (f64, f64), ticks: usize) -> Self {
        let (low, high) = sound(low, high);
        Self { title: title.into(), ticks: nice(low, high, ticks), low, high, scale: Scale::Linear }
    }

    /// An axis with a tick at each of `values`, linear or by logarithm, as far as labels find room on about `width` pixels.
    pub fn values(title: impl Into<String>, scale: Scale, values: &[f64], width: f64) -> Self {
        let mut shown: Vec<f64> = values.iter().copied().filter(|value| scale.place(*value).is_finite()).collect();
        shown.sort_by(f64::total_cmp);
        shown.dedup();
        let (low, high) = (shown.first().copied().unwrap_or(1.0), shown.last().copied().unwrap_or(1.0));
        let span = scale.place(high) - scale.place(low);
        let half = |value: f64| text_width(&short(value), TICK, false) / 2.0;
        let near = |a: f64, b: f64| (scale.place(b) - scale.place(a)) / span * width < half(a) + half(b) + 5.0;
        let mut kept: Vec<f64> = Vec::new();
        for value in shown {
            // The ends matter most; between them, values that would stand too close to the one before are left out.
            while value == high && kept.len() > 1 && kept.last().is_some_and(|last| near(*last, value)) {
                kept.pop();
            }
            if value == high || kept.last().is_none_or(|last| !near(*last, value)) {
                kept.push(value);
            }
        }
        let ticks = kept.into_iter().map(|value| (value, short(value))).collect();
        let (low, high) = match scale {
            Scale::Log => {
                let room = (span.max(1.0) * 0.06).exp2();
                (low / room, high * room)
            }
            Scale::Linear | Scale::Sqrt => padded((low, high), 0.06),
        };
        Self { title: title.into(), ticks, low, high, scale }
    }

    /// An axis by the square root over `0..=high`, with about `ticks` ticks.
    pub fn sqrt(title: impl Into<String>, high: f64, ticks: usize) -> Self {
        let (_, high) = sound(0.0, high.max(0.0));
        // Evenly spaced ticks crowd at the high end and leave the low end bare.
        let mut ticks = nice(0.0, high, ticks);
        let first = ticks.get(1).map_or(0.0, |tick| tick.0);
        if let Some(between) = nice(0.0, first, 4).into_iter().nth(1).filter(|tick| tick.0 * 3.0 < high) {
            ticks.insert(1, between);
        }
        Self { title: title.into(), ticks, low: 0.0, high, scale: Scale::Sqrt }
    }

    /// A logarithmic axis that holds the positive ones of `values`, with ticks at powers of ten, or also at 2 and 5 times them
    /// where there would be fewer than three.
    pub fn log10(title: impl Into<String>, values: impl IntoIterator<Item = f64>) -> Self {
        let sound = |value: &f64| (1e-100..=1e100).contains(value);
        let (low, high) = extent(values.into_iter().filter(sound)).unwrap_or((1.0, 10.0));
        let (low, high) = padded((low.log10(), high.log10()), 0.05);
        let (first, last) = (low.ceil() as i32, high.floor() as i32);
        let stride = ((last - first) / 6).max(0) as usize + 1;
        let mut ticks: Vec<f64> = (first..=last).step_by(stride).map(|power| 10f64.powi(power)).collect();
        if ticks.len() < 3 {
            let all = (first - 1..=last).flat_map(|power| [1.0, 2.0, 5.0].map(|by| by * 10f64.powi(power)));
            ticks = all.filter(|tick| (low..=high).contains(&tick.log10())).collect();
        }
        let ticks = ticks.into_iter().map(|tick| (tick, power(tick))).collect();
        Self { title: title.into(), ticks, low: 10f64.powf(low), high: 10f64.powf(high), scale: Scale::Log }
    }

    /// An axis with a place for each name, at 0, 1, 2 and so on.
    pub fn names(title: impl Into<String>, names: &[&str]) -> Self {
        let ticks = names.iter().enumerate().map(|(at, name)| (at as f64, (*name).to_owned())).collect();
        Self { title: title.into(), ticks, low: -0.5, high: names.len().max(1) as f64 - 0.5, scale: Scale::Linear }
    }

    /// Where a value lies: 0 at the low end, 1 at the high end, less or more outside. Not finite where the value is not.
    pub fn share(&self, value: f64) -> f64 {
        let place = |value: f64| self.scale.place(value);
        (place(value) - place(self.low)) / (place(self.high) - place(self.low))
    }

    /// Its low and its high end.
    pub fn range(&self) -> (f64, f64) {
        (self.low, self.high)
    }
}

/// The least and the greatest finite value.
pub fn extent(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    values.into_iter().filter(|value| value.is_finite()).fold(None, |found, value| match found {
        None => Some((value, value)),
        Some((low, high)) => Some((low.min(value), high.max(value))),
    })
}

/// `low..high` with `share` of its width added at both ends.
pub fn padded((low, high): (f64, f64), share: f64) -> (f64, f64) {
    let (low, high) = sound(low, high);
    (low - (high - low) * share, high + (high - low) * share)
}

/// The extent of most values, so that a few that are far off do not flatten the rest: each end reaches at most three times as
/// far from the median as the 10th or the 90th percentile does.
pub fn robust(values: &[f64]) -> Option<(f64, f64)> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let (least, greatest) = (*sorted.first()?, *sorted.last()?);
    let at = |share: f64| sorted[((sorted.len() - 1) as f64 * share).round() as usize];
    let (tenth, median, ninetieth) = (at(0.1), at(0.5), at(0.9));
    let spread = ninetieth - tenth;
    if !spread.is_finite() || spread <= 0.0 {
        return Some((least, greatest));
    }
    // A side on which nearly all values are the same still gets a part of the other side's room.
    let low = median - 3.0 * (median - tenth).max(0.25 * spread);
    let high = median + 3.0 * (ninetieth - median).max(0.25 * spread);
    Some((low.max(least), high.min(greatest)))
}

/// The greatest value that an axis from 0 shows. Where one goes more than two and a half times as far as 80% of them, it would push all
/// others against the axis, so the range ends at the last value before that.
pub fn reach(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
    values.sort_by(f64::total_cmp);
    let greatest = *values.last()?;
    let far = 2.5 * values[(values.len() - 1) * 4 / 5];
    if far > 0.0 && greatest > far { values.into_iter().rfind(|value| *value <= far) } else { Some(greatest) }
}

/// A range that can be divided by: finite, with a width.
fn sound(low: f64, high: f64) -> (f64, f64) {
    // Beyond this nothing that is drawn here makes sense, and differences overflow.
    let limit = |value: f64| if value.is_finite() { value.clamp(-1e100, 1e100) } else { 0.0 };
    let (low, high) = (limit(low.min(high)), limit(low.max(high)));
    let magnitude = low.abs().max(high.abs());
    if high - low > magnitude * 1e-9 {
        (low, high)
    } else {
        let room = if magnitude > 0.0 { magnitude * 0.1 } else { 1.0 };
        (low - room, high + room)
    }
}

/// Round values in `low..=high`, about `count` of them, with as many decimals as they need.
fn nice(low: f64, high: f64, count: usize) -> Vec<(f64, String)> {
    let rough = (high - low) / count.max(1) as f64;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|by| by * power).find(|step| *step >= rough * 0.999).unwrap_or(rough);
    let (first, last) = ((low / step - 1e-6).ceil(), (high / step + 1e-6).floor());
    if !(step > 0.0 && first.is_finite() && last - first < 100.0) {
        return Vec::new();
    }
    let decimals = (0..12).find(|decimals| {
        let scaled = step * 10f64.powi(*decimals);
        (scaled - scaled.round()).abs() < scaled * 1e-6
    });
    let decimals = decimals.unwrap_or(12) as usize;
    (0..=(last - first) as usize)
        .map(|at| {
            let value = (first + at as f64) * step;
            // No -0, no 40 digits.
            let value = if value.abs() < step * 1e-6 { 0.0 } else { value };
            (value, number(value, decimals, low.abs().max(high.abs())))
        })
        .collect()
}

/// A tick label; in thousands or as a power of ten where it would be long.
fn number(value: f64, decimals: usize, greatest: f64) -> String {
    let text = if greatest >= 1e7 || decimals > 4 {
        if value == 0.0 { "0".to_owned() } else { format!("{value:.1e}") }
    } else if greatest >= 10_000.0 {
        let thousands = format!("{:.3}", value / 1000.0);
        let short = thousands.trim_end_matches('0').trim_end_matches('.').to_owned();
        if value == 0.0 { short } else { short + "k" }
    } else {
        format!("{value:.decimals$}")
    };
    text.replace('-', "−")
}

/// A number as it is written, or by its power of ten where that is much shorter.
pub fn short(value: f64) -> String {
    let (plain, scientific) = (format!("{value}"), format!("{value:e}"));
    let text = if plain.len() > scientific.len() + 2 { scientific } else { plain };
    text.replace('-', "−")
}

/// The label of a tick on a logarithmic axis: in full where that is short, otherwise as a power of ten.
fn power(value: f64) -> String {
    if (1e-3..1e4).contains(&value) {
        // Ticks are 1, 2 or 5 times a power of ten: three decimals hold them all.
        let text = format!("{value:.3}");
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    let exponent = (value.log10() + 1e-9).floor();
    let raised: String = format!("{exponent}").chars().map(superscript).collect();
    match (value / 10f64.powf(exponent)).round() {
        1.0 => format!("10{raised}"),
        factor => format!("{factor}·10{raised}"),
    }
}

fn superscript(digit: char) -> char {
    let raised = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    digit.to_digit(10).map_or('⁻', |digit| raised[digit as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        let labels = |axis: &Axis| axis.ticks.iter().map(|(_, label)| label.clone()).collect::<Vec<_>>();
        assert_eq!(labels(&Axis::linear("", (0.0, 1.0), 5)), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(&Axis::linear("", (-3.0, 9.5), 5)), ["−2.5", "0.0", "2.5", "5.0", "7.5"]);
        assert_eq!(labels(&Axis::linear("", (0.0, 40_000.0), 4)), ["0", "10k", "20k", "30k", "40k"]);
        let values = |scale, values: &[f64]| labels(&Axis::values("", scale, values, 200.0));
        assert_eq!(values(Scale::Log, &[1.0, 4.0, 16.0, 64.0, 128.0]), ["1", "4", "16", "64", "128"]);
        assert_eq!(values(Scale::Log, &[1.0, 60.0, 61.0, 64.0]), ["1", "64"]);
        assert_eq!([short(0.00005), short(0.0005), short(-2.5), short(16384.0)], ["5e−5", "0.0005", "−2.5", "16384"]);
        assert_eq!(values(Scale::Linear, &[12.0, 3.0, 6.0, 9.0]), ["3", "6", "9", "12"]);
        assert_eq!(labels(&Axis::log10("", [1e-5, 0.1, -3.0])), ["10⁻⁵", "10⁻⁴", "0.001", "0.01", "0.1"]);
        assert_eq!(labels(&Axis::log10("", [1.5, 7.0])), ["2", "5"]);
        assert_eq!(labels(&Axis::names("", &["hard", "soft"])), ["hard", "soft"]);
        assert_eq!(labels(&Axis::sqrt("", 20.0, 4)), ["0", "2", "5", "10", "15", "20"]);
    }

    #[test]
    fn odd_ranges_stay_finite() {
        for (low, high) in [
            (0.0, 0.0),
            (1.0, 1.0),
            (f64::NAN, 2.0),
            (f64::NEG_INFINITY, f64::INFINITY),
            (5.0, -5.0),
            (-1e300, 1e300),
            (1e-320, 1e-319),
        ] {
            let axis = Axis::linear("", (low, high), 5);
            assert!(axis.range().0 < axis.range().1, "{low} {high}");
            assert!(axis.ticks.iter().all(|(value, _)| value.is_finite()));
        }
        for values in [&[][..], &[0.0, f64::NAN, -1.0], &[7.0]] {
            for axis in [Axis::values("", Scale::Log, values, 200.0), Axis::log10("", values.iter().copied())] {
                assert!(axis.range().0 < axis.range().1);
                assert!(!axis.share(-1.0).is_finite());
            }
            let axis = Axis::sqrt("", values.first().copied().unwrap_or(f64::NAN), 5);
            assert!(axis.range().0 < axis.range().1 && !axis.share(-1.0).is_finite());
        }
        assert!(robust(&[]).is_none() && robust(&[f64::NAN]).is_none());
        assert_eq!(robust(&[2.0, 2.0]), Some((2.0, 2.0)));
    }

    #[test]
    fn outliers_are_left_out() {
        let mut values: Vec<f64> = (0..100).map(f64::from).collect();
        assert_eq!(robust(&values), Some((0.0, 99.0)));
        values.push(1e6);
        let range = robust(&values).unwrap();
        assert!(range.0 == 0.0 && range.1 < 200.0, "{range:?}");
        assert_eq!((reach(values), reach([1.0, 2.0, 3.0]), reach([])), (Some(99.0), Some(3.0), None));
    }
}
