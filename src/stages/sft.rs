//! Stage `sft`: the base model fine-tuned on the task's text, the reference policy of every run.

use super::context::Context;
use super::files::write_csv;
use crate::error::Result;
use crate::random::Stream;
use crate::spec::LanguageModelTraining;
use crate::tasks::sentiment;
use crate::train::{Sequence, train_language_model};

pub(super) fn run(context: &mut Context<'_>, training: &LanguageModelTraining, seed: u64) -> Result<()> {
    let base = context.policy("base")?;
    context.progress("reading the corpus", 0, 1);
    let texts = sentiment::texts(context.corpus()?, false, seed)?;
    let wanted = training.size.steps as usize * training.size.batch_sequences;
    let sequences = sentiment::whole_sequences(&texts.reviews, &base.tokenizer, training.size.max_tokens, wanted)?;
    let shuffle = Stream::new(seed, 0, "sft batches", 0);
    let sequences: Vec<Sequence<'_>> = sequences.iter().map(|sequence| Sequence::whole(sequence)).collect();
    let device = context.device.clone();
    let steps = training.size.steps;
    let mut checkpoints = context.checkpoints();
    let beside = base.beside();
    let (decoder, rows) = train_language_model(base.decoder, &sequences, training, shuffle, &device, &mut checkpoints, |row| {
        context.trained(row, steps)
    })?;
    context.seconds_before = checkpoints.seconds_before();
    context.tokens = rows.last().map(|row| row.tokens);
    write_csv(&context.folder.join("train.csv"), &rows)?;
    beside.with(decoder).save(&context.folder.join("model"))
}
