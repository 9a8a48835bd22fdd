//! True rewards: what a task's completions are really worth.

use super::oracle::Oracle;
use crate::data::builtin::World;
use crate::error::{Error, Result};
use crate::models::Tokenizer;
use crate::models::encoder::{Encoder, probability};
use crate::models::linear::LinearClassifier;
use burn::tensor::Device;
use std::path::Path;

/// The true reward of a text, in [0, 1].
pub enum TrueReward {
    /// The exact scorer of a built-in world.
    Builtin(World),
    /// That of a world that can be enumerated.
    Oracle(Box<Oracle>),
    /// Probability of "positive" under a classifier fitted on labels.
    Linear(Box<LinearClassifier>),
    /// Probability of "positive" under a pretrained classifier.
    Encoder(Box<(Encoder, Tokenizer, usize)>),
}

impl TrueReward {
    /// That of a built-in world.
    pub fn builtin(name: &str) -> Result<Self> {
        let unknown = || Error::Other(format!("there is no built-in reward builtin:{name}"));
        World::named(name).map(TrueReward::Builtin).ok_or_else(unknown)
    }

    /// A pretrained classifier with a label that means positive.
    pub fn classifier(folder: &Path, device: &Device) -> Result<Self> {
        let (encoder, tokenizer) = (Encoder::load(folder, device)?, Tokenizer::open(folder)?);
        let is_positive = |label: &String| ["positive", "pos", "label_1"].contains(&label.to_lowercase().as_str());
        let labels = encoder.labels();
        // One logit alone is how positive a text is.
        let positive = if labels.len() == 1 { Some(0) } else { labels.iter().position(is_positive) };
        let positive = positive.ok_or_else(|| {
            let what = format!("none of its labels ({}) is called positive, pos or LABEL_1", labels.join(", "));
            Error::Data(format!("{}: {what}; name them in id2label of its config.json", folder.display()))
        })?;
        Ok(TrueReward::Encoder(Box::new((encoder, tokenizer, positive))))
    }

    /// The reward of every whole text, prompt included.
    pub fn scores(&self, texts: &[String], mut progress: impl FnMut(usize)) -> Result<Vec<f64>> {
        match self {
            TrueReward::Builtin(world) => Ok(texts.iter().map(|text| world.reward(text)).collect()),
            TrueReward::Oracle(oracle) => texts.iter().map(|text| oracle.reward_of_words(text).map_err(Error::Other)).collect(),
            TrueReward::Linear(classifier) => Ok(texts.iter().map(|text| classifier.probability(text)).collect()),
            TrueReward::Encoder(whole) => {
                let (encoder, tokenizer, positive) = &**whole;
                let tokens = texts.iter().map(|text| Ok(encoder.encode(tokenizer, text)?.0)).collect::<Result<Vec<_>>>()?;
                let logits = encoder.logits(&tokens, &mut progress)?;
                Ok(logits.iter().map(|logits| probability(logits, *positive)).collect())
            }
        }
    }
}
