//! Sampling from a policy: prompts of one length together, one forward pass a prompt, finished rows retired.

use super::Decoder;
use super::sampling::{Sampler, Sampling};
use crate::error::Result;
use crate::ops;
use crate::random::Stream;
use burn::tensor::{Device, Int, Tensor, TensorData};
use std::collections::BTreeMap;

/// What was drawn after one prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// Tokens, the end token included where the policy chose it.
    pub tokens: Vec<u32>,
    /// Whether the policy ended it; otherwise it was cut.
    pub ended: bool,
}

/// Rows that are decoded together, at most, and at least where there are so many.
const ROWS: [usize; 2] = [8, 512];
/// Groups of rows that give as many threads work.
const GROUPS: usize = 16;

/// Draws `samples` completions after every prompt, each up to one of the tokens that end a text; `streams(prompt, sample)` is that
/// row's own random stream, so a completion does not depend on which others are drawn beside it. Prompts hold their start token
/// already.
pub fn generate(
    model: &Decoder,
    prompts: &[Vec<u32>],
    ends: &[u32],
    sampling: Sampling,
    device: &Device,
    streams: impl Fn(usize, usize) -> Stream + Sync,
    mut progress: impl FnMut(usize),
) -> Result<Vec<Vec<Completion>>> {
    let longest = prompts.iter().map(Vec::len).max().unwrap_or(0);
    model.config.check_length(longest + sampling.max_new_tokens)?;
    let mut by_length: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (index, prompt) in prompts.iter().enumerate() {
        by_length.entry(prompt.len()).or_default().push(index);
    }
    let [least, most] = ROWS;
    let rows = prompts.len() * sampling.samples;
    let rows = if model.is_small() { rows.div_ceil(GROUPS).clamp(least, most) } else { most };
    let groups: Vec<(usize, &[usize])> = by_length
        .iter()
        .flat_map(|(length, prompts)| prompts.chunks((rows / sampling.samples).max(1)).map(|group| (*length, group)))
        .collect();
    let mut drawn: Vec<Vec<Completion>> = vec![Vec::new(); prompts.len()];
    let mut done = 0;
    for wave in groups.chunks(ops::threads()) {
        let decode = |group| decode(model, prompts, ends, group, sampling, device, &streams);
        for ((_, group), rows) in wave.iter().zip(ops::side_by_side(wave.to_vec(), decode)) {
            for (row, completion) in rows.into_iter().enumerate() {
                drawn[group[row / sampling.samples]].push(completion);
            }
            done += group.len();
        }
        progress(done);
    }
    Ok(drawn)
}

/// Draws one completion and hands on every token as it is drawn; the token that ends the text is the last one.
pub fn continue_one(
    model: &Decoder,
    prompt: &[u32],
    ends: &[u32],
    sampling: Sampling,
    device: &Device,
    mut stream: Stream,
    mut each: impl FnMut(u32) -> Result<()>,
) -> Result<Completion> {
    model.config.check_length(prompt.len() + sampling.max_new_tokens)?;
    let (mut logits, mut cache) = model.start(&[prompt], prompt.len() + sampling.max_new_tokens, device);
    let (mut sampler, mut completion) = (Sampler::default(), Completion { tokens: Vec::new(), ended: false });
    loop {
        let values: Vec<f32> = logits.to_data().iter::<f32>().collect();
        let token = sampler.draw(&values, &sampling, &mut stream);
        each(token)?;
        completion.tokens.push(token);
        completion.ended = ends.contains(&token);
        if completion.ended || completion.tokens.len() == sampling.max_new_tokens {
            return Ok(completion);
        }
        logits = model.advance(&[token], &mut cache);
    }
}

/// Completions of prompts of one length, `samples` after each, in order.
fn decode(
    model: &Decoder,
    prompts: &[Vec<u32>],
    ends: &[u32],
    (length, group): (usize, &[usize]),
    sampling: Sampling,
    device: &Device,
    streams: &impl Fn(usize, usize) -> Stream,
) -> Vec<Completion> {
    let starts: Vec<&[u32]> = group.iter().map(|index| &prompts[*index][..]).collect();
    let (logits, mut cache) = model.start(&starts, length + sampling.max_new_tokens, device);
    let rows = group.len() * sampling.samples;
    let repeat: Vec<usize> = (0..rows).map(|row| row / sampling.samples).collect();
    let mut logits = logits.select(0, indices(&repeat, device));
    cache.select(indices(&repeat, device));
    let mut streams: Vec<Stream> = (0..rows).map(|row| streams(group[row / sampling.samples], row % sampling.samples)).collect();
    let mut sampler = Sampler::default();
    let mut completions = vec![Completion { tokens: Vec::new(), ended: false }; rows];
    // Row of the batch -> row of the result, for rows that still grow.
    let mut active: Vec<usize> = (0..rows).collect();
    for position in 0..sampling.max_new_tokens {
        let values: Vec<f32> = logits.to_data().iter::<f32>().collect();
        let vocabulary = values.len() / active.len();
        let mut next = Vec::with_capacity(active.len());
        for (logits, row) in values.chunks_exact(vocabulary).zip(&active) {
            let completion = &mut completions[*row];
            if !completion.ended {
                let token = sampler.draw(logits, &sampling, &mut streams[*row]);
                completion.tokens.push(token);
                completion.ended = ends.contains(&token);
            }
            next.push(completion.tokens.last().map_or(0, |token| *token));
        }
        let alive: Vec<usize> = (0..active.len()).filter(|row| !completions[active[*row]].ended).collect();
        if alive.is_empty() || position + 1 == sampling.max_new_tokens {
            break;
        }
        // Copying the cache costs about a step's work, so rows leave once a quarter of them have ended.
        if alive.len() * 4 <= active.len() * 3 {
            cache.select(indices(&alive, device));
            next = alive.iter().map(|row| next[*row]).collect();
            active = alive.iter().map(|row| active[*row]).collect();
        }
        logits = model.advance(&next, &mut cache);
    }
    completions
}

fn indices(rows: &[usize], device: &Device) -> Tensor<1, Int> {
    Tensor::from_data(TensorData::new(rows.iter().map(|row| *row as i32).collect(), [rows.len()]), device)
}
