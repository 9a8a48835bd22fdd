//! Stage `base`: a language model from random weights.

use super::context::Context;
use super::files::write_csv;
use crate::error::{Error, Result};
use crate::models::{BUILTIN_SIZES, Decoder, DecoderConfig, Policy};
use crate::plan::ModelRole;
use crate::random::Stream;
use crate::resolve::Corpus;
use crate::spec::LanguageModelTraining;
use crate::tasks::{given, oracle, sentiment};
use crate::train::{Sequence, train_language_model};

pub(super) fn run(
    context: &mut Context<'_>,
    role: ModelRole,
    model: &str,
    training: &LanguageModelTraining,
    seed: u64,
) -> Result<()> {
    let held_out = role == ModelRole::HeldOutJudge;
    context.progress("reading the corpus", 0, 1);
    let tokenizer = context.tokenizer()?;
    let size = BUILTIN_SIZES.iter().find(|size| model.strip_prefix("builtin:") == Some(size.name));
    let size = size.ok_or_else(|| Error::Other(format!("there is no model {model}")))?;
    let config = DecoderConfig::gpt2(tokenizer.size(), size.context, size.width, size.layers, size.heads);
    context.progress("tokenizing", 0, 1);
    let wanted = training.size.steps as usize * training.size.batch_sequences;
    let mut pages = Vec::new();
    let sequences = match (context.corpus()?, role) {
        (Corpus::Oracle(world), _) => oracle::open(world)?.corpus(0, wanted),
        (Corpus::Builtin(name), ModelRole::Base) if name != "reviews" => {
            pages = given::pages(name, seed, &tokenizer, training.size.max_tokens)?;
            Vec::new()
        }
        (corpus, ModelRole::Base) => sentiment::general_sequences(
            &sentiment::texts(corpus, held_out, seed)?,
            &tokenizer,
            training.size.max_tokens,
            wanted,
        )?,
        (corpus, ModelRole::HeldOutJudge) => sentiment::whole_sequences(
            &sentiment::texts(corpus, held_out, seed)?.reviews,
            &tokenizer,
            training.size.max_tokens,
            wanted,
        )?,
    };
    let purpose = if held_out { "fluency judge" } else { "base" };
    let mut stream = Stream::new(seed, 0, &format!("{purpose} weights"), 0);
    let decoder = Decoder::with_deviation(config, size.deviation, &mut stream, context.device);
    let shuffle = Stream::new(seed, 0, &format!("{purpose} batches"), 0);
    let pages = pages.iter().map(|[prompt, completion]| Sequence { prompt, completion });
    let sequences: Vec<Sequence<'_>> = sequences.iter().map(|sequence| Sequence::whole(sequence)).chain(pages).collect();
    let device = context.device.clone();
    let steps = training.size.steps;
    let mut checkpoints = context.checkpoints();
    let (decoder, rows) = train_language_model(decoder, &sequences, training, shuffle, &device, &mut checkpoints, |row| {
        context.trained(row, steps)
    })?;
    context.seconds_before = checkpoints.seconds_before();
    context.tokens = rows.last().map(|row| row.tokens);
    write_csv(&context.folder.join("train.csv"), &rows)?;
    Policy::new(decoder, tokenizer).save(&context.folder.join("model"))
}
