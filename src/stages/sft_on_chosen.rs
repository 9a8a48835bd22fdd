//! Stage `sft` where comparisons are given: maximum likelihood of the chosen completions (Preferred-FT), the reference of every run.

use super::context::Context;
use super::files::write_csv;
use crate::error::Result;
use crate::random::Stream;
use crate::spec::LanguageModelTraining;
use crate::train::{Sequence, train_language_model};

pub(super) fn run(context: &mut Context<'_>, training: &LanguageModelTraining, seed: u64) -> Result<()> {
    let base = context.policy("base")?;
    let prompts = context.prompts("prompts")?;
    let samples = context.completions("samples")?;
    let labelled = context.labelled("comparisons")?;
    let all = samples.sequences(&prompts);
    let chosen: Vec<Sequence<'_>> = labelled.chosen().map(|completion| all[completion]).collect();
    let shuffle = Stream::new(seed, 0, "sft batches", 0);
    let device = context.device.clone();
    let steps = training.size.steps;
    let mut checkpoints = context.checkpoints();
    let beside = base.beside();
    let (decoder, rows) = train_language_model(base.decoder, &chosen, training, shuffle, &device, &mut checkpoints, |row| {
        context.trained(row, steps)
    })?;
    context.seconds_before = checkpoints.seconds_before();
    context.tokens = rows.last().map(|row| row.tokens);
    write_csv(&context.folder.join("train.csv"), &rows)?;
    beside.with(decoder).save(&context.folder.join("model"))
}
