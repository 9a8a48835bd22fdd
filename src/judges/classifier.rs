//! A sequence classifier with a label that means positive: the completion whose whole text is more likely so is preferred.

use super::score::by_score;
use super::{Judge, JudgeSettings, Materials, Question, Source, Verdict};
use crate::error::Result;
use crate::models::Tokenizer;
use crate::tasks::reward::TrueReward;
use serde::{Deserialize, Serialize};

/// `[judge.classifier]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Classifier {
    /// A folder in Hugging Face layout, or a `hub:` name.
    pub model: String,
}

impl JudgeSettings for Classifier {
    fn models(&self) -> Vec<(&'static str, Source<'_>)> {
        vec![("model", Source::Named(&self.model))]
    }

    fn open(&self, materials: Materials<'_>) -> Result<Box<dyn Judge>> {
        let reward = TrueReward::classifier(&materials.models.folder("model")?, materials.device)?;
        Ok(Box::new(Positive { reward, tokenizer: materials.tokenizer.clone() }))
    }
}

struct Positive {
    reward: TrueReward,
    tokenizer: Tokenizer,
}

impl Judge for Positive {
    fn judge(&self, questions: &[Question<'_>], progress: &mut dyn FnMut(usize)) -> Result<Vec<Verdict>> {
        by_score(questions, |all| {
            let text = |(prompt, completion, _): &super::score::Scored<'_>| {
                self.tokenizer.decode(&[&prompt.tokens[..], &completion.tokens[..]].concat())
            };
            self.reward.scores(&all.iter().map(text).collect::<Result<Vec<_>>>()?, progress)
        })
    }
}
