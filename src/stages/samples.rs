//! Stage `samples`: completions of the reference policy, to be compared.

use super::context::Context;
use super::files::Completions;
use crate::error::Result;
use crate::models::Sampling;
use crate::models::generate::generate;
use crate::random::Stream;

pub(super) fn run(
    context: &mut Context<'_>,
    completions: usize,
    temperature: f64,
    max_new_tokens: usize,
    seed: u64,
) -> Result<()> {
    let policy = context.policy(if context.has("policy") { "policy" } else { "reference" })?;
    let prompts = context.prompts("prompts")?;
    let sampling = Sampling { temperature, top_k: 0, top_p: 1.0, max_new_tokens, samples: completions };
    // A prompt's stream is named by its tokens' place and its sample, so train and held-out prompts draw apart.
    let purpose = format!("samples after {}", blake3::hash(format!("{prompts:?}").as_bytes()).to_hex());
    let streams = |prompt: usize, sample: usize| Stream::new(seed, sample as u64, &purpose, prompt as u64);
    let ends = &policy.tokenizer.special().ends;
    let device = context.device.clone();
    let total = prompts.len();
    let drawn =
        generate(&policy.decoder, &prompts, ends, sampling, &device, streams, |done| context.progress("sampling", done, total))?;
    Completions::new(drawn).write(context.folder)
}
