//! Stage `reward_model`: the learned reward.

use super::context::Context;
use super::files::{write_csv, write_json};
use crate::error::Result;
use crate::methods::Examples;
use crate::spec::RewardModelTraining;
use crate::train::{Example, PreferenceData, train_reward_model};
use serde::{Deserialize, Serialize};

/// report.json
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RewardModelReport {
    /// Accuracy on the validation pairs after each epoch; the best epoch is kept.
    pub validation_accuracy: Vec<f64>,
    /// Mean score of the training completions; subtracted wherever the learned reward is read.
    pub mean: f64,
}

pub(super) fn run(context: &mut Context<'_>, training: &RewardModelTraining, seed: u64) -> Result<()> {
    let reference = context.policy("reference")?;
    let prompts = context.prompts("prompts")?;
    let samples = context.completions("samples")?;
    let labelled = context.labelled("comparisons")?;
    let data = PreferenceData {
        sequences: samples.sequences(&prompts),
        prompt_of: samples.prompt.clone(),
        examples: Example::of_pairs(&labelled.pairs, Examples::Pairs),
        ..PreferenceData::default()
    };
    let device = context.device.clone();
    let mut checkpoints = context.checkpoints();
    let beside = reference.beside();
    let result = train_reward_model(reference.decoder, &data, training, seed, &device, &mut checkpoints, |row, steps| {
        context.trained(row, steps)
    })?;
    context.seconds_before = checkpoints.seconds_before();
    context.tokens = result.rows.last().map(|row| row.tokens);
    write_csv(&context.folder.join("train.csv"), &result.rows)?;
    let report = RewardModelReport { validation_accuracy: result.validation_accuracy, mean: result.mean };
    write_json(&context.folder.join("report.json"), &report)?;
    beside.with(result.model).save(&context.folder.join("model"))
}
