//! Stage `tokenizer`: what every model of the study reads and writes.

use super::context::Context;
use crate::error::Result;
use crate::models::Tokenizer;
use crate::resolve::Corpus;
use crate::tasks::{oracle, sentiment};

pub(super) fn run(context: &mut Context<'_>, vocabulary: usize, seed: u64) -> Result<()> {
    if let Corpus::Oracle(world) = context.corpus()? {
        let letters = oracle::open(world)?.letters();
        let letters: Vec<&str> = letters.iter().map(String::as_str).collect();
        return Tokenizer::words(&letters)?.save(&context.folder.join("tokenizer.json"));
    }
    context.progress("reading the corpus", 0, 2);
    let texts = sentiment::texts(context.corpus()?, false, seed)?;
    context.progress("fitting a vocabulary", 1, 2);
    sentiment::tokenizer(context.corpus()?, &texts, vocabulary)?.save(&context.folder.join("tokenizer.json"))
}
