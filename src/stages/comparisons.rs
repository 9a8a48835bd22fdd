//! Stage `comparisons`: every pair of a prompt's completions, labelled by the true reward.

use super::context::Context;
use super::files::{Labelled, write_json};
use crate::error::{Error, Result};
use crate::random::Stream;
use crate::spec::{Labelling, Reward};
use crate::tasks::preference::first_is_chosen;

pub(super) fn run(context: &mut Context<'_>, reward: &Reward, labelling: &Labelling, seed: u64) -> Result<()> {
    let tokenizer = context.policy("reference")?.tokenizer;
    let prompts = context.prompts("prompts")?;
    let samples = context.completions("samples")?;
    let truth = context.true_reward(reward)?;
    let texts = samples.prompt.iter().zip(&samples.tokens);
    let texts = texts.map(|(prompt, completion)| tokenizer.decode(&[&prompts[*prompt][..], completion].concat()));
    let texts = texts.collect::<Result<Vec<_>>>()?;
    let total = texts.len();
    let rewards = truth.scores(&texts, |done| context.progress("scoring", done, total))?;
    let mut labelled = Labelled { rewards, ..Labelled::default() };
    let groups = samples.prompt.chunk_by(|a, b| a == b);
    let mut first = 0;
    for group in groups {
        for one in first..first + group.len() {
            for other in one + 1..first + group.len() {
                let draw = Stream::new(seed, other as u64, "labels", one as u64);
                let same = samples.tokens[one] == samples.tokens[other];
                match first_is_chosen(labelled.rewards[one] - labelled.rewards[other], labelling, draw) {
                    Some(true) if !same => labelled.pairs.push((one, other)),
                    Some(false) if !same => labelled.pairs.push((other, one)),
                    _ => labelled.ties += 1,
                }
            }
        }
        first += group.len();
    }
    if labelled.pairs.is_empty() {
        return Err(Error::Other(
            "no pair of completions differs in its true reward, so there is nothing to learn: train the reference longer, \
             or use another reward"
                .into(),
        ));
    }
    write_json(&context.folder.join("comparisons.json"), &labelled)
}
