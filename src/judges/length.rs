//! A control: prefers the longer completion. What a judge says beyond this is not length alone.

use super::score::by_score;
use super::{Judge, JudgeSettings, Materials, Question, Verdict};
use crate::error::Result;
use serde::{Deserialize, Serialize};

/// `[judge.length]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Length {}

impl JudgeSettings for Length {
    fn open(&self, _: Materials<'_>) -> Result<Box<dyn Judge>> {
        Ok(Box::new(Longer))
    }
}

struct Longer;

impl Judge for Longer {
    fn judge(&self, questions: &[Question<'_>], _: &mut dyn FnMut(usize)) -> Result<Vec<Verdict>> {
        by_score(questions, |all| Ok(all.iter().map(|(_, completion, _)| completion.tokens.len() as f64).collect()))
    }
}
