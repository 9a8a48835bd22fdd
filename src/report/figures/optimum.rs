//! The optimal frontier: the most reward that any policy can have at its KL, which the policies pi_ref exp(r / beta) / Z reach
//! (Rafailov et al. 2023, equation 4).

use super::half;
use super::legend::Entry;
use crate::report::rows::OptimumRow;
use crate::report::theme::INK;
use plotters::style::RGBColor;

/// One optimal frontier, by enumeration or by an estimate.
#[derive(Clone, Debug)]
pub struct Optimum {
    /// KL, reward and the half-width of the reward's 95% interval, in the order of KL; never empty.
    pub points: Vec<(f64, f64, f64)>,
    /// Whether it is exact.
    pub exact: bool,
}

/// What an optimum is drawn in.
pub const COLOR: RGBColor = INK;

/// The frontiers among these rows, the exact one first. Estimates that cannot be trusted are left out.
pub fn optima(rows: &[OptimumRow]) -> Vec<Optimum> {
    let mut optima = Vec::new();
    for exact in [true, false] {
        let of_kind = |row: &&OptimumRow| row.reliable && (row.kind == "exact") == exact;
        let point = |row: &OptimumRow| (row.kl, row.reward, if exact { 0.0 } else { half(row.reward_se) });
        let mut points: Vec<_> = rows.iter().filter(of_kind).map(point).collect();
        points.retain(|(kl, reward, _)| kl.is_finite() && reward.is_finite());
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        if !points.is_empty() {
            optima.push(Optimum { points, exact });
        }
    }
    optima
}

impl Optimum {
    /// The band of its 95% intervals: KL, lower and upper end.
    pub fn band(&self) -> Vec<(f64, f64, f64)> {
        // An exact frontier has no width, and a band without one would only darken the line.
        let wide = self.points.iter().filter(|_| !self.exact);
        wide.map(|(kl, reward, half)| (*kl, reward - half, reward + half)).collect()
    }

    /// How it is drawn: long dashes where exact, short ones where estimated.
    pub fn dash(&self) -> (f64, f64) {
        if self.exact { (7.0, 3.0) } else { (3.0, 2.5) }
    }

    /// Its line in a legend.
    pub fn entry(&self) -> Entry {
        let label = if self.exact { "optimum (exact)" } else { "optimum (estimated)" };
        Entry { label: label.to_owned(), color: COLOR, marker: None, dash: Some(self.dash()) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Made, made, optimum};
    use super::*;

    #[test]
    fn what_cannot_be_trusted_is_left_out_and_only_estimates_have_a_band() {
        let unreliable = OptimumRow { reliable: false, ..optimum("estimated", 9.0, 0.9) };
        let rows = [optimum("estimated", 2.0, 0.7), unreliable, optimum("estimated", 1.0, 0.6), optimum("exact", 1.0, 0.6)];
        let found = optima(&rows);
        assert_eq!(found.iter().map(|optimum| optimum.exact).collect::<Vec<_>>(), [true, false]);
        assert_eq!(found[1].points.iter().map(|point| point.0).collect::<Vec<_>>(), [1.0, 2.0]);
        assert!(found[0].band().is_empty());
        assert!((found[1].band()[0].2 - 0.6 - 1.96 * 0.02).abs() < 1e-12);
    }

    #[test]
    fn the_frontier_says_which_optimum_it_shows() {
        let estimated = Made { optimum: [1.0, 2.0].map(|kl| optimum("estimated", kl, 0.6)).into(), ..made() };
        let shown = estimated.svg(super::super::frontier::draw);
        assert!(shown.contains("optimum (estimated)") && !shown.contains("optimum (exact)"));
    }
}
