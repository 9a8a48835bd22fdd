//! From token lists to tensors: batches without padding, and log-probs of their completions.

use crate::methods::TokenLogProbs;
use crate::models::{Decoder, gpu};
use crate::ops::{self, Family, Prediction};
use burn::tensor::{Device, Int, Tensor, TensorData};
use std::ops::Range;

/// A prompt (its start token included) and what follows it.
#[derive(Clone, Copy, Debug)]
pub struct Sequence<'a> {
    /// Tokens that are given.
    pub prompt: &'a [u32],
    /// Tokens whose log-probs count.
    pub completion: &'a [u32],
}

impl<'a> Sequence<'a> {
    /// A whole text: its first token is given.
    pub fn whole(tokens: &'a [u32]) -> Self {
        let (prompt, completion) = tokens.split_at(tokens.len().min(1));
        Sequence { prompt, completion }
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.prompt.len() + self.completion.len()
    }

    /// Whether there is no token at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Log-probs of completion tokens, sequence after sequence `[completion tokens]`, as one row a sequence.
pub fn rows_of_completions(values: Tensor<1>, sequences: &[Sequence<'_>]) -> TokenLogProbs {
    let device = values.device();
    let lengths = || sequences.iter().map(|sequence| sequence.completion.len());
    let (rows, longest) = (sequences.len(), lengths().max().unwrap_or(0));
    let mut places = Vec::with_capacity(rows * longest);
    let mut mask = Vec::with_capacity(rows * longest);
    let mut first = 0;
    for length in lengths() {
        // A place behind a completion's end reads its own row's first value, which is finite, and is masked.
        places.extend((0..longest).map(|index| first + if index < length { index } else { 0 }));
        mask.extend((0..longest).map(|index| if index < length { 1.0_f32 } else { 0.0 }));
        first += length;
    }
    let values = values.select(0, indices(&places, &device)).reshape([rows, longest]);
    TokenLogProbs { values, mask: Tensor::from_data(TensorData::new(mask, [rows, longest]), &device) }
}

fn indices(rows: &[usize], device: &Device) -> Tensor<1, Int> {
    Tensor::from_data(TensorData::new(rows.iter().map(|row| *row as i32).collect(), [rows.len()]), device)
}

/// How many sequences with one prompt share it. One token, as all texts start with, is not worth it; and a family attends on one
/// thread, so that it must not be the whole batch.
fn siblings_at_once(alike: &[Sequence<'_>]) -> usize {
    if alike[0].prompt.len() > 1 { 8 } else { 1 }
}

/// What is read off a model for every sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// log p of every completion token, sequence after sequence.
    TokenLogProbs,
    /// log p of every completion token and the value before it, by turns.
    TokenLogProbsAndValues,
    /// A reward model's score of every sequence.
    Scores,
}

/// Sequences one after another, and where their completions are. On the CPU there is no padding, and a prompt that sequences next to
/// each other share is there once. A GPU compiles kernels for every shape and wants few: there sequences have [few
/// lengths](gpu::few_lengths), and nothing reads what comes behind their ends.
pub struct Batch {
    /// Id and position of every token.
    tokens: Vec<(u32, usize)>,
    families: Vec<Family>,
    /// Every completion token, sequence after sequence.
    pub(super) predictions: Vec<Prediction>,
    /// Completion tokens of each sequence.
    pub(super) completions: Vec<usize>,
    /// Row of the hidden states at each sequence's last token.
    last: Vec<usize>,
}

impl Batch {
    /// Lines up sequences for a model on a device, with or without gradients. With `to_last` the last token is an input too (a reward
    /// model reads it).
    pub fn new(sequences: &[Sequence<'_>], to_last: bool, model: &Decoder, device: &Device) -> Self {
        if ops::is_cpu(device) {
            Batch::packed(sequences, to_last)
        } else {
            Batch::filled(sequences, to_last, model.config.width)
        }
    }

    fn packed(sequences: &[Sequence<'_>], to_last: bool) -> Self {
        let (mut tokens, mut families) = (Vec::new(), Vec::new());
        let (mut predictions, mut last) = (Vec::new(), Vec::new());
        for siblings in sequences.chunk_by(|a, b| a.prompt == b.prompt).flat_map(|alike| alike.chunks(siblings_at_once(alike))) {
            let prompt = siblings[0].prompt;
            tokens.extend(prompt.iter().copied().zip(0..));
            let mut own = Vec::with_capacity(siblings.len());
            let end_of_prompt = tokens.len() - 1;
            for Sequence { completion, .. } in siblings {
                let first = tokens.len();
                let inputs = if to_last { completion.len() } else { completion.len().saturating_sub(1) };
                // The row that predicts the completion's first token is that of the prompt's last.
                let rows = std::iter::once(end_of_prompt).chain(first..);
                predictions.extend(completion.iter().zip(rows).map(|(token, row)| Prediction { row, token: *token }));
                tokens.extend(completion[..inputs].iter().copied().zip(prompt.len()..));
                last.push(if inputs > 0 { tokens.len() - 1 } else { end_of_prompt });
                own.push(inputs);
            }
            // A sequence by itself is not cut in two.
            families.push(match own[..] {
                [inputs] => Family::single(prompt.len() + inputs),
                _ => Family { shared: prompt.len(), own },
            });
        }
        let completions = sequences.iter().map(|sequence| sequence.completion.len()).collect();
        Batch { tokens, families, predictions, completions, last }
    }

    /// The shortest come first; predictions stay in the sequences' order.
    fn filled(sequences: &[Sequence<'_>], to_last: bool, width: usize) -> Self {
        let inputs = |sequence: &Sequence<'_>| sequence.len().saturating_sub(usize::from(!to_last)).max(1);
        let lengths = gpu::few_lengths(&sequences.iter().map(inputs).collect::<Vec<_>>(), width);
        let mut order: Vec<usize> = (0..sequences.len()).collect();
        order.sort_by_key(|index| lengths[*index]);
        let (mut tokens, mut starts) = (Vec::new(), vec![0; sequences.len()]);
        for index in &order {
            let (start, sequence) = (tokens.len(), &sequences[*index]);
            let own = sequence.prompt.iter().chain(sequence.completion).take(inputs(sequence));
            tokens.extend(own.copied().zip(0..));
            // Any token at a position that every model knows.
            tokens.resize(start + lengths[*index], (0, 0));
            starts[*index] = start;
        }
        let predicted = |(sequence, start): (&Sequence<'_>, &usize)| {
            let rows = start + sequence.prompt.len() - 1..;
            sequence.completion.iter().zip(rows).map(|(token, row)| Prediction { row, token: *token }).collect::<Vec<_>>()
        };
        Batch {
            tokens,
            families: order.iter().map(|index| Family::single(lengths[*index])).collect(),
            predictions: sequences.iter().zip(&starts).flat_map(predicted).collect(),
            completions: sequences.iter().map(|sequence| sequence.completion.len()).collect(),
            last: sequences.iter().zip(&starts).map(|(sequence, start)| start + inputs(sequence) - 1).collect(),
        }
    }

    /// log p of every completion token under a model, sequence after sequence, `[completion tokens]`.
    pub fn token_log_probs(&self, model: &Decoder) -> Tensor<1> {
        self.whole(model, Output::TokenLogProbs)
    }

    /// Scores at each sequence's last token, `[rows]` for a scalar head, under a model that has scores.
    pub fn scores(&self, model: &Decoder) -> Tensor<1> {
        self.whole(model, Output::Scores)
    }

    pub(super) fn whole(&self, model: &Decoder, output: Output) -> Tensor<1> {
        self.read(model, self.hidden(model), output)
    }

    /// The input of a model's first block.
    pub fn embed(&self, model: &Decoder) -> Tensor<2> {
        model.embed(&self.tokens)
    }

    /// What some blocks of a model make of what the one before made, as [`Decoder::blocks`].
    pub fn blocks(&self, model: &Decoder, input: Tensor<2>, blocks: Range<usize>) -> Tensor<2> {
        model.blocks(blocks, input, &self.tokens, &self.families)
    }

    /// What is read off final hidden states `[tokens, width]`: scores, or what belongs to every completion token.
    pub fn read(&self, model: &Decoder, hidden: Tensor<2>, output: Output) -> Tensor<1> {
        let predictions = &self.predictions;
        match output {
            Output::TokenLogProbs => model.token_log_probs(hidden, predictions),
            Output::TokenLogProbsAndValues => {
                let rows: Vec<usize> = predictions.iter().map(|prediction| prediction.row).collect();
                let rows = indices(&rows, &hidden.device());
                let values = model.values(hidden.clone().select(0, rows));
                Tensor::stack::<2>(vec![model.token_log_probs(hidden, predictions), values], 1).flatten(0, 1)
            }
            Output::Scores => {
                let last = indices(&self.last, &hidden.device());
                model.scores(hidden.select(0, last)).flatten(0, 1)
            }
        }
    }

    /// Final hidden states `[tokens, width]` of a model.
    pub fn hidden(&self, model: &Decoder) -> Tensor<2> {
        model.hidden(&self.tokens, &self.families)
    }

    /// Sums over each completion's tokens, in f64.
    pub(super) fn sums(&self, values: &Tensor<1>) -> Vec<f64> {
        let values: Vec<f64> = values.to_data().iter::<f32>().map(f64::from).collect();
        let mut rest = &values[..];
        let sum = |length: &usize| {
            let (own, others) = rest.split_at(*length);
            rest = others;
            own.iter().sum()
        };
        self.completions.iter().map(sum).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{DecoderConfig, tensor, values};
    use crate::ops::testing::numbers;
    use crate::random::Stream;

    #[test]
    fn a_batch_says_the_same_however_its_sequences_lie() {
        let device = Device::flex();
        let stream = || Stream::new(0, 0, "sequences test", 0);
        let policy = Decoder::new(DecoderConfig::gpt2(50, 160, 24, 2, 3), &mut stream(), &device);
        let mut judge = policy.with_scalar_head(&device);
        let head = judge.parameters.0.last_mut().expect("a head");
        head.value = tensor(numbers(24, 1), &device);
        let ids: Vec<u32> = (0..160).map(|index| 1 + index * 7 % 49).collect();
        let lengths = [[3, 150], [3, 1], [3, 63], [60, 2], [60, 70], [2, 1]];
        let sequence = |[prompt, own]: [usize; 2]| Sequence { prompt: &ids[..prompt], completion: &ids[prompt..prompt + own] };
        let sequences = lengths.map(sequence);
        let log_probs = |batch: Batch| values(&batch.token_log_probs(&policy));
        let scores = |batch: Batch| values(&batch.scores(&judge));
        // As on the CPU, all of one length, and of as many lengths as there are.
        let [packed, one, many] = [
            |sequences: &[Sequence<'_>], to_last| Batch::packed(sequences, to_last),
            |sequences: &[Sequence<'_>], to_last| Batch::filled(sequences, to_last, 1),
            |sequences: &[Sequence<'_>], to_last| Batch::filled(sequences, to_last, 1 << 16),
        ];
        assert_eq!([one, many].map(|way| way(&sequences, false).tokens.len()), [6 * 192, 3 * 64 + 128 + 2 * 192]);
        for way in [one, many] {
            for (got, wanted) in [
                (log_probs(way(&sequences, false)), log_probs(packed(&sequences, false))),
                (scores(way(&sequences, true)), scores(packed(&sequences, true))),
            ] {
                assert_eq!(got.len(), wanted.len());
                assert!(got.iter().zip(&wanted).all(|(got, wanted)| (got - wanted).abs() < 1e-5), "{got:?} {wanted:?}");
            }
        }
    }
}
