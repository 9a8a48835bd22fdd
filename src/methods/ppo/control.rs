//! What a PPO run carries from one step to the next besides weights: the KL coefficient (Ziegler et al. 2019, section 2.2)
//! and the running moments of the scores. Both serialise, so that an interrupted run goes on as if nothing had happened.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// The largest relative error of the KL that moves the coefficient; larger ones count as this one.
const LARGEST_ERROR: f64 = 0.2;

/// The coefficient of the KL penalty: fixed, or moved towards a target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KlControl {
    coefficient: f64,
    target: Option<f64>,
    horizon: f64,
}

impl KlControl {
    /// A coefficient that starts here. With a target (nats a completion, above 0) it adapts, by at most a fifth every
    /// `horizon` samples; without one it is fixed.
    pub fn new(coefficient: f64, target: Option<f64>, horizon: f64) -> Self {
        KlControl { coefficient, target, horizon }
    }

    /// The coefficient of the next rollout.
    pub fn coefficient(&self) -> f64 {
        self.coefficient
    }

    /// Takes in the mean over a rollout of log pi_old(y | x) - log ref(y | x), in nats:
    /// coefficient *= 1 + clip(KL / target - 1, -.2, .2) samples / horizon. Fails if the KL is no number.
    pub fn update(&mut self, kl: f64, samples: usize) -> Result<()> {
        if !kl.is_finite() {
            return Err(Error::Other(format!(
                "the KL to the reference is {kl}: the policy has diverged; lower the learning rate or raise `kl_coefficient`"
            )));
        }
        if let Some(target) = self.target {
            let error = (kl / target - 1.0).clamp(-LARGEST_ERROR, LARGEST_ERROR);
            self.coefficient *= 1.0 + error * samples as f64 / self.horizon;
        }
        Ok(())
    }
}

/// Mean and variance of all scores so far (Welford 1962).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunningScores {
    count: u64,
    mean: f64,
    /// Sum of squared distances from the mean.
    squares: f64,
}

impl RunningScores {
    /// Takes in the scores of a rollout and returns them in deviations (with n - 1) from the mean of all scores so far,
    /// these included. While all scores are equal they become 0. Fails, and takes in nothing, if a score is no finite
    /// number; samples count from 1 in the message.
    pub fn normalise(&mut self, scores: &[f64]) -> Result<Vec<f64>> {
        if let Some((index, score)) = scores.iter().enumerate().find(|(_, score)| !score.is_finite()) {
            return Err(Error::Other(format!(
                "the score of sample {} of {} is {score}: check the reward that gave it",
                index + 1,
                scores.len()
            )));
        }
        scores.iter().for_each(|score| self.push(*score));
        let deviation = self.deviation();
        let normalised = |score: &f64| if deviation > 0.0 { (score - self.mean) / deviation } else { 0.0 };
        Ok(scores.iter().map(normalised).collect())
    }

    fn push(&mut self, score: f64) {
        self.count += 1;
        let distance = score - self.mean;
        self.mean += distance / self.count as f64;
        self.squares += distance * (score - self.mean);
    }

    /// Standard deviation of all scores so far (with n - 1); 0 with fewer than two.
    pub fn deviation(&self) -> f64 {
        (self.squares / self.count.saturating_sub(1).max(1) as f64).sqrt()
    }

    /// Mean of all scores so far; 0 without any.
    pub fn mean(&self) -> f64 {
        self.mean
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::methods::ppo::advantages::mean_and_variance;
    use proptest::prelude::*;

    #[test]
    fn the_coefficient_follows_the_golden_values() {
        let mut control = KlControl::new(0.2, Some(6.0), 1e4);
        for kl in [9.0, 9.0, 3.0] {
            control.update(kl, 256).expect("a KL");
        }
        assert!((control.coefficient() - 0.201019).abs() < 5e-7, "{}", control.coefficient());
    }

    #[test]
    fn small_errors_count_as_they_are() {
        let mut control = KlControl::new(0.2, Some(6.0), 1000.0);
        control.update(6.6, 100).expect("a KL");
        assert!((control.coefficient() - 0.202).abs() < 1e-12);
        control.update(6.0, 100).expect("a KL");
        assert!((control.coefficient() - 0.202).abs() < 1e-12);
    }

    #[test]
    fn without_a_target_the_coefficient_is_fixed() {
        let mut control = KlControl::new(0.1, None, 1e4);
        control.update(50.0, 1024).expect("a KL");
        assert_eq!(control.coefficient(), 0.1);
    }

    #[test]
    fn a_kl_that_is_no_number_is_an_error_and_changes_nothing() {
        let mut control = KlControl::new(0.1, Some(6.0), 1e4);
        for kl in [f64::NAN, f64::INFINITY] {
            assert!(control.update(kl, 1024).is_err());
        }
        assert_eq!(control.coefficient(), 0.1);
    }

    #[test]
    fn the_first_rollout_is_normalised_by_itself() {
        let normalised = RunningScores::default().normalise(&[1.0, 2.0, 3.0]).expect("scores");
        assert_eq!(normalised, [-1.0, 0.0, 1.0]);
    }

    #[test]
    fn constant_scores_become_0() {
        let mut running = RunningScores::default();
        assert_eq!(running.normalise(&[0.1]).expect("a score"), [0.0]);
        assert_eq!(running.normalise(&[0.1; 5]).expect("scores"), [0.0; 5]);
        assert_eq!(running.normalise(&[]).expect("no scores"), Vec::<f64>::new());
    }

    #[test]
    fn a_score_that_is_no_number_is_named_and_not_taken_in() {
        let mut running = RunningScores::default();
        running.normalise(&[1.0, 3.0]).expect("scores");
        let before = running.clone();
        let message = running.normalise(&[1.0, f64::NAN, 2.0]).expect_err("a NaN").to_string();
        assert!(message.starts_with("the score of sample 2 of 3 is NaN"), "{message}");
        assert_eq!(running, before);
    }

    proptest! {
        #[test]
        fn running_moments_are_those_of_all_scores(
            rollouts in proptest::collection::vec(proptest::collection::vec(-9.0..9.0f64, 2..20), 1..5)
        ) {
            let mut running = RunningScores::default();
            for scores in &rollouts {
                running.normalise(scores).expect("scores");
            }
            let (mean, variance) = mean_and_variance(&rollouts.concat());
            prop_assert!((running.mean() - mean).abs() < 1e-10);
            prop_assert!((running.deviation() - variance.sqrt()).abs() < 1e-10);
        }

        #[test]
        fn state_that_is_written_and_read_is_the_same_to_the_digit(
            scores in proptest::collection::vec(-9.0..9.0f64, 6), kl in 0.0..20.0f64
        ) {
            let mut state = (RunningScores::default(), KlControl::new(0.2, Some(6.0), 1e4));
            state.0.normalise(&scores).expect("scores");
            state.1.update(kl, 256).expect("a KL");
            let written = serde_json::to_string(&state).expect("JSON");
            prop_assert_eq!(serde_json::from_str::<(RunningScores, KlControl)>(&written).expect("the state"), state);
        }
    }
}
