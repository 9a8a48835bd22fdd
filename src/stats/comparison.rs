//! Comparisons of two policies by one judge on the same prompts, against the same baseline.

use super::student::{NORMAL, student};
use super::{Estimate, JudgedPair, clustered_mean};
use std::collections::BTreeMap;

/// The 80% quantile of the standard normal.
const POWER: f64 = 0.841_621_234;

/// How much more often one policy wins than another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairedDifference {
    /// Difference of the win rates, in [-1, 1], with its error over prompts and Student's 95% interval.
    pub estimate: Estimate,
    /// Number of prompts on which both were judged.
    pub prompts: usize,
}

impl PairedDifference {
    /// Whether the interval leaves out 0: otherwise the comparison is unresolved.
    pub fn is_resolved(&self) -> bool {
        self.estimate.ci_low > 0.0 || self.estimate.ci_high < 0.0
    }
}

/// The first policy's win rate less the second's: the mean, over the prompts that both have pairs of, of the difference of their
/// mean scores. Prompts weigh the same, so that policies with different numbers of completions can be compared. What prompts
/// have in common cancels. Nothing with fewer than 2 such prompts.
///
/// Where all prompts have the same difference, no variance can be seen. The interval's half-width is then z^2 / (m + z^2) for m
/// prompts, that of m pairs without a discordant one (Tango 1998).
pub fn paired_difference(first: &[JudgedPair], second: &[JudgedPair]) -> Option<PairedDifference> {
    let scores = |pairs: &[JudgedPair]| {
        let scores: Vec<(usize, f64)> = pairs.iter().map(|pair| (pair.prompt, pair.score())).collect();
        by_prompt(&scores).into_iter().map(|(prompt, (sum, count))| (prompt, sum / count as f64)).collect::<Vec<_>>()
    };
    let PairedDifference { estimate: mean, prompts } = paired_means(&scores(first), &scores(second))?;
    let squared = NORMAL.powi(2);
    let half = if mean.se < 1e-9 { squared / (prompts as f64 + squared) } else { student(prompts - 1) * mean.se };
    let (ci_low, ci_high) = ((mean.value - half).max(-1.0), (mean.value + half).min(1.0));
    Some(PairedDifference { estimate: Estimate { ci_low, ci_high, ..mean }, prompts })
}

/// The mean of the first (prompt, value) observations less that of the second, over the prompts that both have, with Student's 95%
/// interval over prompts. Where both have as many observations of every prompt, observations weigh the same, so that it is the
/// difference of the two means; prompts do otherwise. Nothing with fewer than 2 such prompts.
pub fn paired_means(first: &[(usize, f64)], second: &[(usize, f64)]) -> Option<PairedDifference> {
    let (first, second) = (by_prompt(first), by_prompt(second));
    let shared = || first.iter().filter_map(|(prompt, one)| Some((*prompt, *one, *second.get(prompt)?)));
    let alike = shared().all(|(_, one, other)| one.1 == other.1);
    let difference = |(prompt, one, other): (usize, (f64, usize), (f64, usize))| {
        let mean = |(sum, count): (f64, usize)| sum / count as f64;
        std::iter::repeat_n((prompt, mean(one) - mean(other)), if alike { one.1 } else { 1 })
    };
    let mean = clustered_mean(shared().flat_map(difference));
    let prompts = mean.clusters;
    if prompts < 2 {
        return None;
    }
    let half = student(prompts - 1) * mean.se;
    let estimate = Estimate { value: mean.mean, se: mean.se, ci_low: mean.mean - half, ci_high: mean.mean + half };
    Some(PairedDifference { estimate, prompts })
}

/// Sum and number of each prompt's values.
fn by_prompt(observations: &[(usize, f64)]) -> BTreeMap<usize, (f64, usize)> {
    let mut sums: BTreeMap<usize, (f64, usize)> = BTreeMap::new();
    for (prompt, value) in observations {
        let (sum, count) = sums.entry(*prompt).or_default();
        *sum += value;
        *count += 1;
    }
    sums
}

