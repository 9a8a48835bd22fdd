//! A reward model: the completion with the higher score is preferred (Bradley-Terry; Stiennon et al. 2020).

use super::score::{Scored, by_score};
use super::{Judge, JudgeSettings, Materials, Question, Source, Verdict};
use crate::error::Result;
use crate::models::Policy;
use crate::train::{Sequence, scores};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

/// `[judge.reward-model]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RewardModel {
    /// A reward model that dpo-lab trained, as a folder; the study's own unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

impl JudgeSettings for RewardModel {
    fn models(&self) -> Vec<(&'static str, Source<'_>)> {
        vec![("model", self.model.as_deref().map_or(Source::LearnedReward, Source::Named))]
    }

    fn open(&self, materials: Materials<'_>) -> Result<Box<dyn Judge>> {
        let model = materials.models.policy("model")?;
        Ok(Box::new(Scorer { model, device: materials.device.clone() }))
    }
}

struct Scorer {
    model: Policy,
    device: Device,
}

impl Judge for Scorer {
    fn judge(&self, questions: &[Question<'_>], progress: &mut dyn FnMut(usize)) -> Result<Vec<Verdict>> {
        by_score(questions, |all| {
            let completions = ended(all, &self.model)?;
            Ok(scores(&self.model.decoder, &sequences(all, &completions), &self.device, progress))
        })
    }
}

/// Completions with the end token, which models were trained to see.
pub fn ended(all: &[Scored<'_>], model: &Policy) -> Result<Vec<Vec<u32>>> {
    let end = model.tokenizer.special().ends.first().copied();
    Ok(all.iter().map(|(_, completion, _)| completion.tokens.iter().copied().chain(end).collect()).collect())
}

/// Every completion after its prompt.
pub fn sequences<'a>(all: &[Scored<'a>], completions: &'a [Vec<u32>]) -> Vec<Sequence<'a>> {
    all.iter().zip(completions).map(|((prompt, ..), completion)| Sequence { prompt: &prompt.tokens, completion }).collect()
}
