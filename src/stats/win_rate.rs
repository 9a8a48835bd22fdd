//! Win rates of pairs that a judge saw in both orders. Judges favour positions (Wang et al. 2023, "Large Language Models are not
//! Fair Evaluators"), so a win counts only if both orders agree on it.

use super::clustered_proportion;
use serde::{Deserialize, Serialize};

/// What one order said of the policy's completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The policy's completion was preferred.
    Win,
    /// The baseline's completion was preferred.
    Loss,
    /// Neither was.
    Tie,
}

/// One pair, asked in both orders.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct JudgedPair {
    /// Cluster: pairs of one prompt are not independent.
    pub prompt: usize,
    /// Outcome with the policy's completion shown first.
    pub shown_first: Outcome,
    /// Outcome with it shown second.
    pub shown_second: Outcome,
    /// Length of the policy's completion less the baseline's, in tokens.
    pub length_difference: f64,
}

impl JudgedPair {
    /// What both orders say together: a win or a loss if they agree on it, else a tie.
    pub fn outcome(&self) -> Outcome {
        if self.shown_first == self.shown_second { self.shown_first } else { Outcome::Tie }
    }

    /// 1 for a win, 0 for a loss, 1/2 for a tie.
    pub fn score(&self) -> f64 {
        match self.outcome() {
            Outcome::Win => 1.0,
            Outcome::Loss => 0.0,
            Outcome::Tie => 0.5,
        }
    }

    /// Answers for the completion shown first less those for the one shown second, over both orders: from -2 to 2.
    fn answers_for_first(&self) -> f64 {
        let for_policy = |outcome| match outcome {
            Outcome::Win => 1.0,
            Outcome::Loss => -1.0,
            Outcome::Tie => 0.0,
        };
        for_policy(self.shown_first) - for_policy(self.shown_second)
    }
}

/// A policy's win rate against a baseline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WinRate {
    /// Number of pairs.
    pub n: usize,
    /// Pairs that both orders call a win.
    pub wins: usize,
    /// Pairs that both orders call a loss.
    pub losses: usize,
    /// All other pairs: ties, and orders that disagree.
    pub ties: usize,
    /// Mean score of the pairs.
    pub rate: f64,
    /// Lower end of the 95% interval, clustered by prompt ([`clustered_proportion`]).
    pub ci_low: f64,
    /// Upper end of the interval.
    pub ci_high: f64,
    /// Number of independent decided pairs that would be as certain; ties can lift it above `n`.
    pub effective_n: f64,
    /// Share of pairs whose two orders agree.
    pub order_consistency: f64,
    /// How much more often the completion shown first is preferred than the one shown second, over all pairs and orders: in
    /// [-1, 1], 0 without bias. A judge that answers "first" unread in a fifth of its calls has 0.2.
    pub position_bias: f64,
    /// Number of prompts.
    pub prompts: usize,
}

/// The win rate of judged pairs; nothing without pairs.
pub fn win_rate(pairs: &[JudgedPair]) -> Option<WinRate> {
    let scores: Vec<(usize, f64)> = pairs.iter().map(|pair| (pair.prompt, pair.score())).collect();
    let proportion = clustered_proportion(&scores)?;
    let count = |outcome| pairs.iter().filter(|pair| pair.outcome() == outcome).count();
    let n = pairs.len() as f64;
    let consistent = pairs.iter().filter(|pair| pair.shown_first == pair.shown_second).count();
    Some(WinRate {
        n: pairs.len(),
        wins: count(Outcome::Win),
        losses: count(Outcome::Loss),
        ties: count(Outcome::Tie),
        rate: proportion.share,
        ci_low: proportion.ci_low,
        ci_high: proportion.ci_high,
        effective_n: proportion.effective_n,
        order_consistency: consistent as f64 / n,
        position_bias: pairs.iter().map(JudgedPair::answers_for_first).sum::<f64>() / (2.0 * n),
        prompts: proportion.clusters,
    })
}

