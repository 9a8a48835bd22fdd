//! A control: prefers the longer completion. What a judge says beyond this is not length alone.

use super::score::by_score;
use super::{Judge, JudgeSettings, Materials, Question, Verdict, length};
use crate::error::Result;
use crate::models::Tokenizer;
use serde::{Deserialize, Serialize};

/// `[judge.length]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Length {}

impl JudgeSettings for Length {
    fn open(&self, materials: Materials<'_>) -> Result<Box<dyn Judge>> {
        Ok(Box::new(Longer(materials.tokenizer.clone())))
    }
}

struct Longer(Tokenizer);

impl Judge for Longer {
    fn judge(&self, questions: &[Question<'_>], _: &mut dyn FnMut(usize)) -> Result<Vec<Verdict>> {
        by_score(questions, |all| Ok(all.iter().map(|(_, completion, _)| length(&completion.tokens, &self.0) as f64).collect()))
    }
}
