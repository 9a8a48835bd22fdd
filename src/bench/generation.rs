//! Sampling.

use super::{Subject, after_warm_up, median};
use crate::error::Result;
use crate::machine::peak_memory;
use crate::models::Sampling;
use crate::models::generate::generate;
use crate::random::Stream;
use burn::tensor::Device;
use serde::Serialize;
use std::time::Instant;

/// What a measurement of sampling gives.
#[derive(Clone, Debug, Serialize)]
pub struct Generation {
    /// Prompts that are continued together.
    pub batch: usize,
    /// Tokens of a prompt.
    pub prompt_tokens: usize,
    /// Tokens drawn after each, at most.
    pub new_tokens: usize,
    /// Seconds of the median batch.
    pub seconds: f64,
    /// Tokens that were drawn, over these seconds.
    pub tokens_per_s: f64,
    /// The process's greatest memory so far, in bytes, where the system says.
    pub peak_memory: Option<u64>,
}

/// Draws completions of `rows` prompts together at temperature 1, `repeats` times.
pub fn generation(subject: &Subject, rows: usize, repeats: usize, device: &Device) -> Result<Generation> {
    let config = &subject.model.config;
    let new_tokens = (config.context / 2).min(64);
    let prompt_tokens = (config.context - new_tokens).min(32);
    let mut stream = Stream::new(0, 0, "bench prompts", 0);
    // Token 0 ends a text, so no prompt has it.
    let prompts: Vec<Vec<u32>> =
        (0..rows).map(|_| (0..prompt_tokens).map(|_| 1 + stream.below(config.vocabulary - 1) as u32).collect()).collect();
    let sampling = Sampling { temperature: 1.0, top_k: 0, top_p: 1.0, max_new_tokens: new_tokens, samples: 1 };
    let (mut times, mut rates) = (Vec::new(), Vec::new());
    for _ in 0..repeats {
        let began = Instant::now();
        let drawn = generate(
            &subject.model,
            &prompts,
            &[0],
            sampling,
            device,
            |prompt, _| Stream::new(0, 0, "bench samples", prompt as u64),
            |_| (),
        )?;
        let seconds = began.elapsed().as_secs_f64();
        let count: usize = drawn.iter().flatten().map(|completion| completion.tokens.len()).sum();
        times.push(seconds);
        rates.push(count as f64 / seconds);
    }
    let (seconds, tokens_per_s) = (median(after_warm_up(times)), median(after_warm_up(rates)));
    Ok(Generation { batch: rows, prompt_tokens, new_tokens, seconds, tokens_per_s, peak_memory: peak_memory() })
}
