//! A reward model: the completion with the higher score is preferred (Bradley-Terry; Stiennon et al. 2020).

use super::score::{Scored, by_score};
use super::{Judge, JudgeSettings, Materials, Question, Source, Verdict};
use crate::error::{Error, Result};
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
        let model = Reader::open("model", &materials)?;
        if model.policy.decoder.config.scores != 1 {
            let what = "the judge's reward model has no head with one score";
            return Err(Error::Data(format!("{what}: name one that dpo-lab trained, or leave `model` out")));
        }
        Ok(Box::new(Scorer { model, device: materials.device.clone() }))
    }
}

struct Scorer {
    model: Reader,
    device: Device,
}

impl Judge for Scorer {
    fn judge(&self, questions: &[Question<'_>], progress: &mut dyn FnMut(usize)) -> Result<Vec<Verdict>> {
        by_score(questions, |all| {
            let tokens = self.model.tokens(all)?;
            Ok(scores(&self.model.policy.decoder, &sequences(&tokens), &self.device, progress))
        })
    }
}

/// A model that reads completions after their prompts.
pub struct Reader {
    /// The model.
    pub policy: Policy,
    /// Whether its tokens are not the study's, so that it reads the text.
    foreign: bool,
}

impl Reader {
    /// The judge's model of this role.
    pub fn open(role: &str, materials: &Materials<'_>) -> Result<Self> {
        let policy = materials.models.policy(role)?;
        let same = |text: &str| Ok(policy.tokenizer.encode(text)? == materials.tokenizer.encode(text)?);
        let foreign = policy.tokenizer.size() != materials.tokenizer.size() || !same("the quick brown fox , it is not 12 .")?;
        Ok(Reader { policy, foreign })
    }

    /// Prompt and completion of each in the model's tokens. Fails where it reads no texts as long as these.
    pub fn tokens(&self, all: &[Scored<'_>]) -> Result<Vec<[Vec<u32>; 2]>> {
        let tokenizer = &self.policy.tokenizer;
        let of = |(prompt, completion, _): &Scored<'_>| {
            if !self.foreign {
                return Ok([prompt.tokens.clone(), completion.tokens.clone()]);
            }
            let end = tokenizer.special().ends.first().copied();
            let opening: Vec<u32> = tokenizer.opening()?.into_iter().chain(tokenizer.encode(&prompt.text)?).collect();
            Ok([opening, tokenizer.encode(&completion.text)?.into_iter().chain(end).collect()])
        };
        let tokens = all.iter().map(of).collect::<Result<Vec<_>>>()?;
        let (longest, context) =
            (tokens.iter().map(|pair| pair.iter().map(Vec::len).sum()).max().unwrap_or(0), self.policy.decoder.config.context);
        if longest > context {
            let what = format!("a text to be judged has {longest} tokens, and the judge's model reads {context}");
            return Err(Error::Data(format!("{what}: name another model, or lower evaluation.max_new_tokens")));
        }
        Ok(tokens)
    }
}

/// Every completion after its prompt.
pub fn sequences(tokens: &[[Vec<u32>; 2]]) -> Vec<Sequence<'_>> {
    tokens.iter().map(|[prompt, completion]| Sequence { prompt, completion }).collect()
}
