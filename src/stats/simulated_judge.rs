//! Judges of known accuracy and bias, whose limits are known: what the intervals are tested against.

use super::{JudgedPair, Outcome};
use crate::random::Stream;
use rayon::prelude::*;

/// A judge that errs at random, anew in each order.
#[derive(Clone, Copy, Debug)]
pub struct SimulatedJudge {
    /// How often an answer is right where the judge reads a pair it can tell apart.
    pub accuracy: f64,
    /// How often it answers "first" without reading.
    pub first_unread: f64,
    /// Share of pairs that it calls a tie in both orders.
    pub ties: f64,
}

impl SimulatedJudge {
    /// Expected score where the policy's completion is better in a share of pairs. An order is won with probability f + (1 - f) a
    /// shown first and (1 - f) a shown second, where it is better, so both are won or lost together with a difference of
    /// (1 - f) (2a - 1): the mean score is 1/2 + (1 - f) (2a - 1) / 2. Where it is worse, mirrored.
    pub fn limit(&self, better: f64) -> f64 {
        let towards_the_truth = (1.0 - self.ties) * (1.0 - self.first_unread) * (2.0 * self.accuracy - 1.0);
        0.5 + towards_the_truth * (better - 0.5)
    }

    /// Outcomes with the policy's completion shown first and second.
    pub fn outcomes(&self, is_better: bool, stream: &mut Stream) -> (Outcome, Outcome) {
        if stream.uniform() < self.ties {
            return (Outcome::Tie, Outcome::Tie);
        }
        let mut order = |is_first: bool| {
            let wins =
                if stream.uniform() < self.first_unread { is_first } else { (stream.uniform() < self.accuracy) == is_better };
            if wins { Outcome::Win } else { Outcome::Loss }
        };
        (order(true), order(false))
    }
}

/// What is judged.
#[derive(Clone, Copy, Debug)]
pub struct World {
    /// Number of prompts.
    pub prompts: usize,
    /// Completions, and so pairs, of a prompt.
    pub completions: usize,
    /// Share of pairs in which the policy's completion is better, over all prompts.
    pub better: f64,
    /// That share is higher by this on half of all prompts, and lower on the other half.
    pub effect: f64,
}

impl World {
    /// Pairs with the judge's outcomes; no length differences.
    pub fn judged(&self, judge: SimulatedJudge, stream: &mut Stream) -> Vec<JudgedPair> {
        let effects = self.effects(stream);
        self.judged_with(judge, &effects, stream)
    }

    /// The effect of each prompt.
    pub fn effects(&self, stream: &mut Stream) -> Vec<f64> {
        (0..self.prompts).map(|_| if stream.uniform() < 0.5 { self.effect } else { -self.effect }).collect()
    }

    /// Pairs of prompts with these effects.
    pub fn judged_with(&self, judge: SimulatedJudge, effects: &[f64], stream: &mut Stream) -> Vec<JudgedPair> {
        let mut pairs = Vec::with_capacity(self.prompts * self.completions);
        for (prompt, effect) in effects.iter().enumerate() {
            for _ in 0..self.completions {
                let is_better = stream.uniform() < self.better + effect;
                let (shown_first, shown_second) = judge.outcomes(is_better, stream);
                pairs.push(JudgedPair { prompt, shown_first, shown_second, length_difference: 0.0 });
            }
        }
        pairs
    }
}

/// Share of 1,000 simulated studies of which something is true, each with a random stream of its own.
pub fn share_of_simulations(is_true: impl Fn(&mut Stream) -> bool + Sync) -> f64 {
    let simulate = |row: u64| is_true(&mut Stream::new(0, 0, "simulated studies", row));
    (0..1000u64).into_par_iter().filter(|row| simulate(*row)).count() as f64 / 1000.0
}
