//! What models say of many sequences, without gradients.

use super::sequences::{Batch, Output, Sequence};
use crate::models::{Decoder, gpu};
use crate::ops;
use burn::tensor::{Device, Tensor};

/// Sequences that the CPU runs at once on each thread.
const ROWS: usize = 64;

/// log p(completion | prompt) of every sequence, in order. Sequences of like length are run together.
pub fn completion_log_probs(
    model: &Decoder,
    sequences: &[Sequence<'_>],
    device: &Device,
    progress: impl FnMut(usize),
) -> Vec<f64> {
    in_chunks(model, sequences, device, progress, |chunk| {
        let batch = Batch::new(chunk, false, model, device);
        batch.sums(&batch.token_log_probs(model))
    })
}

/// log p of every completion token of every sequence, in order, and the value before it where the model has a value head (else 0).
pub fn token_log_probs_and_values(model: &Decoder, sequences: &[Sequence<'_>], device: &Device) -> Vec<Vec<[f64; 2]>> {
    in_chunks(
        model,
        sequences,
        device,
        |_| (),
        |chunk| {
            let batch = Batch::new(chunk, false, model, device);
            let host = |numbers: Tensor<1>| -> Vec<f64> { numbers.to_data().iter::<f32>().map(f64::from).collect() };
            let numbers: Vec<[f64; 2]> = if model.config.value {
                host(batch.whole(model, Output::TokenLogProbsAndValues)).as_chunks::<2>().0.to_vec()
            } else {
                host(batch.token_log_probs(model)).into_iter().map(|log_prob| [log_prob, 0.0]).collect()
            };
            let mut rest = &numbers[..];
            let of_sequence = |length: &usize| {
                let (own, others) = rest.split_at(*length);
                rest = others;
                own.to_vec()
            };
            batch.completions.iter().map(of_sequence).collect()
        },
    )
}

/// Scores of every sequence under a reward model, in order.
pub fn scores(model: &Decoder, sequences: &[Sequence<'_>], device: &Device, progress: impl FnMut(usize)) -> Vec<f64> {
    in_chunks(model, sequences, device, progress, |chunk| {
        Batch::new(chunk, true, model, device).scores(model).to_data().iter::<f32>().map(f64::from).collect()
    })
}

/// What an evaluation measures of one completion.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Divergence {
    /// Sum over steps of the exact KL between the next-token distributions, in nats.
    pub kl: f64,
    /// log pi(completion) - log ref(completion).
    pub log_ratio: f64,
    /// Sum over steps of the policy's entropy, in nats.
    pub entropy: f64,
}

/// KL, log-ratio and entropy of every completion, per-step sums in f64.
pub fn divergences(
    policy: &Decoder,
    reference: &Decoder,
    sequences: &[Sequence<'_>],
    device: &Device,
    progress: impl FnMut(usize),
) -> Vec<Divergence> {
    in_chunks(policy, sequences, device, progress, |chunk| {
        let batch = Batch::new(chunk, false, policy, device);
        let hidden = [policy, reference].map(|model| batch.hidden(model));
        let values = policy.divergence(reference, hidden, &batch.predictions);
        let [kl, log_ratio, entropy] =
            [0, 1, 2].map(|column| batch.sums(&values.clone().slice_dim(1, column..column + 1).squeeze_dim(1)));
        let rows = kl.into_iter().zip(log_ratio).zip(entropy);
        rows.map(|((kl, log_ratio), entropy)| Divergence { kl, log_ratio, entropy }).collect()
    })
}

/// Runs sequences of like length together, those of a prompt next to each other, and such chunks side by side.
fn in_chunks<T: Clone + Default + Send>(
    model: &Decoder,
    sequences: &[Sequence<'_>],
    device: &Device,
    mut progress: impl FnMut(usize),
    run: impl Fn(&[Sequence<'_>]) -> Vec<T> + Sync,
) -> Vec<T> {
    let all: Vec<usize> = (0..sequences.len()).collect();
    let mut siblings: Vec<&[usize]> = all.chunk_by(|a, b| sequences[*a].prompt == sequences[*b].prompt).collect();
    siblings.sort_by_key(|group| group.iter().map(|index| sequences[*index].len()).max());
    let order = siblings.concat();
    let mut results = vec![T::default(); sequences.len()];
    let mut done = 0;
    let longest = sequences.iter().map(Sequence::len).max().unwrap_or(0);
    let rows = if ops::is_cpu(device) { ROWS } else { gpu::rows_at_once(longest, model.config.width) };
    let chunks: Vec<&[usize]> = order.chunks(rows).collect();
    for wave in chunks.chunks(ops::at_once(device)) {
        let run = |chunk: &[usize]| run(&chunk.iter().map(|index| sequences[*index]).collect::<Vec<_>>());
        let found = ops::side_by_side(device, wave.to_vec(), run);
        for (index, result) in wave.concat().into_iter().zip(found.into_iter().flatten()) {
            results[index] = result;
            done += 1;
        }
        progress(done);
    }
    results
}
