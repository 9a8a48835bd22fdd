//! How far a judge can be believed, measured on pairs whose better completion is known, and win rates corrected for its errors
//! (Rogan and Gladen 1978, with sensitivity and specificity equal).

use super::{JudgedPair, WinRate, clustered_mean, win_rate};
use serde::{Deserialize, Serialize};

/// A judge measured on labelled pairs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Number of labelled pairs.
    pub pairs: usize,
    /// Number of prompts.
    pub prompts: usize,
    /// Mean score of the completion labelled better, over both orders. Ties and orders that disagree count 1/2, as in a win rate.
    pub accuracy: f64,
    /// Its standard error, clustered by prompt.
    pub se: f64,
    /// Lower end of the accuracy's 95% interval.
    pub ci_low: f64,
    /// Upper end of the interval.
    pub ci_high: f64,
    /// Share of pairs whose two orders agree.
    pub both_order_consistency: f64,
    /// As in [`WinRate`].
    pub position_bias: f64,
}

/// A win rate without the judge's errors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CorrectedRate {
    /// The rate, in [0, 1].
    pub rate: f64,
    /// Lower end of the 95% interval, which holds the errors of the win rate and of the judge's accuracy.
    pub ci_low: f64,
    /// Upper end of the interval.
    pub ci_high: f64,
}

/// Measures a judge on labelled pairs: each with the completion that is labelled better in the policy's place. Nothing without
/// pairs.
pub fn calibrate(labelled: &[JudgedPair]) -> Option<Calibration> {
    let measured = win_rate(labelled)?;
    Some(Calibration {
        pairs: measured.n,
        prompts: measured.prompts,
        accuracy: measured.rate,
        se: clustered_mean(labelled.iter().map(|pair| (pair.prompt, pair.score()))).se,
        ci_low: measured.ci_low,
        ci_high: measured.ci_high,
        both_order_consistency: measured.order_consistency,
        position_bias: measured.position_bias,
    })
}

impl Calibration {
    /// The share p of pairs in which the policy's completion is better, from the win rate w and the accuracy a:
    /// w = p a + (1 - p) (1 - a), so p = (w - (1 - a)) / (2a - 1).
    ///
    /// Both rates count orders that disagree as 1/2, and the correction holds for them as it does for single answers. A judge
    /// that is right with probability a in each order has the limit 1/2 + (a^2 - (1 - a)^2) / 2 = a on a labelled pair: at
    /// a = 0.8 and p = 0.6 the rate is 0.56, and 0.6 corrected. One that answers "first" unread in 20% of its calls, and is right
    /// otherwise, scores 0.9 on labelled pairs: its rate is 0.9 p + 0.1 (1 - p) = 0.8 p + 0.1, and p corrected.
    ///
    /// It assumes that the judge is as good on these pairs as on the labelled ones, whichever completion is better.
    ///
    /// The interval is Fieller's (1954) for the ratio p - 1/2 = (w - 1/2) / (2a - 1), on the centres and half-widths of the two
    /// rates' own intervals. To first order it is the delta method's, with the variance (se_w^2 + (1 - 2p)^2 se_a^2) / (2a - 1)^2,
    /// but it stays right where 2a - 1 is small beside its error, and where every labelled pair was judged right. It holds the
    /// rate always.
    ///
    /// Nothing where the accuracy's interval reaches down to 1/2: then no win rate says anything about p.
    pub fn corrected(&self, measured: &WinRate) -> Option<CorrectedRate> {
        if self.ci_low <= 0.5 {
            return None;
        }
        let rate = 0.5 + (measured.rate - 0.5) / (2.0 * self.accuracy - 1.0);
        let (excess, excess_error) = centre_and_half(measured.ci_low - 0.5, measured.ci_high - 0.5);
        let (skill, skill_error) = centre_and_half(2.0 * self.ci_low - 1.0, 2.0 * self.ci_high - 1.0);

        // The q with (excess - q skill)^2 <= excess_error^2 + q^2 skill_error^2. An accuracy clearly above 1/2 makes `squared`
        // positive, and so the set an interval.
        let squared = skill.powi(2) - skill_error.powi(2);
        let root = (excess_error.powi(2) * squared + (excess * skill_error).powi(2)).sqrt();
        let end = |root: f64| (0.5 + (excess * skill + root) / squared).clamp(0.0, 1.0);
        Some(CorrectedRate { rate: rate.clamp(0.0, 1.0), ci_low: end(-root), ci_high: end(root) })
    }
}

