//! Proximal policy optimisation with a KL penalty (Schulman et al. 2017; Ziegler et al. 2019; Stiennon et al. 2020): its
//! parameters, and everything of it that is a pure function.
//!
//! ```text
//! scores -> control (normalised) -> advantages (rewards, GAE, whitened) -> losses (policy, value) -> statistics
//! ```

pub mod advantages;
pub mod control;
pub mod losses;
mod preset;
pub mod statistics;
#[cfg(test)]
mod tests;

pub use advantages::Estimator;

use super::{Parameters, Role, must_be_positive};
use serde::{Deserialize, Serialize};

/// `[method.ppo]`, with every default filled in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "preset::Written")]
pub struct Ppo {
    /// Where the defaults of the other keys come from.
    pub preset: Preset,
    /// What scores a completion; left to the method's name where absent.
    pub reward: Option<RewardSource>,
    /// KL(pi || ref) of a completion, in nats, that the coefficient is moved towards; the coefficient is fixed without it.
    pub target_kl: Option<f64>,
    /// The KL penalty's coefficient, or where it starts.
    pub kl_coefficient: f64,
    /// Samples in which an adaptive coefficient changes by at most a fifth.
    pub kl_horizon: f64,
    /// Completions sampled for a step.
    pub rollouts: usize,
    /// Completions of a rollout that one update of the weights sees.
    pub minibatch: usize,
    /// Passes over a rollout.
    pub epochs: usize,
    /// Discount of later rewards.
    pub gamma: f64,
    /// Decay of generalised advantage estimation: 1 is Monte Carlo, 0 one step.
    pub lambda: f64,
    /// The policy's ratio to the old one is clipped to 1 +- this.
    pub clip: f64,
    /// A value is clipped to the old one +- this.
    pub value_clip: f64,
    /// Weight of the value loss beside the policy loss.
    pub value_coefficient: f64,
    /// Whether scores are shifted and scaled by the mean and deviation of all scores so far.
    pub normalise_scores: bool,
    /// Completions sampled for each prompt of a step.
    pub samples_per_prompt: usize,
    /// How advantages are estimated.
    pub advantages: Estimator,
}

/// The two PPOs of the paper's figure 2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// The paper's own: 1024 samples a step, normalised scores.
    #[default]
    Own,
    /// What the library of the time did when left alone (TRL 0.4).
    OffTheShelf,
}

/// What scores a completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RewardSource {
    /// The reward model that was trained on the study's preferences.
    Learned,
    /// The study's true reward.
    True,
}

impl Parameters for Ppo {
    fn role(&self) -> Role<'_> {
        Role::Reinforce(self)
    }

    fn problems(&self) -> Vec<(&'static str, String, String)> {
        Ppo::problems(self)
    }
}

impl Ppo {
    /// Whether completions are scored by the true reward.
    pub fn uses_true_reward(&self) -> bool {
        self.reward == Some(RewardSource::True)
    }

    /// The beta whose optimum it aims at: a fixed coefficient of the KL penalty beside true rewards as they are.
    pub fn optimum_beta(&self) -> Option<f64> {
        let plain = self.uses_true_reward() && self.target_kl.is_none() && !self.normalise_scores;
        (plain && self.kl_coefficient > 0.0).then_some(self.kl_coefficient)
    }

    /// Values out of range: key, what is wrong, what to do.
    fn problems(&self) -> Vec<(&'static str, String, String)> {
        let counts = [
            ("rollouts", self.rollouts, "the paper uses 1024"),
            ("minibatch", self.minibatch, "a quarter of `rollouts` is usual"),
            ("epochs", self.epochs, "4 is usual"),
            ("samples_per_prompt", self.samples_per_prompt, "1 is usual for PPO"),
        ];
        let none = |(key, value, hint): (&'static str, usize, &str)| {
            (value == 0).then(|| (key, format!("`{key}` must be at least 1"), hint.to_owned()))
        };
        let shares = [("gamma", self.gamma, "1 is usual: completions are short"), ("lambda", self.lambda, "0.95 is usual")];
        let outside = |(key, value, hint): (&'static str, f64, &str)| {
            let what = || format!("`{key}` must lie in [0, 1], not {value}");
            (!(0.0..=1.0).contains(&value)).then(|| (key, what(), hint.to_owned()))
        };
        let positive = [
            must_be_positive("clip", self.clip, "0.2 is usual"),
            must_be_positive("value_clip", self.value_clip, "0.2 is usual"),
            must_be_positive("value_coefficient", self.value_coefficient, "0.1 is usual"),
            must_be_positive("kl_horizon", self.kl_horizon, "10000 is usual"),
        ];
        let mut problems: Vec<_> = counts.into_iter().filter_map(none).collect();
        problems.extend(shares.into_iter().filter_map(outside));
        problems.extend(positive.into_iter().flatten());
        problems.extend(self.rollout_problems());
        problems.extend(self.kl_problems());
        let alone = self.advantages != Estimator::Generalised && self.samples_per_prompt < 2;
        problems.extend(alone.then(|| {
            let what = "these `advantages` compare completions of one prompt, and each prompt has only one";
            ("samples_per_prompt", what.to_owned(), "set samples_per_prompt = 4, say".to_owned())
        }));
        problems
    }

