//! Sampling from a policy: prompts of one length together, one forward pass a prompt, finished rows retired.

use super::Decoder;
use super::sampling::{Sampler, Sampling};
use crate::error::Result;
use crate::ops;
use crate::random::Stream;
use burn::tensor::{Device, Int, Tensor, TensorData};
use std::collections::BTreeMap;
use std::ops::Range;

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
/// Bytes that keys and values of a large model's rows may take, with the copy that is made when rows have ended.
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
    let mut by_length: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (index, prompt) in prompts.iter().enumerate() {
        by_length.entry(prompt.len()).or_default().push(index);
    }
    let [least, most] = ROWS;
    let rows = prompts.len() * sampling.samples;
    // A model without blocks keeps nothing.
    let row = 2 * model.config.cache_bytes_a_token() * (longest + sampling.max_new_tokens);
    let fit = CACHE / row.max(1);
    let rows = if model.is_small() { rows.div_ceil(GROUPS).clamp(least, most) } else { fit.clamp(1, most) };
    let groups = groups(&by_length, rows, sampling.samples);
    let mut drawn: Vec<Vec<Completion>> = vec![Vec::new(); prompts.len()];
    let mut done = 0;
    for wave in groups.chunks(ops::threads()) {
        let decode = |group: Group<'_>| decode(model, prompts, ends, &group, sampling, device, &streams);
        for (group, rows) in wave.iter().zip(ops::side_by_side(wave.to_vec(), decode)) {
            for (row, completion) in rows.into_iter().enumerate() {
                drawn[group.row(row).0].push(completion);
            }
            done += if group.samples.end == sampling.samples { group.prompts.len() } else { 0 };
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

/// Prompts of one length that are continued together, each by these samples.
#[derive(Clone)]
struct Group<'a> {
    length: usize,
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

/// Prompts by their length in groups of about `rows` rows.
fn groups(by_length: &BTreeMap<usize, Vec<usize>>, rows: usize, samples: usize) -> Vec<Group<'_>> {
    // All samples of a prompt go together, unless they alone are too many.
    let together = by_length.iter().flat_map(|(length, all)| all.chunks((rows / samples).max(1)).map(|some| (*length, some)));
    let part = if rows < samples { rows } else { samples };
    let parts = |(length, prompts)| {
        let range = move |first: usize| Group { length, prompts, samples: first..samples.min(first + part) };
        (0..samples).step_by(part).map(range)
    };
    together.flat_map(parts).collect()
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
    let (logits, mut cache) = model.start(&starts, group.length + sampling.max_new_tokens, device);
    let rows = group.rows();
    let repeat: Vec<usize> = (0..rows).map(|row| row / group.samples.len()).collect();
    let mut logits = logits.select(0, indices(&repeat, device));
    cache.select(indices(&repeat, device));
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
        let prompts: Vec<Vec<u32>> = (0..6).map(|prompt| (0..3 + prompt % 2).map(|place| 1 + prompt + place).collect()).collect();
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
        ) {
            let mut by_length: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
            for (prompt, length) in lengths.iter().enumerate() {
                by_length.entry(*length).or_default().push(prompt);
            }
            let mut drawn = vec![Vec::new(); lengths.len()];
            for group in groups(&by_length, rows, samples) {
                prop_assert!(group.rows() <= rows && group.rows() > 0);
                for row in 0..group.rows() {
                    let (prompt, sample) = group.row(row);
                    prop_assert_eq!(lengths[prompt], group.length);
                    drawn[prompt].push(sample);
                }
            }
            let all: Vec<usize> = (0..samples).collect();
            prop_assert!(drawn.iter().all(|drawn| *drawn == all));
        }
    }
}
