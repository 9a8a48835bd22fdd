//! One axis: its range, its scale and where its ticks are.

/// How values are laid out along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Evenly.
    Linear,
    /// By their logarithm; values must be positive.
    Log2,
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

    /// An axis of powers of two that holds `values`, with a tick at each of them as far as there is room for `ticks`.
    pub fn log2(title: impl Into<String>, values: &[f64], ticks: usize) -> Self {
        let mut shown: Vec<f64> = values.iter().copied().filter(|value| value.is_finite() && *value > 0.0).collect();
        shown.sort_by(f64::total_cmp);
        shown.dedup();
        let (low, high) = (shown.first().copied().unwrap_or(1.0), shown.last().copied().unwrap_or(1.0));
        let room = (high / low).log2().max(1.0) * 0.06;
        // The ends matter most; between them, values that would stand too close to the one before are left out.
        let apart = ((high / low).log2() / ticks.max(1) as f64).max(0.8);
        let mut kept: Vec<f64> = Vec::new();
        for value in shown {
            let near = kept.last().is_some_and(|last| (value / last).log2() < apart);
            if near && value == high && kept.len() > 1 {
                kept.pop();
            }
            if !near || value == high {
                kept.push(value);
            }
        }
        let ticks = kept.into_iter().map(|value| (value, format!("{value}"))).collect();
        Self { title: title.into(), ticks, low: low / room.exp2(), high: high * room.exp2(), scale: Scale::Log2 }
    }

    /// Where a value lies: 0 at the low end, 1 at the high end, less or more outside. Not finite where the value is not.
    pub fn share(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Log2 if value > 0.0 => (value / self.low).log2() / (self.high / self.low).log2(),
            Scale::Log2 => f64::NAN,
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        let labels = |axis: &Axis| axis.ticks.iter().map(|(_, label)| label.clone()).collect::<Vec<_>>();
        assert_eq!(labels(&Axis::linear("", (0.0, 1.0), 5)), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(&Axis::linear("", (-3.0, 9.5), 5)), ["−2.5", "0.0", "2.5", "5.0", "7.5"]);
        assert_eq!(labels(&Axis::linear("", (0.0, 40_000.0), 4)), ["0", "10k", "20k", "30k", "40k"]);
        assert_eq!(labels(&Axis::log2("", &[1.0, 4.0, 16.0, 64.0, 128.0], 8)), ["1", "4", "16", "64", "128"]);
        assert_eq!(labels(&Axis::log2("", &[1.0, 2.0, 3.0, 4.0], 8)), ["1", "2", "4"]);
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
            let axis = Axis::log2("", values, 5);
            assert!(axis.range().0 < axis.range().1);
            assert!(!axis.share(-1.0).is_finite());
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
    }
}
