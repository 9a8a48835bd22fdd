//! Sampling from a policy: one forward pass a prompt, many rows together, finished rows retired.

use super::Decoder;
use super::decoding::indices;
use super::gpu;
use super::sampling::{Sampler, Sampling};
use crate::error::Result;
use crate::ops;
use crate::random::Stream;
use burn::tensor::Device;
use std::ops::Range;

/// What was drawn after one prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// Tokens, the end token included where the policy chose it.
    pub tokens: Vec<u32>,
    /// Whether the policy ended it; otherwise it was cut.
    pub ended: bool,
}

/// Rows that the CPU decodes together, at most, and at least where there are so many.
const ROWS: [usize; 2] = [8, 512];
/// Bytes that keys and values of rows may take where that says how many there are, with the copy that is made when rows have ended.
pub const CACHE: usize = 8 << 30;
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
    let together = together(prompts, ops::is_cpu(device));
    let groups = groups(&together, rows(model, prompts.len() * sampling.samples, longest, sampling, device), sampling.samples);
    let mut drawn: Vec<Vec<Completion>> = vec![Vec::new(); prompts.len()];
    let mut done = 0;
    for wave in groups.chunks(ops::at_once(device)) {
        let decode = |group: Group<'_>| decode(model, prompts, ends, &group, sampling, device, &streams);
        for (group, rows) in wave.iter().zip(ops::side_by_side(device, wave.to_vec(), decode)) {
            for (row, completion) in rows.into_iter().enumerate() {
                drawn[group.row(row).0].push(completion);
            }
            done += if group.samples.end == sampling.samples { group.prompts.len() } else { 0 };
        }
        progress(done);
    }
    Ok(drawn)
}

/// Prompts that may be continued together: on the CPU those of one length, whose rows leave no position unused, elsewhere all, the
/// shortest first.
fn together(prompts: &[Vec<u32>], by_length: bool) -> Vec<Vec<usize>> {
    let mut all: Vec<usize> = (0..prompts.len()).collect();
    all.sort_by_key(|index| prompts[*index].len());
    all.chunk_by(|a, b| !by_length || prompts[*a].len() == prompts[*b].len()).map(<[usize]>::to_vec).collect()
}

/// How many of so many rows are decoded at once.
fn rows(model: &Decoder, all: usize, longest: usize, sampling: Sampling, device: &Device) -> usize {
    let ([least, most], is_cpu) = (ROWS, ops::is_cpu(device));
    if is_cpu && model.is_small() {
        return all.div_ceil(GROUPS).clamp(least, most);
    }
    let cache = 2 * model.config.cache_bytes_a_token() * (longest + sampling.max_new_tokens);
    let drawn = if is_cpu { 0 } else { gpu::DRAWN * size_of::<f32>() * model.config.vocabulary };
    // A model without blocks keeps nothing.
    (CACHE / (cache + drawn).max(1)).clamp(1, if is_cpu { most } else { gpu::ROWS })
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

/// Prompts that are continued together, each by these samples.
#[derive(Clone)]
struct Group<'a> {
    prompts: &'a [usize],
    samples: Range<usize>,
}

impl Group<'_> {
    fn rows(&self) -> usize {
        self.prompts.len() * self.samples.len()
    }

    /// Prompt and sample of a row.
    fn row(&self, row: usize) -> (usize, usize) {
        (self.prompts[row / self.samples.len()], self.samples.start + row % self.samples.len())
    }
}

/// Prompts in groups of about `rows` rows; only those of one list come together.
fn groups(together: &[Vec<usize>], rows: usize, samples: usize) -> Vec<Group<'_>> {
    // All samples of a prompt go together, unless they alone are too many.
    let chunks = together.iter().flat_map(|all| all.chunks((rows / samples).max(1)));
    let part = if rows < samples { rows } else { samples };
    let parts = |prompts| {
        let range = move |first: usize| Group { prompts, samples: first..samples.min(first + part) };
        (0..samples).step_by(part).map(range)
    };
    chunks.flat_map(parts).collect()
}

