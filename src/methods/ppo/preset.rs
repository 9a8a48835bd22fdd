//! `[method.ppo]` as it is written: what is left out follows the preset.

use super::{Estimator, Ppo, Preset, RewardSource};
use serde::Deserialize;

/// The keys of `[method.ppo]`; an absent one takes its preset's value.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    #[serde(default)]
    preset: Preset,
    reward: Option<RewardSource>,
    target_kl: Option<f64>,
    kl_coefficient: Option<f64>,
    kl_horizon: Option<f64>,
    rollouts: Option<usize>,
    minibatch: Option<usize>,
    epochs: Option<usize>,
    gamma: Option<f64>,
    lambda: Option<f64>,
    clip: Option<f64>,
    value_clip: Option<f64>,
    value_coefficient: Option<f64>,
    normalise_scores: Option<bool>,
    samples_per_prompt: Option<usize>,
    #[serde(default)]
    advantages: Estimator,
}

impl From<Written> for Ppo {
    fn from(written: Written) -> Ppo {
        let defaults = Ppo::preset(written.preset);
        Ppo {
            preset: written.preset,
            reward: written.reward.or(defaults.reward),
            target_kl: written.target_kl.or(defaults.target_kl),
            kl_coefficient: written.kl_coefficient.unwrap_or(defaults.kl_coefficient),
            kl_horizon: written.kl_horizon.unwrap_or(defaults.kl_horizon),
            rollouts: written.rollouts.unwrap_or(defaults.rollouts),
            minibatch: written.minibatch.unwrap_or(defaults.minibatch),
            epochs: written.epochs.unwrap_or(defaults.epochs),
            gamma: written.gamma.unwrap_or(defaults.gamma),
            lambda: written.lambda.unwrap_or(defaults.lambda),
            clip: written.clip.unwrap_or(defaults.clip),
            value_clip: written.value_clip.unwrap_or(defaults.value_clip),
            value_coefficient: written.value_coefficient.unwrap_or(defaults.value_coefficient),
            normalise_scores: written.normalise_scores.unwrap_or(defaults.normalise_scores),
            samples_per_prompt: written.samples_per_prompt.unwrap_or(defaults.samples_per_prompt),
            advantages: written.advantages,
        }
    }
}

impl Ppo {
    /// A preset with nothing changed.
    pub fn preset(preset: Preset) -> Ppo {
        let own = Ppo {
            preset,
            reward: None,
            target_kl: None,
            kl_coefficient: 0.1,
            kl_horizon: 10_000.0,
            rollouts: 1024,
            minibatch: 256,
            epochs: 4,
            gamma: 1.0,
            lambda: 0.95,
            clip: 0.2,
            value_clip: 0.2,
            value_coefficient: 0.1,
            normalise_scores: true,
            samples_per_prompt: 1,
            advantages: Estimator::Generalised,
        };
        match preset {
            Preset::Own => own,
            Preset::OffTheShelf => {
                Ppo { target_kl: Some(6.0), kl_coefficient: 0.2, rollouts: 256, minibatch: 16, normalise_scores: false, ..own }
            }
        }
    }
}
