//! Stage `prompts` for prompting: every held-out prompt after a few examples of the task.

use super::context::Context;
use super::files::write_json;
use crate::error::{Error, Result};
use crate::models::Tokenizer;
use crate::random::Stream;
use crate::spec::Reward;

/// Where a true reward is known, the best of so many examples are taken: whoever writes a prompt takes good ones.
const CANDIDATES: usize = 64;
/// Tokens that empty lines between examples may take.
const SEPARATOR: usize = 8;

pub(super) fn run(
    context: &mut Context<'_>,
    shots: usize,
    max_new_tokens: usize,
    reward: Option<&Reward>,
    seed: u64,
) -> Result<()> {
    let base = context.policy("base")?;
    let prompts = context.prompts("prompts")?;
    let (asked, answers, labelled) = (context.prompts("train")?, context.completions("train")?, context.labelled("train")?);
    let good: Vec<usize> = labelled.chosen().collect();
    let special = base.tokenizer.special();
    // Each example may take its share of what the longest prompt and its completion leave of the context.
    let (longest, context_tokens) = (prompts.iter().map(Vec::len).max().unwrap_or(0), base.decoder.config.context);
    let room = context_tokens.saturating_sub(longest + max_new_tokens + SEPARATOR) / shots.max(1);
    let order = Stream::new(seed, 0, "examples of prompting", 0).permutation(good.len());
    let example = |at: usize| (&asked[answers.prompt[good[at]]][..], &answers.tokens[good[at]][..]);
    let fits = |(prompt, completion): &(&[u32], &[u32])| prompt.len() + completion.len() <= room;
    let mut examples: Vec<(&[u32], &[u32])> = order.into_iter().map(example).filter(fits).take(CANDIDATES.max(shots)).collect();
    if let Some(reward) = reward {
        let text = |(prompt, completion): &(&[u32], &[u32])| base.tokenizer.decode(&[*prompt, *completion].concat());
        let texts = examples.iter().map(text).collect::<Result<Vec<_>>>()?;
        let rewards = context.true_reward(reward)?.scores(&texts, |_| ())?;
        let mut order: Vec<usize> = (0..examples.len()).collect();
        order.sort_by(|one, other| rewards[*other].total_cmp(&rewards[*one]));
        examples = order.into_iter().map(|at| examples[at]).collect();
    }
    examples.truncate(shots);
    if examples.len() < shots {
        return Err(Error::Data(format!(
            "only {} of {shots} examples fit: beside a prompt of up to {longest} tokens and a completion of {max_new_tokens} each may have \
             {room} of the {context_tokens} that the model reads; lower method.prompting.shots or evaluation.max_new_tokens",
            examples.len()
        )));
    }
    let before = before(&examples, &base.tokenizer)?;
    let start = special.start;
    let whole = |prompt: &Vec<u32>| {
        let own = prompt.strip_prefix(&start.into_iter().collect::<Vec<_>>()[..]).unwrap_or(prompt);
        start.into_iter().filter(|_| own.len() < prompt.len()).chain(before.iter().copied()).chain(own.iter().copied()).collect()
    };
    let prompts: Vec<Vec<u32>> = prompts.iter().map(whole).collect();
    write_json(&context.folder.join("prompts.json"), &prompts)
}

/// The examples one after another, without start and end tokens, each followed by an empty line unless the next begins with one.
fn before(examples: &[(&[u32], &[u32])], tokenizer: &Tokenizer) -> Result<Vec<u32>> {
    let special = tokenizer.special();
    let mut tokens = Vec::new();
    for (prompt, completion) in examples {
        let control = |token: &&u32| special.start != Some(**token) && !special.ends.contains(token);
        tokens.extend(prompt.iter().chain(*completion).filter(control));
        // A vocabulary of words has no token for an empty line, and needs none.
        if !tokenizer.decode(prompt)?.starts_with('\n') {
            tokens.extend(tokenizer.encode("\n\n")?);
        }
    }
    Ok(tokens)
}