#[cfg(test)]
mod tests {
    use super::super::simulated_judge::{SimulatedJudge, World, share_of_simulations};
    use super::Outcome::{Loss, Tie, Win};
    use super::*;

    fn pair(prompt: usize, shown_first: Outcome, shown_second: Outcome) -> JudgedPair {
        JudgedPair { prompt, shown_first, shown_second, length_difference: 0.0 }
    }

    #[test]
    fn a_pair_is_won_or_lost_only_if_both_orders_say_so() {
        for first in [Win, Loss, Tie] {
            for second in [Win, Loss, Tie] {
                let wanted = match (first, second) {
                    (Win, Win) => 1.0,
                    (Loss, Loss) => 0.0,
                    _ => 0.5,
                };
                assert_eq!(pair(0, first, second).score(), wanted, "{first:?} {second:?}");
            }
        }
    }

    #[test]
    fn counts_rate_consistency_and_bias_are_those_worked_out_by_hand() {
        let pairs = [pair(0, Win, Win), pair(0, Win, Loss), pair(1, Loss, Loss), pair(1, Win, Win), pair(2, Tie, Win)];
        let rate = win_rate(&pairs).expect("a rate");
        assert_eq!((rate.n, rate.wins, rate.losses, rate.ties, rate.prompts), (5, 2, 1, 2, 3));
        // The second pair is twice for the completion shown first, the last once for the one shown second: (2 - 1) / 10.
        assert!((rate.rate - 0.6).abs() < 1e-12 && (rate.order_consistency - 0.6).abs() < 1e-12, "{rate:?}");
        assert!((rate.position_bias - 0.1).abs() < 1e-12, "{rate:?}");
    }

    #[test]
    fn a_judge_that_always_says_first_gives_half_and_full_bias() {
        let rate = win_rate(&[pair(0, Win, Loss); 7]).expect("a rate");
        assert_eq!((rate.rate, rate.order_consistency, rate.position_bias), (0.5, 0.0, 1.0));
        assert_eq!(win_rate(&[]), None);
    }

    /// Share of intervals that hold the judge's limit.
    fn coverage(judge: SimulatedJudge, world: World) -> f64 {
        let limit = judge.limit(world.better);
        share_of_simulations(|stream| {
            let rate = win_rate(&world.judged(judge, stream)).expect("a rate");
            rate.ci_low <= limit && limit <= rate.ci_high
        })
    }

    #[test]
    fn intervals_hold_a_judges_limit_in_95_of_100_studies() {
        for ties in [0.0, 0.2, 0.4] {
            for (accuracy, first_unread) in [(1.0, 0.0), (0.8, 0.0), (0.9, 0.2)] {
                let judge = SimulatedJudge { accuracy, first_unread, ties };
                for (prompts, completions, effect) in [(200, 1, 0.0), (100, 4, 0.3)] {
                    let world = World { prompts, completions, better: 0.6, effect };
                    let coverage = coverage(judge, world);
                    assert!((0.93..=0.97).contains(&coverage), "{judge:?} {world:?}: {coverage}");
                }
            }
        }
    }

    #[test]
    fn intervals_hold_with_few_prompts_with_few_decided_pairs_and_near_the_ends() {
        for (ties, better, prompts, completions, effect) in [
            (0.0, 0.6, 10, 4, 0.3),
            (0.4, 0.6, 10, 4, 0.3),
            (0.95, 0.6, 100, 1, 0.0),
            (0.95, 0.9, 50, 4, 0.1),
            (0.0, 0.95, 100, 1, 0.0),
            (0.4, 0.95, 50, 4, 0.05),
        ] {
            let judge = SimulatedJudge { accuracy: 1.0, first_unread: 0.0, ties };
            let world = World { prompts, completions, better, effect };
            let coverage = coverage(judge, world);
            assert!((0.93..=0.98).contains(&coverage), "{judge:?} {world:?}: {coverage}");
        }
    }
}
