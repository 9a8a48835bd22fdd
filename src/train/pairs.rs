//! Comparisons: which pairs a step sees, and the distinct completions of a batch.

use super::preference::PreferenceRun;
use super::sequences::Sequence;
use crate::random::Stream;
use crate::spec::Shuffle;
use burn::tensor::{Device, Int, Tensor, TensorData};
use std::collections::HashMap;

/// Completions, and pairs (chosen, rejected) of their indices, sorted by prompt.
pub struct PairData<'a> {
    /// Every completion with its prompt.
    pub sequences: Vec<Sequence<'a>>,
    /// Prompt of every completion.
    pub prompt_of: Vec<usize>,
    /// (chosen, rejected)
    pub pairs: Vec<(usize, usize)>,
    /// log ref(completion | prompt) of every completion, for methods that need it.
    pub reference: Option<Vec<f64>>,
}

/// The distinct completions of some pairs, each of which is run once, and the pairs by their rows.
pub(super) struct Distinct {
    /// Completions, by their index in the data.
    pub(super) completions: Vec<usize>,
    /// Row of each pair's chosen completion.
    pub(super) chosen: Vec<i32>,
    /// Row of each pair's rejected completion; none where they are not run.
    pub(super) rejected: Vec<i32>,
}

impl Distinct {
    /// Of these pairs; rejected completions only where they are wanted.
    pub(super) fn of(pairs: &[(usize, usize)], with_rejected: bool) -> Self {
        let mut row_of: HashMap<usize, usize> = HashMap::new();
        let mut completions: Vec<usize> = Vec::new();
        let mut row = |completion: usize| -> i32 {
            *row_of.entry(completion).or_insert_with(|| {
                completions.push(completion);
                completions.len() - 1
            }) as i32
        };
        let (mut chosen, mut rejected) = (Vec::with_capacity(pairs.len()), Vec::new());
        // Completions of a prompt come one after another, so that they share it.
        for pair in pairs {
            chosen.push(row(pair.0));
            if with_rejected {
                rejected.push(row(pair.1));
            }
        }
        Distinct { completions, chosen, rejected }
    }

    /// The completions with their prompts.
    pub(super) fn sequences<'a>(&self, data: &PairData<'a>) -> Vec<Sequence<'a>> {
        self.completions.iter().map(|completion| data.sequences[*completion]).collect()
    }
}

/// Rows as a tensor `[rows]`.
pub(super) fn index(rows: &[i32], device: &Device) -> Tensor<1, Int> {
    Tensor::from_data(TensorData::new(rows.to_vec(), [rows.len()]), device)
}

/// The pairs of every step: epochs in a shuffled order that depends on the seeds and the epoch only, so that a segment
/// finds its place without its predecessors.
pub(super) struct Batches<'a> {
    data: &'a PairData<'a>,
    seeds: (u64, u64),
    shuffle: Shuffle,
    size: usize,
    epoch: Option<(u64, Vec<usize>)>,
}

impl<'a> Batches<'a> {
    pub(super) fn new(data: &'a PairData<'a>, run: &PreferenceRun<'_>) -> Self {
        Batches { data, seeds: run.seeds, shuffle: run.size.shuffle, size: run.size.batch_pairs, epoch: None }
    }

    /// The pairs of step `step`.
    pub(super) fn batch(&mut self, step: u64) -> Vec<(usize, usize)> {
        let count = self.data.pairs.len() as u64;
        let first = step * self.size as u64;
        (first..first + self.size as u64).map(|draw| self.pair(draw / count, (draw % count) as usize)).collect()
    }

    fn pair(&mut self, epoch: u64, index: usize) -> (usize, usize) {
        if self.epoch.as_ref().is_none_or(|(current, _)| *current != epoch) {
            self.epoch = Some((epoch, self.order(epoch)));
        }
        let order = self.epoch.as_ref().map_or(&[][..], |(_, order)| order);
        self.data.pairs[order[index]]
    }

    fn order(&self, epoch: u64) -> Vec<usize> {
        let mut stream = Stream::new(self.seeds.0, self.seeds.1, "batches", epoch);
        match self.shuffle {
            Shuffle::Pairs => stream.permutation(self.data.pairs.len()),
            Shuffle::Prompts => {
                let mut groups: Vec<Vec<usize>> = Vec::new();
                let mut previous = None;
                for (index, (chosen, _)) in self.data.pairs.iter().enumerate() {
                    let prompt = self.data.prompt_of[*chosen];
                    if previous != Some(prompt) {
                        groups.push(Vec::new());
                        previous = Some(prompt);
                    }
                    if let Some(group) = groups.last_mut() {
                        group.push(index);
                    }
                }
                stream.permutation(groups.len()).into_iter().flat_map(|group| groups[group].clone()).collect()
            }
        }
    }
}