fn centre_and_half(low: f64, high: f64) -> (f64, f64) {
    ((low + high) / 2.0, (high - low) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::super::simulated_judge::{SimulatedJudge, World, share_of_simulations};
    use super::*;
    use crate::random::Stream;
    use proptest::prelude::*;

    fn measured(rate: f64, ci_low: f64, ci_high: f64) -> WinRate {
        WinRate {
            n: 0,
            wins: 0,
            losses: 0,
            ties: 0,
            rate,
            ci_low,
            ci_high,
            effective_n: 0.0,
            order_consistency: 1.0,
            position_bias: 0.0,
            prompts: 0,
        }
    }

    fn calibration(accuracy: f64, ci_low: f64, ci_high: f64) -> Calibration {
        let se = (ci_high - ci_low) / 3.92;
        Calibration { pairs: 0, prompts: 0, accuracy, se, ci_low, ci_high, both_order_consistency: 1.0, position_bias: 0.0 }
    }

    #[test]
    fn limits_and_their_corrections_are_those_worked_out_by_hand() {
        let noisy = SimulatedJudge { accuracy: 0.8, first_unread: 0.0, ties: 0.0 };
        assert!((noisy.limit(0.6) - 0.56).abs() < 1e-12 && (noisy.limit(1.0) - 0.8).abs() < 1e-12);
        let biased = SimulatedJudge { accuracy: 1.0, first_unread: 0.2, ties: 0.0 };
        for judge in [noisy, biased] {
            for better in [0.3, 0.6, 0.9] {
                let limit = judge.limit(better);
                assert!(judge.first_unread == 0.0 || (limit - (0.8 * better + 0.1)).abs() < 1e-12);
                let accuracy = judge.limit(1.0);
                let corrected = calibration(accuracy, accuracy - 0.01, accuracy + 0.01).corrected(&measured(limit, limit, limit));
                assert!((corrected.expect("a rate").rate - better).abs() < 1e-12, "{judge:?} {better}");
            }
        }
    }

    #[test]
    fn simulated_judges_reach_their_limits_in_both_orders() {
        for (judge, limit) in [
            (SimulatedJudge { accuracy: 0.8, first_unread: 0.0, ties: 0.0 }, 0.56),
            (SimulatedJudge { accuracy: 1.0, first_unread: 0.2, ties: 0.0 }, 0.58),
            (SimulatedJudge { accuracy: 0.8, first_unread: 0.2, ties: 0.25 }, 0.536),
        ] {
            let mut stream = Stream::new(0, 0, "test", 0);
            let world = World { prompts: 40_000, completions: 1, better: 0.6, effect: 0.0 };
            let rate = win_rate(&world.judged(judge, &mut stream)).expect("a rate");
            assert!((rate.rate - limit).abs() < 0.006 && (judge.limit(0.6) - limit).abs() < 1e-12, "{judge:?} {rate:?}");
            assert!((rate.position_bias - judge.first_unread * (1.0 - judge.ties)).abs() < 0.01, "{judge:?} {rate:?}");
        }
    }

    #[test]
    fn a_judge_that_is_known_exactly_only_stretches_the_interval() {
        let corrected = calibration(0.8, 0.8, 0.8).corrected(&measured(0.56, 0.50, 0.62)).expect("a rate");
        // (0.50 - 0.2) / 0.6 and (0.62 - 0.2) / 0.6.
        assert!((corrected.ci_low - 0.5).abs() < 1e-12 && (corrected.ci_high - 0.7).abs() < 1e-12, "{corrected:?}");
    }

    #[test]
    fn an_accuracy_that_is_nearly_known_adds_what_the_delta_method_says() {
        let (w, a, half_w, half_a): (f64, f64, f64, f64) = (0.7, 0.8, 0.001, 0.001);
        let corrected = calibration(a, a - half_a, a + half_a).corrected(&measured(w, w - half_w, w + half_w)).expect("a rate");
        let p: f64 = (w - 0.2) / 0.6;
        let half = (half_w.powi(2) + (1.0 - 2.0 * p).powi(2) * half_a.powi(2)).sqrt() / 0.6;
        assert!((corrected.ci_high - corrected.ci_low - 2.0 * half).abs() < 1e-3 * half, "{corrected:?} {half}");
    }

    #[test]
    fn a_judge_that_may_be_guessing_corrects_nothing() {
        assert_eq!(calibration(0.55, 0.49, 0.61).corrected(&measured(0.5, 0.4, 0.6)), None);
        assert_eq!(calibration(0.2, 0.1, 0.3).corrected(&measured(0.5, 0.4, 0.6)), None);
        assert!(calibration(0.55, 0.51, 0.59).corrected(&measured(0.5, 0.4, 0.6)).is_some());
        assert_eq!(calibrate(&[]), None);
    }

    #[test]
    fn corrected_intervals_hold_the_true_share_in_95_of_100_studies() {
        for (accuracy, first_unread, labelled) in [(0.8, 0.0, 200), (0.65, 0.0, 200), (1.0, 0.2, 100), (0.99, 0.0, 100)] {
            let judge = SimulatedJudge { accuracy, first_unread, ties: 0.0 };
            for (prompts, completions, better, effect) in [(200, 1, 0.6, 0.0), (100, 4, 0.75, 0.2)] {
                let labels = World { prompts: labelled, completions: 1, better: 1.0, effect: 0.0 };
                let world = World { prompts, completions, better, effect };
                let coverage = share_of_simulations(|stream| {
                    let calibration = calibrate(&labels.judged(judge, stream)).expect("a calibration");
                    let rate = win_rate(&world.judged(judge, stream)).expect("a rate");
                    let corrected = calibration.corrected(&rate).expect("a rate");
                    corrected.ci_low <= better && better <= corrected.ci_high
                });
                assert!((0.93..=0.98).contains(&coverage), "{judge:?} {world:?}: {coverage}");
            }
        }
    }

    proptest! {
        #[test]
        fn intervals_hold_the_corrected_rate(wins in 0..30usize, losses in 0..30usize, right in 20..60usize, wrong in 0..8usize) {
            use super::super::Outcome::{Loss, Win};
            let pairs = |outcome, count| {
                vec![JudgedPair { prompt: 0, shown_first: outcome, shown_second: outcome, length_difference: 0.0 }; count]
            };
            let numbered = |pairs: Vec<JudgedPair>| -> Vec<JudgedPair> {
                pairs.into_iter().enumerate().map(|(prompt, pair)| JudgedPair { prompt, ..pair }).collect()
            };
            let calibration = calibrate(&numbered([pairs(Win, right), pairs(Loss, wrong)].concat())).expect("a calibration");
            let rate = win_rate(&numbered([pairs(Win, wins + 1), pairs(Loss, losses)].concat())).expect("a rate");
            if let Some(corrected) = calibration.corrected(&rate) {
                prop_assert!(0.0 <= corrected.ci_low && corrected.ci_high <= 1.0);
                prop_assert!(corrected.ci_low <= corrected.rate && corrected.rate <= corrected.ci_high, "{corrected:?}");
            }
        }
    }
}
