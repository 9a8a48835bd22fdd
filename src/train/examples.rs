//! What preference training learns from: which examples a step sees, and the distinct completions of a batch.

use super::preference::PreferenceRun;
use super::sequences::Sequence;
use crate::methods::Examples;
use crate::random::Stream;
use crate::spec::Shuffle;
use burn::tensor::{Device, Int, Tensor, TensorData};
use std::collections::HashMap;

/// One thing to learn from: completions by their index in the data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Example {
    /// A chosen and a rejected completion of one prompt.
    Pair(usize, usize),
    /// A completion that is good by itself.
    Desirable(usize),
    /// A completion that is bad by itself.
    Undesirable(usize),
    /// Completions of one prompt, the best first; two at least.
    Ranking(Vec<usize>),
}

impl Example {
    /// What a loss takes of pairs: themselves, or one completion of each, by turns.
    pub fn of_pairs(pairs: &[(usize, usize)], wanted: Examples) -> Vec<Example> {
        let of = |(index, (chosen, rejected)): (usize, &(usize, usize))| match wanted {
            Examples::Pairs | Examples::Judgements => Example::Pair(*chosen, *rejected),
            Examples::OneOfPair if index % 2 == 0 => Example::Desirable(*chosen),
            Examples::OneOfPair => Example::Undesirable(*rejected),
            Examples::Rankings => Example::Ranking(vec![*chosen, *rejected]),
        };
        pairs.iter().enumerate().map(of).collect()
    }

    /// A completion of it; all are of one prompt.
    pub(super) fn completion(&self) -> usize {
        match self {
            Example::Pair(completion, _) | Example::Desirable(completion) | Example::Undesirable(completion) => *completion,
            Example::Ranking(completions) => completions.first().copied().unwrap_or_default(),
        }
    }
}

/// Completions, and examples of their indices, sorted by prompt.
#[derive(Default)]
pub struct PreferenceData<'a> {
    /// Every completion with its prompt.
    pub sequences: Vec<Sequence<'a>>,
    /// Prompt of every completion.
    pub prompt_of: Vec<usize>,
    /// What is learnt from.
    pub examples: Vec<Example>,
    /// Weight of every example, where every step sees all of them; they sum to 1.
    pub weights: Option<Vec<f64>>,
    /// log ref(completion | prompt) of every completion, for methods that need it.
    pub reference: Option<Vec<f64>>,
    /// For every prompt the completion of another one after it, and its log-prob under the reference, for methods that need it.
    pub mismatched: Option<Vec<(Sequence<'a>, f64)>>,
}

/// The distinct completions of some examples, each of which is run once, and the examples by their rows.
#[derive(Default)]
pub(super) struct Distinct {
    /// Completions, by their index in the data.
    pub(super) completions: Vec<usize>,
    /// Row of each better completion.
    pub(super) chosen: Vec<usize>,
    /// Row of each worse completion; none where they are not run.
    pub(super) rejected: Vec<usize>,
    /// Rows of each ranking.
    pub(super) rankings: Vec<Vec<usize>>,
    /// Whether better and worse completions stand in pairs.
    pub(super) paired: bool,
}

impl Distinct {
    /// Of these examples; worse completions only where they are wanted. Completions of a prompt come one after another, so that
    /// they share it.
    pub(super) fn of(examples: &[Example], with_rejected: bool) -> Self {
        let mut row_of: HashMap<usize, usize> = HashMap::new();
        let mut distinct = Distinct { paired: true, ..Distinct::default() };
        let completions = &mut distinct.completions;
        let mut row = |completion: usize| -> usize {
            *row_of.entry(completion).or_insert_with(|| {
                completions.push(completion);
                completions.len() - 1
            })
        };
        for example in examples {
            match example {
                Example::Pair(chosen, rejected) => {
                    distinct.chosen.push(row(*chosen));
                    if with_rejected {
                        distinct.rejected.push(row(*rejected));
                    }
                }
                Example::Desirable(completion) => distinct.chosen.push(row(*completion)),
                Example::Undesirable(completion) => distinct.rejected.push(row(*completion)),
                Example::Ranking(ranked) => {
                    let rows: Vec<usize> = ranked.iter().map(|completion| row(*completion)).collect();
                    distinct.chosen.extend(rows.first());
                    distinct.rejected.extend(rows.last());
                    distinct.rankings.push(rows);
                }
            }
            distinct.paired &= matches!(example, Example::Pair(..) | Example::Ranking(_));
        }
        distinct
    }

    /// The completions with their prompts.
    pub(super) fn sequences<'a>(&self, data: &PreferenceData<'a>) -> Vec<Sequence<'a>> {
        self.completions.iter().map(|completion| data.sequences[*completion]).collect()
    }
}

/// Rows as a tensor `[rows]`.
pub(super) fn index(rows: &[usize], device: &Device) -> Tensor<1, Int> {
    Tensor::from_data(TensorData::new(rows.iter().map(|row| *row as i32).collect(), [rows.len()]), device)
}

/// The examples of every step: epochs in a shuffled order that depends on the seeds and the epoch only, so that a segment
/// finds its place without its predecessors.
pub(super) struct Batches<'a> {
    data: &'a PreferenceData<'a>,
    seeds: (u64, u64),
    shuffle: Shuffle,
    size: usize,
    epoch: Option<(u64, Vec<usize>)>,
}

impl<'a> Batches<'a> {
    pub(super) fn new(data: &'a PreferenceData<'a>, run: &PreferenceRun<'_>) -> Self {
        Batches { data, seeds: run.seeds, shuffle: run.size.shuffle, size: run.size.batch_pairs, epoch: None }
    }

    /// The examples of step `step`.
    pub(super) fn batch(&mut self, step: u64) -> Vec<Example> {
        if self.data.weights.is_some() {
            return self.data.examples.clone();
        }
        let count = self.data.examples.len() as u64;
        let first = step * self.size as u64;
        (first..first + self.size as u64).map(|draw| self.example(draw / count, (draw % count) as usize)).collect()
    }

    fn example(&mut self, epoch: u64, index: usize) -> Example {
        if self.epoch.as_ref().is_none_or(|(current, _)| *current != epoch) {
            self.epoch = Some((epoch, self.order(epoch)));
        }
        let order = self.epoch.as_ref().map_or(&[][..], |(_, order)| order);
        self.data.examples[order[index]].clone()
    }

    fn order(&self, epoch: u64) -> Vec<usize> {
        let mut stream = Stream::new(self.seeds.0, self.seeds.1, "batches", epoch);
        match self.shuffle {
            Shuffle::Pairs => stream.permutation(self.data.examples.len()),
            Shuffle::Prompts => {
                let mut groups: Vec<Vec<usize>> = Vec::new();
                let mut previous = None;
                for (index, example) in self.data.examples.iter().enumerate() {
                    let prompt = self.data.prompt_of[example.completion()];
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
