//! Length-controlled win rates: what the rate would be if the policy's completions were as long as the baseline's.
//!
//! Source: length-controlled AlpacaEval (Dubois et al. 2024, "Length-Controlled AlpacaEval: A Simple Way to Debias Automatic
//! Evaluators"). It regresses preferences on tanh of the length difference over its standard deviation, and reads the fit at a
//! difference of 0. Its third term, the difficulty of an instruction, is left out: it is estimated from many policies at once.

use super::student::student;
use super::{JudgedPair, Mean, clustered_mean};

/// Penalty of half the squared slope, in nats. A judge that looks at nothing but length separates wins from losses, and would
/// make the slope infinite. The penalty pulls the rate of such a judge away from 1/2, so it is small: with 0.1, 400 pairs
/// give 0.53 on average, with this 0.51.
const RIDGE: f64 = 0.001;
/// Newton steps before a fit is given up.
const STEPS: usize = 200;

/// A win rate at equal lengths.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LengthControlled {
    /// The rate.
    pub rate: f64,
    /// Lower end of the 95% interval, clustered by prompt.
    pub ci_low: f64,
    /// Upper end of the interval.
    pub ci_high: f64,
}

/// The win rate of pairs at a length difference of 0: sigma(a) of E[score] = sigma(a + b tanh(d / sd(d))), d the length
/// difference. Differences are scaled but not centred, since 0 has to stay the point of equal lengths.
///
/// The interval is Student's on the logit, mapped to the rate. Its error is the sandwich's with scores summed by prompt (Liang
/// and Zeger 1986), which scores of 1/2 do not upset.
///
/// Nothing where there is nothing to fit: fewer than 3 prompts, equal scores of all pairs, equal length differences of all
/// pairs, or a length that is not finite.
pub fn length_controlled(pairs: &[JudgedPair]) -> Option<LengthControlled> {
    let n = pairs.len() as f64;
    let mean = pairs.iter().map(|pair| pair.length_difference).sum::<f64>() / n;
    let deviation = (pairs.iter().map(|pair| (pair.length_difference - mean).powi(2)).sum::<f64>() / n).sqrt();
    let scores_differ = pairs.windows(2).any(|pair| pair[0].score() != pair[1].score());
    if !(deviation.is_finite() && deviation > 0.0 && scores_differ) {
        return None;
    }
    let rows: Vec<(f64, f64)> = pairs.iter().map(|pair| ((pair.length_difference / deviation).tanh(), pair.score())).collect();
    let fit = Fit::new(&rows)?;

    // The sandwich's entry for the intercept is the sum of squared influences of prompts on it: the error of a clustered sum.
    let influences = pairs.iter().zip(&rows).map(|(pair, row)| (pair.prompt, n * fit.influence(*row)));
    let Mean { se, clusters, .. } = clustered_mean(influences);
    if clusters < 3 {
        return None;
    }
    let half = student(clusters - 2) * se * ((n - 1.0) / (n - 2.0)).sqrt();
    let [intercept, _] = fit.coefficients;
    Some(LengthControlled { rate: sigma(intercept), ci_low: sigma(intercept - half), ci_high: sigma(intercept + half) })
}

fn sigma(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}

/// A logistic regression of scores in [0, 1] on one variable.
struct Fit {
    /// Intercept and slope.
    coefficients: [f64; 2],
    /// Of the negative log-likelihood with its penalty, at the coefficients: the entries for (intercept, intercept),
    /// (intercept, slope), (slope, slope).
    hessian: [f64; 3],
}

