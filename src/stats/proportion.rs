//! Proportions of observations that come in clusters: Wilson's interval (1927) with an effective number of observations (Kish
//! 1965; its few-cluster factor from Korn and Graubard 1998; coverage of the combination in Dean and Pagano 2015).

use super::clustered_mean;
use super::student::{NORMAL, student};

/// The mean of values in [0, 1], with a 95% interval that never leaves [0, 1].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Proportion {
    /// Number of observations.
    pub n: usize,
    /// Mean over observations.
    pub share: f64,
    /// Lower end of the interval.
    pub ci_low: f64,
    /// Upper end of the interval.
    pub ci_high: f64,
    /// Number of independent yes-or-no observations that would be as certain: below `n` where observations of a cluster are
    /// alike, above it where many values lie between 0 and 1.
    pub effective_n: f64,
    /// Number of clusters.
    pub clusters: usize,
}

/// The proportion of (cluster, value) observations, values in [0, 1]; nothing without observations.
///
/// The effective n is n / (se^2 / (p (1 - p) / (n - 1))), with se clustered: for yes-or-no values without clusters it is n, and
/// the interval the textbook's. Ties (1/2) make se smaller than the binomial's. The effective n then exceeds n, rightly so: held
/// at n, 40% ties would make a 95% interval hold 99% of the time. The factor for few clusters is t(n - 1)^2 / t(clusters - 1)^2.
///
/// A variance seen as almost nothing is no certainty, so two rules bound the effective n.
/// - n ties are worth (n + z^2)^2 / z^2 - z^2 at most. That gives n ties alone the interval 1/2 +- 1/2 z^2 / (n + z^2), which is
///   the score interval of a paired difference without a discordant pair (Tango 1998).
/// - Where the variance is 0, nothing tells how alike the observations of a cluster are, so each cluster counts as one
///   observation: with m clusters and nothing but 1, the interval is Wilson's for m of m.
pub fn clustered_proportion(observations: &[(usize, f64)]) -> Option<Proportion> {
    if observations.is_empty() {
        return None;
    }
    let n = observations.len();
    let mean = clustered_mean(observations.iter().copied());
    let (share, clusters) = (mean.mean, mean.clusters);
    let binomial = share * (1.0 - share);
    let effective_n = if binomial == 0.0 {
        clusters as f64
    } else if mean.se < 1e-9 {
        worth_of_ties(clusters)
    } else {
        let few_clusters = (student(n - 1) / student(clusters - 1)).powi(2);
        (n as f64 / (n as f64 - 1.0) * binomial / mean.se.powi(2) * few_clusters).min(worth_of_ties(n))
    };
    let (ci_low, ci_high) = wilson(share, effective_n);
    Some(Proportion { n, share, ci_low, ci_high, effective_n, clusters })
}

/// The greatest effective n of so many observations.
fn worth_of_ties(n: usize) -> f64 {
    let squared = NORMAL.powi(2);
    (n as f64 + squared).powi(2) / squared - squared
}

/// Wilson's 95% interval of a share of n observations.
fn wilson(share: f64, n: f64) -> (f64, f64) {
    let squared = NORMAL.powi(2);
    let centre = (share + squared / (2.0 * n)) / (1.0 + squared / n);
    let half = NORMAL / (1.0 + squared / n) * (share * (1.0 - share) / n + squared / (4.0 * n * n)).sqrt();
    // At 0 and at 1 one end is the share itself, but for rounding.
    ((centre - half).clamp(0.0, share), (centre + half).clamp(share, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(values: &[f64], cluster_size: usize) -> Proportion {
        let observations: Vec<(usize, f64)> = values.iter().enumerate().map(|(i, value)| (i / cluster_size, *value)).collect();
        clustered_proportion(&observations).expect("a proportion")
    }

    fn assert_interval(proportion: Proportion, low: f64, high: f64) {
        assert!((proportion.ci_low - low).abs() < 5e-5 && (proportion.ci_high - high).abs() < 5e-5, "{proportion:?}");
    }

    #[test]
    fn without_clusters_and_ties_it_is_the_textbooks_interval() {
        let values = [vec![1.0; 8], vec![0.0; 2]].concat();
        let proportion = of(&values, 1);
        assert!((proportion.effective_n - 10.0).abs() < 1e-9, "{proportion:?}");
        assert_interval(proportion, 0.4902, 0.9433);
        assert_interval(of(&[1.0; 10], 1), 0.7225, 1.0);
        assert_interval(of(&[0.0; 10], 1), 0.0, 0.2775);
    }

    #[test]
    fn copies_of_an_observation_add_no_certainty() {
        let once: Vec<f64> = (0..40).map(|i| f64::from(u8::from(i % 3 == 0))).collect();
        let copied: Vec<f64> = once.iter().flat_map(|value| [*value; 4]).collect();
        let (once, copied) = (of(&once, 1), of(&copied, 4));
        assert!(copied.effective_n < once.effective_n && copied.effective_n > 0.9 * once.effective_n, "{once:?} {copied:?}");
        assert_eq!(of(&[1.0; 40], 4).effective_n, 10.0);
    }

    #[test]
    fn ties_are_worth_more_than_decided_observations_but_never_certain() {
        // Variance 0.6 of the binomial's.
        let values = [vec![1.0; 30], vec![0.0; 30], vec![0.5; 40]].concat();
        assert!((of(&values, 1).effective_n - 100.0 / 0.6).abs() < 1e-9);
        // 1/2 +- 1/2 z^2 / (10 + z^2).
        assert_interval(of(&[0.5; 10], 1), 0.3612, 0.6388);
        assert_eq!(of(&[0.5; 40], 4).ci_low, of(&[0.5; 10], 1).ci_low);
    }

    #[test]
    fn one_cluster_is_one_observation() {
        assert_interval(of(&[1.0; 50], 50), 0.2065, 1.0);
        assert!(of(&[0.0, 1.0], 2).ci_high > 0.8);
        assert_eq!(clustered_proportion(&[]), None);
    }

    proptest! {
        #[test]
        fn intervals_hold_their_share_and_stay_within_0_and_1(
            scores in prop::collection::vec(0..3u8, 1..40), cluster_size in 1..5usize
        ) {
            let values: Vec<f64> = scores.iter().map(|score| f64::from(*score) / 2.0).collect();
            let proportion = of(&values, cluster_size);
            prop_assert!(0.0 <= proportion.ci_low && proportion.ci_low <= proportion.share);
            prop_assert!(proportion.share <= proportion.ci_high && proportion.ci_high <= 1.0);
            prop_assert!(proportion.ci_low < proportion.ci_high && proportion.effective_n > 0.0);
        }

        #[test]
        fn turning_every_value_around_turns_the_interval_around(scores in prop::collection::vec(0..3u8, 1..40)) {
            let values: Vec<f64> = scores.iter().map(|score| f64::from(*score) / 2.0).collect();
            let turned: Vec<f64> = values.iter().map(|value| 1.0 - value).collect();
            let (there, back) = (of(&values, 2), of(&turned, 2));
            prop_assert!((there.ci_low + back.ci_high - 1.0).abs() < 1e-9 && (there.ci_high + back.ci_low - 1.0).abs() < 1e-9);
        }
    }
}
