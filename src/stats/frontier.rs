//! The reward that a method reaches within a KL budget.

/// One evaluated policy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// KL to the reference in nats.
    pub kl: f64,
    /// Mean reward.
    pub reward: f64,
}

/// The upper concave envelope of a method's points, the reference included.
///
/// Between two policies the envelope is reached by drawing one of them for each prompt: the reward of such a mixture is
/// linear in the share, and its KL is at most linear, since KL is convex. Beyond the last point the envelope is flat: a
/// budget need not be spent.
#[derive(Clone, Debug, PartialEq)]
pub struct Frontier {
    hull: Vec<Point>,
}

impl Frontier {
    /// The envelope of points; nothing without points. Points that are not finite are left out.
    pub fn new(points: impl IntoIterator<Item = Point>) -> Option<Self> {
        let mut points: Vec<Point> =
            points.into_iter().filter(|point| point.kl.is_finite() && point.reward.is_finite()).collect();
        points.sort_by(|a, b| a.kl.total_cmp(&b.kl).then(b.reward.total_cmp(&a.reward)));
        let mut hull: Vec<Point> = Vec::new();
        for point in points {
            // A point with no more reward than a cheaper one is never worth its KL.
            if hull.last().is_some_and(|last| point.reward <= last.reward) {
                continue;
            }
            while hull.len() >= 2 && below(hull[hull.len() - 2], hull[hull.len() - 1], point) {
                hull.pop();
            }
            hull.push(point);
        }
        (!hull.is_empty()).then_some(Frontier { hull })
    }

    /// Greatest reward within a budget; the first point's where even that exceeds the budget.
    pub fn reward_at(&self, budget: f64) -> f64 {
        let after = self.hull.partition_point(|point| point.kl <= budget);
        match (after.checked_sub(1).map(|index| self.hull[index]), self.hull.get(after)) {
            (None, _) => self.hull[0].reward,
            (Some(before), None) => before.reward,
            (Some(before), Some(next)) => {
                before.reward + (next.reward - before.reward) * (budget - before.kl) / (next.kl - before.kl)
            }
        }
    }

    /// Mean of the reward over budgets from 0 to `budget`: the area under the frontier, divided by its width.
    pub fn area(&self, budget: f64) -> f64 {
        let mut knots: Vec<f64> = [0.0, budget].into_iter().chain(self.hull.iter().map(|point| point.kl)).collect();
        knots.retain(|knot| (0.0..=budget).contains(knot));
        knots.sort_by(f64::total_cmp);
        let strip = |pair: &[f64]| (pair[1] - pair[0]) * (self.reward_at(pair[0]) + self.reward_at(pair[1])) / 2.0;
        knots.windows(2).map(strip).sum::<f64>() / budget
    }

    /// The greatest KL that buys reward.
    pub fn last_kl(&self) -> f64 {
        self.hull.last().map_or(0.0, |point| point.kl)
    }
}

/// Whether `middle` lies on or below the line from `first` to `last`.
fn below(first: Point, middle: Point, last: Point) -> bool {
    (middle.reward - first.reward) * (last.kl - first.kl) <= (last.reward - first.reward) * (middle.kl - first.kl)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn points(pairs: &[(f64, f64)]) -> impl Iterator<Item = Point> {
        pairs.iter().map(|(kl, reward)| Point { kl: *kl, reward: *reward })
    }

    #[test]
    fn it_interpolates_and_is_flat_beyond_the_last_point() {
        let frontier = Frontier::new(points(&[(0.0, 0.5), (2.0, 0.9), (1.0, 0.6), (4.0, 0.8)])).expect("points");
        assert!((frontier.reward_at(1.0) - 0.7).abs() < 1e-12);
        assert!((frontier.reward_at(10.0) - 0.9).abs() < 1e-12);
        assert!((frontier.area(2.0) - 0.7).abs() < 1e-12);
        assert!((frontier.area(4.0) - 0.8).abs() < 1e-12);
        assert!((frontier.last_kl() - 2.0).abs() < 1e-12);
    }

    #[test]
    fn points_that_are_not_finite_are_left_out() {
        assert_eq!(Frontier::new(points(&[(f64::NAN, 0.5), (1.0, f64::INFINITY)])), None);
    }

    proptest! {
        #[test]
        fn the_envelope_lies_on_or_above_every_point_and_never_falls(
            pairs in prop::collection::vec((0.0..20.0f64, 0.0..1.0f64), 1..30), budgets in prop::collection::vec(0.0..25.0f64, 2)
        ) {
            let all: Vec<Point> = points(&pairs).collect();
            let frontier = Frontier::new(all.clone()).expect("points");
            for point in all {
                prop_assert!(frontier.reward_at(point.kl) >= point.reward - 1e-9);
            }
            let (low, high) = (budgets[0].min(budgets[1]), budgets[0].max(budgets[1]));
            prop_assert!(frontier.reward_at(low) <= frontier.reward_at(high) + 1e-9);
        }
    }
}
