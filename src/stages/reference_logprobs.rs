//! Stage `reference_logprobs`: log ref(completion | prompt), once for every beta, learning rate and method.

use super::context::Context;
use super::files::write_json;
use crate::error::Result;
use crate::train::completion_log_probs;

pub(super) fn run(context: &mut Context<'_>, mismatched: bool) -> Result<()> {
    let reference = context.policy("reference")?;
    let prompts = context.prompts("prompts")?;
    let samples = context.completions("samples")?;
    let sequences = if mismatched { samples.mismatched(&prompts)? } else { samples.sequences(&prompts) };
    let device = context.device.clone();
    let total = sequences.len();
    let values = completion_log_probs(&reference.decoder, &sequences, &device, |done| context.progress("scoring", done, total));
    write_json(&context.folder.join("logprobs.json"), &values)
}
