//! A trained policy as its own reward model: the completion with the greater log pi(y|x) - log pi_ref(y|x) is preferred
//! (Rafailov et al. 2023, section 5.1; beta does not change which one that is).

use super::reward_model::{Reader, sequences};
use super::score::by_score;
use super::{Judge, JudgeSettings, Materials, Question, Source, Verdict};
use crate::error::Result;
use crate::train::completion_log_probs;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

/// `[judge.implicit-reward]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImplicitReward {
    /// The policy is the last checkpoint of this run of the study.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The policy is this folder or `hub:` name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// What it was trained from; the study's reference unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

impl JudgeSettings for ImplicitReward {
    fn models(&self) -> Vec<(&'static str, Source<'_>)> {
        let policy = match (&self.run, &self.policy) {
            (Some(run), _) => Some(Source::Run(run)),
            (None, policy) => policy.as_deref().map(Source::Named),
        };
        let reference = self.reference.as_deref().map_or(Source::Reference, Source::Named);
        policy.map(|policy| ("policy", policy)).into_iter().chain([("reference", reference)]).collect()
    }

    fn problems(&self) -> Vec<(&'static str, String, String)> {
        let what = |what: &str| ("policy", what.to_owned(), "for example run = \"dpo-beta0.1-seed0\"".to_owned());
        match (&self.run, &self.policy) {
            (Some(_), Some(_)) => vec![what("`run` and `policy` both name the policy: keep one")],
            (None, None) => vec![what("the policy is missing: name a run of this study, or a folder as `policy`")],
            _ => Vec::new(),
        }
    }

    fn open(&self, materials: Materials<'_>) -> Result<Box<dyn Judge>> {
        let (policy, reference) = (Reader::open("policy", &materials)?, Reader::open("reference", &materials)?);
        Ok(Box::new(LogRatio { policy, reference, device: materials.device.clone() }))
    }
}

struct LogRatio {
    policy: Reader,
    reference: Reader,
    device: Device,
}

impl Judge for LogRatio {
    fn judge(&self, questions: &[Question<'_>], progress: &mut dyn FnMut(usize)) -> Result<Vec<Verdict>> {
        by_score(questions, |all| {
            let log_probs = |model: &Reader, progress: &mut dyn FnMut(usize)| {
                let tokens = model.tokens(all)?;
                Ok(completion_log_probs(&model.policy.decoder, &sequences(&tokens), &self.device, progress))
            };
            let reference = log_probs(&self.reference, &mut |_| ())?;
            let policy = log_probs(&self.policy, progress)?;
            Ok(policy.iter().zip(reference).map(|(policy, reference)| policy - reference).collect())
        })
    }
}