/// Completions of a group's prompts, all samples of one after those of another.
fn decode(
    model: &Decoder,
    prompts: &[Vec<u32>],
    ends: &[u32],
    group: &Group<'_>,
    sampling: Sampling,
    device: &Device,
    streams: &impl Fn(usize, usize) -> Stream,
) -> Vec<Completion> {
    let starts: Vec<&[u32]> = group.prompts.iter().map(|index| &prompts[*index][..]).collect();
    let longest = starts.iter().map(|start| start.len()).max().unwrap_or(0);
    let (logits, mut cache) = model.start(&starts, longest + sampling.max_new_tokens, device);
    let rows = group.rows();
    let repeat: Vec<usize> = (0..rows).map(|row| row / group.samples.len()).collect();
    let mut logits = logits.select(0, indices(&repeat, device));
    cache.select(&repeat, device);
    let stream = |row| {
        let (prompt, sample) = group.row(row);
        streams(prompt, sample)
    };
    let mut streams: Vec<Stream> = (0..rows).map(stream).collect();
    // Logits of a GPU would take longer to come than to be made.
    let on_device = !ops::is_cpu(device) && sampling.top_k == 0 && sampling.top_p >= 1.0;
    let mut sampler = Sampler::default();
    let mut completions = vec![Completion { tokens: Vec::new(), ended: false }; rows];
    // Row of the batch -> row of the result, for rows that still grow.
    let mut active: Vec<usize> = (0..rows).collect();
    for position in 0..sampling.max_new_tokens {
        let mut next = if on_device {
            let uniform = |row: &usize| if sampling.temperature == 0.0 { 0.0 } else { streams[*row].uniform() };
            let uniforms: Vec<f64> = active.iter().map(uniform).collect();
            ops::draw(logits, sampling.temperature, &uniforms).to_data().iter::<i64>().map(|token| token as u32).collect()
        } else {
            let values: Vec<f32> = logits.to_data().iter::<f32>().collect();
            let rows = values.chunks_exact(values.len() / active.len()).zip(&active);
            let draw = |(logits, row): (&[f32], &usize)| match completions[*row].ended {
                true => 0,
                false => sampler.draw(logits, &sampling, &mut streams[*row]),
            };
            rows.map(draw).collect::<Vec<u32>>()
        };
        for (token, row) in next.iter().zip(&active) {
            let completion = &mut completions[*row];
            if !completion.ended {
                completion.tokens.push(*token);
                completion.ended = ends.contains(token);
            }
        }
        let alive: Vec<usize> = (0..active.len()).filter(|row| !completions[active[*row]].ended).collect();
        if alive.is_empty() || position + 1 == sampling.max_new_tokens {
            break;
        }
        // Copying the cache costs about a step's work, so rows leave once a quarter of them have ended.
        if alive.len() * 4 <= active.len() * 3 {
            cache.select(&alive, device);
            next = alive.iter().map(|row| next[*row]).collect();
            active = alive.iter().map(|row| active[*row]).collect();
        }
        logits = model.advance(&next, &mut cache);
    }
    completions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::DecoderConfig;
    use crate::ops::testing::plainly;
    use proptest::prelude::*;

    #[test]
    fn a_model_without_blocks_draws_too() {
        let device = Device::flex();
        let model = Decoder::new(DecoderConfig::gpt2(20, 8, 4, 0, 1), &mut Stream::new(0, 0, "generate test", 0), &device);
        let sampling = Sampling { temperature: 1.0, top_k: 0, top_p: 1.0, max_new_tokens: 3, samples: 2 };
        let stream = |_, sample| Stream::new(1, 0, "generate test", sample as u64);
        let drawn = generate(&model, &[vec![1, 2]], &[], sampling, &device, stream, |_| ()).unwrap();
        assert!(drawn[0].len() == 2 && drawn[0].iter().all(|completion| completion.tokens.len() == 3));
    }

    #[test]
    fn what_is_drawn_on_a_device_is_what_is_drawn_on_the_host() {
        let device = Device::flex();
        let config = DecoderConfig::gpt2(100, 24, 24, 2, 3);
        let model = Decoder::with_deviation(config, 0.3, &mut Stream::new(0, 0, "generate test", 0), &device);
        // Of different lengths, which are together on the device alone.
        let prompts: Vec<Vec<u32>> =
            (0..6).map(|prompt| (0..1 + 2 * (prompt % 3)).map(|place| 1 + prompt + place).collect()).collect();
        for temperature in [0.0, 1.0] {
            let sampling = Sampling { temperature, top_k: 0, top_p: 1.0, max_new_tokens: 12, samples: 3 };
            let draw = || {
                let stream = |prompt, sample| Stream::new(1, prompt as u64, "generate test", sample as u64);
                generate(&model, &prompts, &[0, 7], sampling, &device, stream, |_| ()).unwrap()
            };
            let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
            let (on_host, on_device) = (draw(), one.install(|| plainly(draw)));
            assert_eq!(on_host, on_device);
            assert!(temperature == 0.0 || on_host.iter().flatten().any(|completion| completion.ended), "{on_host:?}");
        }
    }

    proptest! {
        #[test]
        fn every_sample_of_every_prompt_is_in_one_group_in_order(
            lengths in prop::collection::vec(1usize..5, 1..30),
            rows in 1usize..40,
            samples in 1usize..20,
            by_length: bool,
        ) {
            let prompts: Vec<Vec<u32>> = lengths.iter().map(|length| vec![1; *length]).collect();
            let mut drawn = vec![Vec::new(); lengths.len()];
            let together = together(&prompts, by_length);
            for group in groups(&together, rows, samples) {
                prop_assert!(group.rows() <= rows && group.rows() > 0);
                for row in 0..group.rows() {
                    let (prompt, sample) = group.row(row);
                    prop_assert!(!by_length || lengths[prompt] == lengths[group.prompts[0]]);
                    drawn[prompt].push(sample);
                }
            }
            let all: Vec<usize> = (0..samples).collect();
            prop_assert!(drawn.iter().all(|drawn| *drawn == all));
        }
    }
}