    /// Rollouts that cannot be cut into minibatches or prompts.
    fn rollout_problems(&self) -> Vec<(&'static str, String, String)> {
        let Ppo { rollouts, minibatch, samples_per_prompt: samples, .. } = *self;
        let large = (minibatch > rollouts && rollouts > 0).then(|| {
            let what = format!("`minibatch` must not exceed `rollouts`: {minibatch} of {rollouts}");
            ("minibatch", what, format!("use at most {rollouts}"))
        });
        let uneven = (samples > 0 && !rollouts.is_multiple_of(samples)).then(|| {
            let what = format!("`rollouts` must be a multiple of `samples_per_prompt`: {rollouts} is none of {samples}");
            ("rollouts", what, format!("{} is the next one", rollouts.next_multiple_of(samples)))
        });
        large.into_iter().chain(uneven).collect()
    }

    /// KL penalties that are none, or that could change their sign.
    fn kl_problems(&self) -> Vec<(&'static str, String, String)> {
        let Some(target) = self.target_kl else {
            let fixed = self.kl_coefficient >= 0.0 && self.kl_coefficient.is_finite();
            let what = || format!("`kl_coefficient` must be at least 0, not {}", self.kl_coefficient);
            let hint = || "0.05 to 0.2 is usual".to_owned();
            return (!fixed).then(|| ("kl_coefficient", what(), hint())).into_iter().collect();
        };
        let least = self.rollouts as f64 / 5.0;
        let short = (self.kl_horizon > 0.0 && self.kl_horizon <= least).then(|| {
            let what = format!("`kl_horizon` must be greater than `rollouts` / 5 = {least}, not {}", self.kl_horizon);
            ("kl_horizon", what, "a step could otherwise turn the KL penalty into a reward; 10000 is usual".to_owned())
        });
        let positive = [
            must_be_positive("target_kl", target, "the paper uses 3 to 12; leave it out for a fixed coefficient"),
            must_be_positive("kl_coefficient", self.kl_coefficient, "an adaptive one is scaled and stays 0 if it starts there"),
        ];
        positive.into_iter().flatten().chain(short).collect()
    }
}

#[cfg(test)]
mod parameter_tests {
    use super::*;

    fn read(toml: &str) -> Ppo {
        toml::from_str(toml).expect("parameters")
    }

    /// The keys that are complained about.
    fn wrong(toml: &str) -> Vec<&'static str> {
        read(toml).problems().into_iter().map(|(key, ..)| key).collect()
    }

    #[test]
    fn defaults_follow_the_preset_and_every_key_can_be_set() {
        assert_eq!(read(""), Ppo::preset(Preset::Own));
        let own = read("target_kl = 3.0\nreward = 'true'\nminibatch = 64");
        let expected = Ppo { target_kl: Some(3.0), reward: Some(RewardSource::True), minibatch: 64, ..Ppo::preset(Preset::Own) };
        assert_eq!(own, expected);
        let shelf = read("preset = 'off-the-shelf'\nepochs = 1");
        assert_eq!(shelf, Ppo { epochs: 1, ..Ppo::preset(Preset::OffTheShelf) });
        let seen = (shelf.target_kl, shelf.kl_coefficient, shelf.rollouts, shelf.minibatch, shelf.normalise_scores);
        assert_eq!(seen, (Some(6.0), 0.2, 256, 16, false));
        assert_eq!(read("preset = 'off-the-shelf'\ntarget_kl = 9.0").target_kl, Some(9.0));
    }

    #[test]
    fn unknown_keys_are_refused() {
        assert!(toml::from_str::<Ppo>("cliprange = 0.2").is_err());
        assert!(toml::from_str::<Ppo>("preset = 'other'").is_err());
    }

    #[test]
    fn what_is_written_out_holds_every_default_and_reads_back_as_itself() {
        for text in ["", "preset = 'off-the-shelf'", "target_kl = 3.0\nreward = 'learned'\ngamma = 0.9"] {
            let parameters = read(text);
            let json = serde_json::to_value(&parameters).expect("JSON");
            assert_eq!(json.as_object().expect("an object").len(), 16);
            assert_eq!(serde_json::from_value::<Ppo>(json).expect("parameters"), parameters);
        }
    }

    #[test]
    fn the_presets_have_no_problems() {
        for preset in [Preset::Own, Preset::OffTheShelf] {
            assert_eq!(Ppo::preset(preset).problems(), vec![]);
        }
        assert!(wrong("gamma = 0.0\nlambda = 0.0\nkl_coefficient = 0.0\nrollouts = 8\nminibatch = 8").is_empty());
    }

    #[test]
    fn every_value_out_of_range_is_named() {
        for (text, key) in [
            ("target_kl = 0.0", "target_kl"),
            ("target_kl = nan", "target_kl"),
            ("target_kl = 6.0\nkl_coefficient = 0.0", "kl_coefficient"),
            ("kl_coefficient = -0.1", "kl_coefficient"),
            ("kl_coefficient = inf", "kl_coefficient"),
            ("kl_horizon = 0.0", "kl_horizon"),
            ("target_kl = 6.0\nkl_horizon = 204.8", "kl_horizon"),
            ("minibatch = 1025", "minibatch"),
            ("minibatch = 0", "minibatch"),
            ("rollouts = 0", "rollouts"),
            ("epochs = 0", "epochs"),
            ("samples_per_prompt = 0", "samples_per_prompt"),
            ("samples_per_prompt = 3", "rollouts"),
            ("gamma = 1.1", "gamma"),
            ("lambda = -0.1", "lambda"),
            ("clip = 0.0", "clip"),
            ("value_clip = -1.0", "value_clip"),
            ("value_coefficient = 0.0", "value_coefficient"),
        ] {
            assert_eq!(wrong(text), [key], "{text}");
        }
    }

    #[test]
    fn an_uneven_rollout_is_told_the_next_even_one() {
        let problems = read("samples_per_prompt = 3").problems();
        assert_eq!(problems[0].2, "1026 is the next one");
    }
}