impl Fit {
    /// The fit to (variable, score) rows, with |variable| <= 1; nothing if it does not converge.
    ///
    /// Newton steps are shortened to ln(1 + r) / r, with r a bound of how far a step moves any logit. That is the damping with
    /// which Newton's method converges on logistic losses from any start (Sun and Tran-Dinh 2019).
    fn new(rows: &[(f64, f64)]) -> Option<Fit> {
        let mut fit = Fit { coefficients: [0.0; 2], hessian: [0.0; 3] };
        for _ in 0..STEPS {
            let [intercept, slope] = fit.coefficients;
            let (mut gradient, mut hessian) = ([0.0, -RIDGE * slope], [0.0, 0.0, RIDGE]);
            for (x, score) in rows {
                let probability = sigma(intercept + slope * x);
                let weight = probability * (1.0 - probability);
                gradient[0] += score - probability;
                gradient[1] += (score - probability) * x;
                hessian[0] += weight;
                hessian[1] += weight * x;
                hessian[2] += weight * x * x;
            }
            fit.hessian = hessian;
            let step = fit.solve(gradient);
            let reach = step[0].abs() + step[1].abs();
            if !reach.is_finite() {
                return None;
            }
            if reach < 1e-10 {
                return Some(fit);
            }
            let damping = reach.ln_1p() / reach;
            fit.coefficients = [intercept + damping * step[0], slope + damping * step[1]];
        }
        None
    }

    /// hessian^-1 vector.
    fn solve(&self, [v0, v1]: [f64; 2]) -> [f64; 2] {
        let [h00, h01, h11] = self.hessian;
        let determinant = h00 * h11 - h01 * h01;
        [(h11 * v0 - h01 * v1) / determinant, (h00 * v1 - h01 * v0) / determinant]
    }

    /// How far a row pulls the intercept, in logits.
    fn influence(&self, (x, score): (f64, f64)) -> f64 {
        let [intercept, slope] = self.coefficients;
        let residual = score - sigma(intercept + slope * x);
        self.solve([residual, residual * x])[0]
    }
}

#[cfg(test)]
mod tests {
    use super::super::simulated_judge::share_of_simulations;
    use super::super::{Outcome, win_rate};
    use super::*;
    use crate::random::Stream;

    fn pair(prompt: usize, outcome: Outcome, length_difference: f64) -> JudgedPair {
        JudgedPair { prompt, shown_first: outcome, shown_second: outcome, length_difference }
    }

    /// A judge whose limit at a length difference d (normal, with mean 15 and deviation 20 tokens) is sigma(a + b tanh(d / 20)).
    /// Every second pair shares its luck with those of its prompt.
    struct LengthJudge {
        intercept: f64,
        slope: f64,
        /// Share of the less likely outcome that ends in a tie, as does as much of the other.
        ties: f64,
    }

    impl LengthJudge {
        fn judged(&self, prompts: usize, completions: usize, stream: &mut Stream) -> Vec<JudgedPair> {
            let mut pairs = Vec::new();
            for prompt in 0..prompts {
                let shared = stream.uniform();
                for _ in 0..completions {
                    let length_difference = 15.0 + 20.0 * stream.normal();
                    let limit = sigma(self.intercept + self.slope * (length_difference / 20.0).tanh());
                    let level = if stream.uniform() < 0.5 { shared } else { stream.uniform() };
                    // Ties take as much from wins as from losses, so that the expected score stays the limit.
                    let tie_half = self.ties * limit.min(1.0 - limit);
                    let outcome = match level {
                        level if level < limit - tie_half => Outcome::Win,
                        level if level < limit + tie_half => Outcome::Tie,
                        _ => Outcome::Loss,
                    };
                    pairs.push(pair(prompt, outcome, length_difference));
                }
            }
            pairs
        }
    }

    #[test]
    fn two_lengths_are_solved_in_closed_form() {
        // Length differences of +-1: x = +-tanh(1). Of 1000 longer ones 800 win, of 1000 shorter ones 600: without the ridge the
        // intercept is the mean of logit(0.8) and logit(0.6).
        let count = |i: usize, wins: usize, d: f64| pair(i, if i % 1000 < wins { Outcome::Win } else { Outcome::Loss }, d);
        let pairs: Vec<JudgedPair> = (0..2000).map(|i| if i < 1000 { count(i, 800, 1.0) } else { count(i, 600, -1.0) }).collect();
        let controlled = length_controlled(&pairs).expect("a rate");
        let logit = (4f64.ln() + 1.5f64.ln()) / 2.0;
        assert!((controlled.rate - sigma(logit)).abs() < 1e-4, "{controlled:?}");
        // The intercept's variance: a quarter of the sum of both logits' variances, 1 / (1000 p (1 - p)).
        let half = 1.96 * (0.25 * (1.0 / 160.0 + 1.0 / 240.0f64)).sqrt();
        assert!((controlled.ci_low - sigma(logit - half)).abs() < 2e-4, "{controlled:?}");
        assert!((controlled.ci_high - sigma(logit + half)).abs() < 2e-4, "{controlled:?}");
    }

