//! Errors that hold the luck of the seed as well as that of the prompts. Every seed is evaluated on the same prompts, so the
//! two are crossed: seeds and prompts are resampled independently, and a value counts as often as its seed times as often as
//! its prompt (the pigeonhole bootstrap, Owen 2007).

use super::student::student;
use super::{Estimate, Resamples};
use crate::random::Stream;
use rayon::prelude::*;

/// A mean over seeds and prompts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AcrossSeeds {
    /// The mean with its error and 95% interval.
    pub estimate: Estimate,
    /// Number of seeds.
    pub seeds: usize,
    /// Standard deviation of the seeds' means; none with one seed.
    pub deviation: Option<f64>,
}

impl AcrossSeeds {
    /// Whether the interval is that of this one training run: what another seed would give is then unknown.
    pub fn is_of_one_seed(&self) -> bool {
        self.seeds == 1
    }
}

/// The mean of `values[seed][prompt]`, by `count` resamples. For the difference of two methods, give the differences: rows of
/// one seed and columns of one prompt belong together.
///
/// The standard error is at most sqrt(3) times too large where neither seeds nor prompts have anything in common (Owen 2007),
/// and right where either dominates. With several seeds the interval is Student's, since a handful of seeds has too few
/// resamples for percentiles: from 2 seeds it is wide, because two say little about a third. With one seed it is the
/// percentile interval of [`Resamples`] with the same `count` and `seed`.
///
/// Nothing without values, where seeds differ in their number of prompts, or with fewer than 2 resamples.
pub fn across_seeds(values: &[Vec<f64>], count: usize, seed: u64) -> Option<AcrossSeeds> {
    let (seeds, prompts) = (values.len(), values.first()?.len());
    if prompts == 0 || count < 2 || values.iter().any(|row| row.len() != prompts) {
        return None;
    }
    if seeds == 1 {
        let mean = |weights: &[f64]| values[0].iter().zip(weights).map(|(v, w)| v * w).sum::<f64>() / prompts as f64;
        return Some(AcrossSeeds { estimate: Resamples::new(prompts, count, seed).estimate(mean), seeds, deviation: None });
    }
    let means: Vec<f64> = values.iter().map(|row| row.iter().sum::<f64>() / prompts as f64).collect();
    let value = means.iter().sum::<f64>() / seeds as f64;
    let between = unbiased_variance(&means);
    let draws: Vec<f64> = (0..count).into_par_iter().map(|row| draw(values, prompts, seed, row as u64)).collect();
    let variance = unbiased_variance(&draws);

    // Each share of the variance has its own Student factor (Banerjee 1961): the interval then holds the truth at least as
    // often as it promises. With degrees of freedom mixed by Satterthwaite's rule, 2 seeds hold it about 87% of the time.
    let of_seeds = (between / seeds as f64).min(variance);
    let of_prompts = variance - of_seeds;
    let half = (student(seeds - 1).powi(2) * of_seeds + student(prompts - 1).powi(2) * of_prompts).sqrt();
    let se = variance.sqrt();
    let estimate = Estimate { value, se, ci_low: value - half, ci_high: value + half };
    Some(AcrossSeeds { estimate, seeds, deviation: Some(between.sqrt()) })
}

/// The mean of one resample. One seed fewer is drawn than there are: then the resamples' variance has no bias in the number
/// of seeds, which matters where that is 2 or 3 (Rao and Wu 1988).
fn draw(values: &[Vec<f64>], prompts: usize, seed: u64, row: u64) -> f64 {
    let mut stream = Stream::new(seed, 0, "bootstrap", row);
    let drawn: Vec<usize> = (0..prompts).map(|_| stream.below(prompts)).collect();
    let mut stream = Stream::new(seed, 0, "bootstrap of seeds", row);
    let mean = |of_seed: &Vec<f64>| drawn.iter().map(|prompt| of_seed[*prompt]).sum::<f64>() / prompts as f64;
    let of_seeds = (1..values.len()).map(|_| mean(&values[stream.below(values.len())]));
    of_seeds.sum::<f64>() / (values.len() - 1) as f64
}

