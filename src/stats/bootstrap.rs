//! The paired bootstrap over prompts (Efron and Tibshirani 1993).

use crate::random::Stream;
use rayon::prelude::*;

/// A number with its bootstrap error and 95% percentile interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The number on the prompts as they are.
    pub value: f64,
    /// Standard deviation over resamples.
    pub se: f64,
    /// 2.5th percentile.
    pub ci_low: f64,
    /// 97.5th percentile.
    pub ci_high: f64,
}

/// Resamples of prompts, shared by everything that is compared: resample b draws the same prompts for every policy, so
/// differences are paired.
#[derive(Clone, Debug)]
pub struct Resamples {
    /// How often each prompt was drawn, one row a resample.
    counts: Vec<Vec<f64>>,
    prompts: usize,
}

impl Resamples {
    /// `count` resamples of `prompts` prompts.
    pub fn new(prompts: usize, count: usize, seed: u64) -> Self {
        let resample = |row: usize| {
            let mut stream = Stream::new(seed, 0, "bootstrap", row as u64);
            let mut counts = vec![0.0; prompts];
            for _ in 0..prompts {
                counts[stream.below(prompts)] += 1.0;
            }
            counts
        };
        Resamples { counts: (0..count).into_par_iter().map(resample).collect(), prompts }
    }

    /// Estimates a statistic that is a function of weights on the prompts.
    pub fn estimate(&self, statistic: impl Fn(&[f64]) -> f64 + Sync) -> Estimate {
        let value = statistic(&vec![1.0; self.prompts]);
        let mut draws: Vec<f64> = self.counts.par_iter().map(|counts| statistic(counts)).collect();
        draws.sort_by(f64::total_cmp);
        let count = draws.len() as f64;
        let mean = draws.iter().sum::<f64>() / count;
        let se = (draws.iter().map(|draw| (draw - mean).powi(2)).sum::<f64>() / (count - 1.0)).sqrt();
        let at = |share: f64| draws[((count - 1.0) * share).round() as usize];
        Estimate { value, se, ci_low: at(0.025), ci_high: at(0.975) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weighted(values: &[f64]) -> impl Fn(&[f64]) -> f64 + Sync {
        move |weights: &[f64]| values.iter().zip(weights).map(|(v, w)| v * w).sum::<f64>() / weights.iter().sum::<f64>()
    }

    #[test]
    fn the_error_of_a_mean_is_the_textbook_one() {
        let mut stream = Stream::new(0, 0, "test", 0);
        let values: Vec<f64> = (0..200).map(|_| stream.normal()).collect();
        let estimate = Resamples::new(200, 2000, 0).estimate(weighted(&values));
        let textbook = crate::stats::clustered_mean(values.iter().copied().enumerate());
        assert!((estimate.value - textbook.mean).abs() < 1e-12);
        assert!((estimate.se / textbook.se - 1.0).abs() < 0.06, "{} {}", estimate.se, textbook.se);
        assert!(estimate.ci_low < estimate.value && estimate.value < estimate.ci_high);
    }

    #[test]
    fn pairing_removes_what_two_policies_share() {
        let mut stream = Stream::new(0, 0, "test", 1);
        let shared: Vec<f64> = (0..200).map(|_| 10.0 * stream.normal()).collect();
        let better: Vec<f64> = shared.iter().map(|v| v + 0.1).collect();
        let resamples = Resamples::new(200, 500, 0);
        let difference = resamples.estimate(|weights| weighted(&better)(weights) - weighted(&shared)(weights));
        assert!((difference.value - 0.1).abs() < 1e-9 && difference.se < 1e-9);
    }

    #[test]
    fn resamples_do_not_depend_on_threads() {
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool");
        let alone = one.install(|| Resamples::new(50, 20, 3).counts);
        assert_eq!(alone, Resamples::new(50, 20, 3).counts);
    }
}