/// The smallest true difference that a 95% interval over so many prompts leaves 0 out of in 80% of studies:
/// (t(n - 1) + z(80%)) sd / sqrt(n). `sd` is the standard deviation over prompts of what is compared: at most 1/2 for one win
/// rate against a fixed value; about 0.7 for the difference of two win rates whose verdicts have nothing in common and no ties,
/// less with ties, with several completions, and the more alike the policies are. Infinite with fewer than 2 prompts.
pub fn resolvable(n_prompts: usize, sd: f64) -> f64 {
    if n_prompts < 2 {
        return f64::INFINITY;
    }
    (student(n_prompts - 1) + POWER) * sd / (n_prompts as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::super::Outcome::{self, Loss, Tie, Win};
    use super::super::simulated_judge::{SimulatedJudge, World, share_of_simulations};
    use super::*;

    fn pairs(outcomes: &[(usize, Outcome)]) -> Vec<JudgedPair> {
        let pair = |(prompt, outcome): &(usize, Outcome)| JudgedPair {
            prompt: *prompt,
            shown_first: *outcome,
            shown_second: *outcome,
            length_difference: 0.0,
        };
        outcomes.iter().map(pair).collect()
    }

    #[test]
    fn differences_are_those_worked_out_by_hand() {
        let first = pairs(&[(0, Win), (0, Win), (1, Win), (2, Tie), (3, Loss), (9, Win)]);
        let second = pairs(&[(0, Win), (0, Loss), (1, Loss), (2, Tie), (3, Tie), (7, Win)]);
        let difference = paired_difference(&first, &second).expect("a difference");
        // By prompt: 1/2, 1, 0, -1/2; their mean is 1/4, their standard deviation sqrt(5 / 12), Student's t(3) 3.182.
        let se = (5.0f64 / 12.0).sqrt() / 2.0;
        assert_eq!(difference.prompts, 4);
        assert!((difference.estimate.value - 0.25).abs() < 1e-12 && (difference.estimate.se - se).abs() < 1e-12);
        assert!((difference.estimate.ci_low - (0.25 - 3.182 * se)).abs() < 1e-12, "{difference:?}");
        assert_eq!(difference.estimate.ci_high, 1.0);
        assert!(!difference.is_resolved());
    }

    #[test]
    fn differences_of_means_are_paired_by_prompt() {
        let first = [(0, 5.0), (0, 7.0), (1, 2.0), (2, 9.0), (9, 50.0)];
        let second = [(0, 4.0), (1, 1.0), (2, 5.0), (8, -50.0)];
        let PairedDifference { estimate, prompts } = paired_means(&first, &second).expect("a difference");
        // By prompt: 2, 1, 4; their mean is 7/3, their variance 7/3, Student's t(2) 4.303.
        let se = (7.0f64 / 9.0).sqrt();
        assert_eq!(prompts, 3);
        assert!((estimate.value - 7.0 / 3.0).abs() < 1e-12 && (estimate.se - se).abs() < 1e-12);
        assert!((estimate.ci_high - estimate.value - 4.303 * se).abs() < 1e-3);
        assert_eq!(paired_means(&first, &second[3..]), None);
        // As many observations on both sides: 2/3 and 0.
        let (first, second) = ([(0, 1.0), (0, 1.0), (1, 0.0)], [(0, 0.0), (0, 0.0), (1, 0.0)]);
        let mean = paired_means(&first, &second).map(|difference| difference.estimate.value);
        assert!(mean.is_some_and(|mean| (mean - 2.0 / 3.0).abs() < 1e-12));
    }

    #[test]
    fn a_policy_does_not_differ_from_itself_but_few_prompts_leave_room() {
        let policy = pairs(&(0..10).map(|prompt| (prompt, if prompt % 2 == 0 { Win } else { Loss })).collect::<Vec<_>>());
        let estimate = paired_difference(&policy, &policy).expect("a difference").estimate;
        assert_eq!((estimate.value, estimate.se), (0.0, 0.0));
        assert!((estimate.ci_high - 0.2775).abs() < 5e-5 && estimate.ci_low == -estimate.ci_high, "{estimate:?}");
    }

    #[test]
    fn policies_without_two_prompts_in_common_are_not_compared() {
        let policy = pairs(&[(0, Win), (1, Loss)]);
        for other in [vec![], pairs(&[(0, Win)]), pairs(&[(0, Win), (5, Win)])] {
            assert_eq!(paired_difference(&policy, &other), None);
        }
    }

    #[test]
    fn intervals_hold_the_difference_of_the_judges_limits_in_95_of_100_studies() {
        for ties in [0.0, 0.4] {
            let judge = SimulatedJudge { accuracy: 0.9, first_unread: 0.1, ties };
            for (prompts, completions) in [(200, 1), (60, 4), (10, 4)] {
                let better = World { prompts, completions, better: 0.65, effect: 0.3 };
                let worse = World { better: 0.55, completions: 1, ..better };
                let limit = judge.limit(better.better) - judge.limit(worse.better);
                let coverage = share_of_simulations(|stream| {
                    let effects = better.effects(stream);
                    let first = better.judged_with(judge, &effects, stream);
                    let second = worse.judged_with(judge, &effects, stream);
                    let estimate = paired_difference(&first, &second).expect("a difference").estimate;
                    estimate.ci_low <= limit && limit <= estimate.ci_high
                });
                assert!((0.93..=0.97).contains(&coverage), "{ties} {prompts}: {coverage}");
            }
        }
    }

    #[test]
    fn a_resolvable_difference_is_found_in_80_of_100_studies() {
        assert!((resolvable(1_000_000, 1.0) * 1000.0 - 2.8016).abs() < 1e-3);
        assert_eq!(resolvable(1, 0.5), f64::INFINITY);
        let judge = SimulatedJudge { accuracy: 1.0, first_unread: 0.0, ties: 0.0 };
        let prompts = 200;
        // Independent verdicts on rates of p and 1 - p have the variance 2 p (1 - p).
        let better = 0.5 + resolvable(prompts, 0.7) / 2.0;
        let world = World { prompts, completions: 1, better, effect: 0.0 };
        let power = share_of_simulations(|stream| {
            let first = world.judged(judge, stream);
            let second = World { better: 1.0 - better, ..world }.judged(judge, stream);
            paired_difference(&first, &second).is_some_and(|difference| difference.is_resolved())
        });
        assert!((0.77..=0.83).contains(&power), "{power}");
    }
}
