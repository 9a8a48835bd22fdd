//! The task's own true reward: the judge that is never wrong, where a world is known.

use super::score::{Scored, by_score};
use super::{Judge, JudgeSettings, Materials, Question, Verdict};
use crate::error::{Error, Result};
use crate::models::Tokenizer;
use crate::tasks::reward::TrueReward;
use serde::{Deserialize, Serialize};

/// `[judge.true]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct True {}

impl JudgeSettings for True {
    fn needs_truth(&self) -> bool {
        true
    }

    fn open(&self, materials: Materials<'_>) -> Result<Box<dyn Judge>> {
        Ok(Box::new(Truth::new(materials)?))
    }
}

/// The true reward of texts in tokens.
pub struct Truth {
    reward: TrueReward,
    tokenizer: Tokenizer,
}

impl Truth {
    /// From the task's reward.
    pub fn new(materials: Materials<'_>) -> Result<Self> {
        let reward = materials.truth.ok_or_else(|| {
            Error::Data("this judge needs a task whose true reward is known, as those of the built-in worlds; use another".into())
        })?;
        Ok(Truth { reward, tokenizer: materials.tokenizer.clone() })
    }

    /// The reward of every completion with its prompt.
    pub fn rewards(&self, all: &[Scored<'_>], progress: impl FnMut(usize)) -> Result<Vec<f64>> {
        let text =
            |(prompt, completion, _): &Scored<'_>| self.tokenizer.decode(&[&prompt.tokens[..], &completion.tokens[..]].concat());
        self.reward.scores(&all.iter().map(text).collect::<Result<Vec<_>>>()?, progress)
    }
}

impl Judge for Truth {
    fn judge(&self, questions: &[Question<'_>], progress: &mut dyn FnMut(usize)) -> Result<Vec<Verdict>> {
        by_score(questions, |all| self.rewards(all, progress))
    }
}
