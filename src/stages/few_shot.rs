//! Stage `prompts` for prompting: every held-out prompt after a few examples of the task.

use super::context::Context;
use super::files::write_json;
use crate::error::{Error, Result};
use crate::models::Tokenizer;
use crate::random::Stream;

/// Examples are the shortest of so many that are drawn: a base model's context is small.
const DRAWN: usize = 32;

pub(super) fn run(context: &mut Context<'_>, shots: usize, max_new_tokens: usize, seed: u64) -> Result<()> {
    let base = context.policy("base")?;
    let prompts = context.prompts("prompts")?;
    let (asked, answers, labelled) = (context.prompts("train")?, context.completions("train")?, context.labelled("train")?);
    let good: Vec<usize> = labelled.chosen().collect();
    let order = Stream::new(seed, 0, "examples of prompting", 0).permutation(good.len());
    let mut drawn: Vec<usize> = order.into_iter().take(DRAWN.max(shots)).map(|at| good[at]).collect();
    drawn.sort_by_key(|completion| asked[answers.prompt[*completion]].len() + answers.tokens[*completion].len());
    let examples: Vec<(&[u32], &[u32])> =
        drawn.iter().take(shots).map(|at| (&asked[answers.prompt[*at]][..], &answers.tokens[*at][..])).collect();
    if examples.len() < shots {
        return Err(Error::Data(format!(
            "there are only {} examples for {shots} shots: lower method.prompting.shots",
            examples.len()
        )));
    }
    let before = before(&examples, &base.tokenizer)?;
    let start = base.tokenizer.special().start;
    let whole = |prompt: &Vec<u32>| {
        let own = prompt.strip_prefix(&start.into_iter().collect::<Vec<_>>()[..]).unwrap_or(prompt);
        start.into_iter().filter(|_| own.len() < prompt.len()).chain(before.iter().copied()).chain(own.iter().copied()).collect()
    };
    let prompts: Vec<Vec<u32>> = prompts.iter().map(whole).collect();
    let longest = prompts.iter().map(Vec::len).max().unwrap_or(0);
    let room = base.decoder.config.context;
    if longest + max_new_tokens > room {
        return Err(Error::Data(format!(
            "{shots} examples, a prompt and a completion of {max_new_tokens} tokens need {} tokens, and the model reads {room}: lower \
             method.prompting.shots or evaluation.max_new_tokens",
            longest + max_new_tokens
        )));
    }
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