    #[test]
    fn a_judge_that_only_looks_at_length_comes_out_near_one_half() {
        let controlled = |row: u64| {
            let mut stream = Stream::new(0, 0, "test", row);
            let judged = |prompt| {
                let d = (15.0 + 20.0 * stream.normal()).round();
                let outcome = if d == 0.0 {
                    Outcome::Tie
                } else if d > 0.0 {
                    Outcome::Win
                } else {
                    Outcome::Loss
                };
                pair(prompt, outcome, d)
            };
            let pairs: Vec<JudgedPair> = (0..400).map(judged).collect();
            assert!(win_rate(&pairs).expect("a rate").rate > 0.7);
            length_controlled(&pairs).expect("a rate")
        };
        let rates: Vec<LengthControlled> = (0..100).map(controlled).collect();
        let mean = rates.iter().map(|controlled| controlled.rate).sum::<f64>() / 100.0;
        let held = rates.iter().filter(|controlled| controlled.ci_low <= 0.5 && 0.5 <= controlled.ci_high).count();
        assert!((mean - 0.5).abs() < 0.02 && held >= 90, "{mean} {held}");
    }

    #[test]
    fn a_judge_that_ignores_length_is_left_alone() {
        for row in 0..20 {
            let judge = LengthJudge { intercept: 0.5, slope: 0.0, ties: 0.2 };
            let pairs = judge.judged(400, 1, &mut Stream::new(0, 0, "test", row));
            let (plain, controlled) = (win_rate(&pairs).expect("a rate"), length_controlled(&pairs).expect("a rate"));
            assert!((plain.rate - controlled.rate).abs() < 0.06, "{plain:?} {controlled:?}");
            assert!(controlled.ci_low < plain.rate && plain.rate < controlled.ci_high, "{plain:?} {controlled:?}");
        }
    }

    #[test]
    fn intervals_hold_the_rate_at_equal_lengths_in_95_of_100_studies() {
        for (intercept, slope, ties) in [(0.0, 2.0, 0.0), (0.4, 1.0, 0.4), (-0.8, 0.0, 0.2)] {
            for (prompts, completions) in [(200, 1), (100, 4), (30, 4)] {
                let judge = LengthJudge { intercept, slope, ties };
                let coverage = share_of_simulations(|stream| {
                    let controlled = length_controlled(&judge.judged(prompts, completions, stream)).expect("a rate");
                    controlled.ci_low <= sigma(intercept) && sigma(intercept) <= controlled.ci_high
                });
                let case = format!("{intercept} {slope} {ties} {prompts} {completions}");
                assert!((0.93..=0.97).contains(&coverage), "{case}: {coverage}");
            }
        }
    }

    #[test]
    fn where_there_is_nothing_to_fit_there_is_no_rate() {
        let of = |rows: &[(usize, Outcome, f64)]| {
            let pairs: Vec<JudgedPair> = rows.iter().map(|(prompt, outcome, d)| pair(*prompt, *outcome, *d)).collect();
            length_controlled(&pairs)
        };
        use Outcome::{Loss, Tie, Win};
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[(0, Win, 1.0), (1, Win, 2.0), (2, Win, -3.0)]), None, "all pairs are won");
        assert_eq!(of(&[(0, Tie, 1.0), (1, Tie, 2.0), (2, Tie, -3.0)]), None, "all pairs tie");
        assert_eq!(of(&[(0, Win, 4.0), (1, Loss, 4.0), (2, Win, 4.0)]), None, "lengths differ alike");
        assert_eq!(of(&[(0, Win, 1.0), (1, Loss, 2.0), (1, Win, -3.0)]), None, "two prompts");
        assert_eq!(of(&[(0, Win, f64::NAN), (1, Loss, 2.0), (2, Win, -3.0)]), None, "no length");
        assert!(of(&[(0, Win, 1.0), (1, Loss, 2.0), (2, Win, -3.0)]).is_some());
    }
}
