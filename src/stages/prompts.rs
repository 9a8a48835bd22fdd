//! Stage `prompts`: the first tokens of reviews.

use super::context::Context;
use super::files::write_json;
use crate::error::Result;
use crate::plan::Split;
use crate::resolve::Corpus;
use crate::tasks::{oracle, sentiment};

pub(super) fn run(context: &mut Context<'_>, split: Split, prefix_tokens: [usize; 2], count: usize, seed: u64) -> Result<()> {
    if let Corpus::Oracle(world) = context.corpus()? {
        // Both sides have the world's few prompts, again and again.
        let oracle = oracle::open(world)?;
        let prompts: Vec<Vec<u32>> = (0..count).map(|index| oracle.prompt(index % world.prompts)).collect();
        return write_json(&context.folder.join("prompts.json"), &prompts);
    }
    let tokenizer = context.policy("reference")?.tokenizer;
    context.progress("reading the corpus", 0, 1);
    let texts = sentiment::texts(context.corpus()?, split == Split::HeldOut, seed)?;
    let exclude = match split {
        Split::Train => None,
        Split::HeldOut => Some(context.prompts("train")?),
    };
    let prompts = sentiment::prompts(&texts, &tokenizer, prefix_tokens, count, exclude.as_deref(), seed)?;
    write_json(&context.folder.join("prompts.json"), &prompts)
}
