//! Stage `generate`: completions of a policy after held-out prompts. Every policy of a study sees the same randomness.

use super::context::Context;
use super::files::Completions;
use crate::error::Result;
use crate::models::Sampling;
use crate::models::generate::generate;
use crate::random::Stream;

pub(super) fn run(context: &mut Context<'_>, sampling: Sampling, rival: bool, seed: u64) -> Result<()> {
    let purpose = if rival { "baseline" } else { "evaluation" };
    let policy = context.policy("policy")?;
    let prompts = context.prompts("prompts")?;
    let streams = |prompt: usize, sample: usize| Stream::new(seed, sample as u64, purpose, prompt as u64);
    let ends = &policy.tokenizer.special().ends;
    let device = context.device.clone();
    let total = prompts.len();
    let drawn =
        generate(&policy.decoder, &prompts, ends, sampling, &device, streams, |done| context.progress("sampling", done, total))?;
    Completions::new(drawn).write(context.folder)
}