/// Sum of squared deviations from the mean, over one less than the number of values (at least 2).
fn unbiased_variance(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// value = seed's effect + prompt's effect + noise, all normal, of these deviations.
    fn simulated(seeds: usize, prompts: usize, [of_seed, of_prompt, noise]: [f64; 3], row: u64) -> Vec<Vec<f64>> {
        let mut stream = Stream::new(0, 0, "test", row);
        let effects: Vec<f64> = (0..prompts).map(|_| of_prompt * stream.normal()).collect();
        let mut of_a_seed = || {
            let effect = of_seed * stream.normal();
            effects.iter().map(|of_prompt| effect + of_prompt + noise * stream.normal()).collect()
        };
        (0..seeds).map(|_| of_a_seed()).collect()
    }

    /// Share of 600 intervals that hold the truth, 0.
    fn coverage(seeds: usize, deviations: [f64; 3]) -> f64 {
        let holds = |row: u64| {
            let estimate = across_seeds(&simulated(seeds, 40, deviations, row), 100, row).expect("values").estimate;
            estimate.ci_low < 0.0 && 0.0 < estimate.ci_high
        };
        (0..600).filter(|row| holds(*row)).count() as f64 / 600.0
    }

    #[test]
    fn intervals_hold_the_truth_at_least_as_often_as_they_promise() {
        for seeds in [2, 3, 5] {
            let of_seeds = coverage(seeds, [1.0, 0.5, 0.5]);
            assert!((0.93..0.98).contains(&of_seeds), "{seeds} seeds that differ: {of_seeds}");
            for deviations in [[0.1, 1.0, 0.3], [0.2, 1.0, 1.0], [0.0, 0.0, 1.0]] {
                let share = coverage(seeds, deviations);
                assert!(share > 0.93, "{seeds} seeds, {deviations:?}: {share}");
            }
        }
    }

    #[test]
    fn one_seed_is_the_bootstrap_over_prompts() {
        let values = simulated(1, 60, [0.0, 1.0, 0.5], 0);
        let across = across_seeds(&values, 300, 7).expect("values");
        let mean = |weights: &[f64]| values[0].iter().zip(weights).map(|(v, w)| v * w).sum::<f64>() / 60.0;
        assert_eq!(across.estimate, Resamples::new(60, 300, 7).estimate(mean));
        assert!(across.is_of_one_seed() && across.deviation.is_none());
    }

    #[test]
    fn seeds_that_agree_add_no_error_to_that_of_the_prompts() {
        let one = simulated(1, 60, [0.0, 1.0, 0.5], 1);
        let (alone, thrice) = (across_seeds(&one, 2000, 0), across_seeds(&vec![one[0].clone(); 3], 2000, 0));
        let (alone, thrice) = (alone.expect("values"), thrice.expect("values"));
        assert!((alone.estimate.se / thrice.estimate.se - 1.0).abs() < 1e-9, "the prompts drawn are the same");
        assert!((alone.estimate.ci_low - thrice.estimate.ci_low).abs() < 0.2 * alone.estimate.se);
        assert!(thrice.deviation.is_some_and(|deviation| deviation < 1e-12));
    }

    #[test]
    fn seeds_that_differ_widen_the_interval_of_identical_prompts() {
        let across = across_seeds(&[vec![0.0; 5], vec![1.0; 5], vec![2.0; 5]], 4000, 0).expect("values");
        assert_eq!((across.deviation, across.seeds, across.estimate.value), (Some(1.0), 3, 1.0));
        // Student's textbook interval: 1 +- 4.303 / sqrt(3).
        assert!((across.estimate.se * 3f64.sqrt() - 1.0).abs() < 0.05, "{across:?}");
        assert!((across.estimate.ci_high - 1.0 - 4.303 / 3f64.sqrt()).abs() < 0.15, "{across:?}");
    }

    #[test]
    fn estimates_do_not_depend_on_threads() {
        let values = simulated(3, 20, [1.0; 3], 2);
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool");
        assert_eq!(one.install(|| across_seeds(&values, 50, 3)), across_seeds(&values, 50, 3));
    }

    #[test]
    fn tables_that_are_empty_or_ragged_give_nothing() {
        for values in [vec![], vec![vec![]], vec![vec![1.0, 2.0], vec![1.0]]] {
            assert_eq!(across_seeds(&values, 10, 0), None);
        }
    }
}
