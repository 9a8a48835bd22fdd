//! One decoder-only transformer for every family: pre-norm blocks of attention and feed-forward layers (Vaswani et al. 2017).
//! What differs between families is data, in [`DecoderConfig`].

use super::config::{DecoderConfig, Norm, Part, Place, Positions, Residual};
use super::hf::Origin;
use super::lora::Adapters;
use super::parameters::{Parameter, Parameters, tensor};
use super::precision::Precision;
use crate::ops;
use crate::random::Stream;
use burn::tensor::{DType, Device, Tensor, TensorData};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// Contexts whose next tokens are looked at together.
const CONTEXTS: usize = 256;
/// Standard deviation of GPT-2's initial weights.
pub const INITIAL_DEVIATION: f64 = 0.02;

/// How a weight starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Start {
    /// All numbers are this one.
    Constant(f32),
    /// Normal with mean 0 and this standard deviation.
    Normal(f64),
}

impl Start {
    /// So many numbers from a stream.
    pub fn values(self, count: usize, stream: &mut Stream) -> Vec<f32> {
        match self {
            Start::Constant(value) => vec![value; count],
            Start::Normal(deviation) => (0..count).map(|_| (stream.normal() * deviation) as f32).collect(),
        }
    }
}

/// A decoder and its weights.
#[derive(Clone, Debug)]
pub struct Decoder {
    /// Its architecture.
    pub config: DecoderConfig,
    /// Its weights, in the order of [`DecoderConfig::places`], then those of its adapters.
    pub parameters: Parameters,
    /// How it lies in files.
    pub origin: Arc<Origin>,
    index: Arc<HashMap<Place, usize>>,
    /// What its products are computed in.
    precision: Precision,
    /// What its last parameters are, where it has adapters.
    pub(super) adapters: Option<Arc<Adapters>>,
}

impl Decoder {
    /// From weights in the order of [`DecoderConfig::places`].
    pub(super) fn from_parts(config: DecoderConfig, parameters: Parameters, origin: Arc<Origin>) -> Self {
        let index = config.places().into_iter().enumerate().map(|(index, (place, _))| (place, index)).collect();
        Decoder { config, parameters, origin, index: Arc::new(index), precision: Precision::F32, adapters: None }
    }

    /// A GPT-2 with random weights as GPT-2's: normal with deviation 0.02, residual projections divided by sqrt(2 layers).
    pub fn new(config: DecoderConfig, stream: &mut Stream, device: &Device) -> Self {
        Self::with_deviation(config, INITIAL_DEVIATION, stream, device)
    }

    /// The same with another deviation: narrow models learn sooner from larger ones.
    pub fn with_deviation(config: DecoderConfig, deviation: f64, stream: &mut Stream, device: &Device) -> Self {
        let origin = Origin::gpt2(&config);
        Decoder::with_weights(config, origin, deviation, |start, count| tensor(start.values(count, stream), device))
    }

    /// A model whose weights `make` makes, from how each starts and how many numbers it has.
    pub(super) fn with_weights(
        config: DecoderConfig,
        origin: Origin,
        deviation: f64,
        mut make: impl FnMut(Start, usize) -> Tensor<1>,
    ) -> Self {
        let residual = deviation / (2.0 * config.layers as f64).sqrt();
        let parameters = config.places().into_iter().map(|(place, shape)| {
            use Part::{FirstGain, KeyGain, Mix, Narrow, QueryGain, SecondGain};
            let start = match place {
                Place::FinalGain | Place::Block(_, FirstGain | SecondGain | QueryGain | KeyGain) => Start::Constant(1.0),
                _ if shape.len() == 1 => Start::Constant(0.0),
                Place::Block(_, Mix | Narrow) => Start::Normal(residual),
                _ => Start::Normal(deviation),
            };
            let value = make(start, shape.iter().product());
            Parameter { name: place.to_string(), shape, value, trainable: true }
        });
        let parameters = Parameters(parameters.collect());
        Decoder::from_parts(config, parameters, Arc::new(origin))
    }

    /// The same body, with its adapters, and a scalar head of zeros: a reward model before training scores everything 0.
    pub fn with_scalar_head(&self, device: &Device) -> Self {
        let mut parameters = self.parameters.clone();
        let adapters = parameters.0.split_off(self.index.len());
        if let Some(head) = self.index.get(&Place::Head) {
            parameters.0.remove(*head);
        }
        let width = self.config.width;
        let value = tensor(vec![0.0; width], device);
        parameters.0.push(Parameter { name: Place::Score.to_string(), shape: vec![1, width], value, trainable: true });
        parameters.0.extend(adapters);
        let config = DecoderConfig { scores: 1, ..self.config.clone() };
        Decoder { adapters: self.adapters.clone(), ..Decoder::from_parts(config, parameters, self.origin.clone()) }
    }

    /// The same model with a value head of zeros: every position is worth 0 before training.
    pub fn with_value_head(&self, device: &Device) -> Self {
        let shape = vec![1, self.config.width + 1];
        let value = tensor(vec![0.0; self.config.width + 1], device);
        let head = Parameter { name: Place::Value.to_string(), shape, value, trainable: true };
        self.with_given_value_head(head)
    }

    /// The same model with this value head.
    pub fn with_given_value_head(&self, head: Parameter) -> Self {
        let mut parameters = self.parameters.clone();
        let adapters = parameters.0.split_off(self.index.len());
        parameters.0.push(head);
        parameters.0.extend(adapters);
        let config = DecoderConfig { value: true, ..self.config.clone() };
        Decoder { adapters: self.adapters.clone(), ..Decoder::from_parts(config, parameters, self.origin.clone()) }
    }

    /// The policy and its value head, for a model that has one.
    pub fn without_value_head(&self) -> (Self, Option<Parameter>) {
        let mut parameters = self.parameters.clone();
        let head = self.index.get(&Place::Value).map(|index| parameters.0.remove(*index));
        let config = DecoderConfig { value: false, ..self.config.clone() };
        let policy = Decoder::from_parts(config, parameters, self.origin.clone());
        (Decoder { adapters: self.adapters.clone(), ..policy }, head)
    }

    /// Whether work is shared out by sequences, with gradients and a pass over the weights for each thread, rather than within
    /// operations: up to 16 million weights.
    pub fn is_small(&self) -> bool {
        self.parameters.count() <= 1 << 24
    }

    /// The same weights, with products computed in another precision.
    pub fn computing_in(self, precision: Precision) -> Self {
        Decoder { precision, ..self }
    }

    /// The same weights on a gradient tape; those that are trained are its leaves.
    pub fn tracked(&self, device: &Device) -> Self {
        Decoder { parameters: self.parameters.tracked(device), ..self.clone() }
    }

    /// Final hidden states `[tokens, width]` of families of sequences, one after another without padding, from the id and position
    /// of every token.
    pub fn hidden(&self, tokens: &[(u32, usize)], families: &[ops::Family]) -> Tensor<2> {
        self.blocks(0..self.config.layers, self.embed(tokens), tokens, families)
    }

    /// A part of [`hidden`](Self::hidden): the output of these blocks for that of the one before, or of [`embed`](Self::embed). The
    /// last block's comes normalised.
    pub fn blocks(&self, blocks: Range<usize>, mut x: Tensor<2>, tokens: &[(u32, usize)], families: &[ops::Family]) -> Tensor<2> {
        let positions: Vec<usize> = tokens.iter().map(|(_, position)| *position).collect();
        let is_last = blocks.end == self.config.layers;
        for layer in blocks {
            x = self.block(layer, x, &positions, |qkv| ops::causal_attention(qkv, families, self.config.heads));
        }
        if is_last { self.norm(x, Place::FinalGain, Place::FinalBias) } else { x }
    }

    /// log p of the predicted tokens, `[predictions]`, for final hidden states.
    pub fn token_log_probs(&self, hidden: Tensor<2>, predictions: &[ops::Prediction]) -> Tensor<1> {
        let (hidden, head) = self.head(hidden);
        ops::token_log_probs(hidden, head, predictions)
    }

    /// For each prediction KL(self || other), log self - log other of its token, and the entropy, `[predictions, 3]` in nats, for
    /// both models' final hidden states.
    pub fn divergence(&self, other: &Decoder, hidden: [Tensor<2>; 2], predictions: &[ops::Prediction]) -> Tensor<2> {
        let [own, others] = hidden;
        let ((own, words), (others, other_words)) = (self.head(own), other.head(others));
        ops::divergence([own, words], [others, other_words], predictions)
    }

    /// Logits `[rows, vocabulary]` of final hidden states.
    pub fn logits(&self, hidden: Tensor<2>) -> Tensor<2> {
        let (hidden, head) = self.head(hidden);
        ops::head_logits(hidden, head)
    }

    /// Scores `[rows, scores]` of final hidden states, for a model that has some.
    pub fn scores(&self, hidden: Tensor<2>) -> Tensor<2> {
        hidden.matmul(self.matrix(Place::Score).transpose())
    }

    /// Values `[rows]` of final hidden states, for a model with a value head.
    pub fn values(&self, hidden: Tensor<2>) -> Tensor<1> {
        let ones = Tensor::ones([hidden.dims()[0], 1], &hidden.device());
        Tensor::cat(vec![hidden, ones], 1).matmul(self.matrix(Place::Value).transpose()).squeeze_dim(1)
    }

    /// Scores of each whole sequence, read off its last token, for a model that has some.
    pub fn classify(&self, sequences: &[Vec<u32>], device: &Device) -> Vec<Vec<f32>> {
        let mut all = Vec::with_capacity(sequences.len());
        for sequence in sequences {
            let placed: Vec<(u32, usize)> = sequence.iter().copied().zip(0..).collect();
            let last = Tensor::from_data([sequence.len().saturating_sub(1) as i32], device);
            let hidden = self.hidden(&placed, &[ops::Family::single(sequence.len())]).select(0, last);
            all.push(self.scores(hidden).to_data().iter::<f32>().collect());
        }
        all
    }

    /// log p of every next token after each of these contexts, `[contexts][vocabulary]` in f64.
    pub fn next_token_log_probs(&self, contexts: &[Vec<u32>], device: &Device) -> Vec<Vec<f64>> {
        let mut all = Vec::with_capacity(contexts.len());
        for chunk in contexts.chunks(CONTEXTS) {
            let placed: Vec<(u32, usize)> = chunk.iter().flat_map(|tokens| tokens.iter().copied().zip(0..)).collect();
            let families: Vec<ops::Family> = chunk.iter().map(|tokens| ops::Family::single(tokens.len())).collect();
            let ends = chunk.iter().scan(0, |end, tokens| {
                *end += tokens.len();
                Some(*end as i32 - 1)
            });
            let last = Tensor::from_data(TensorData::new(ends.collect(), [chunk.len()]), device);
            let logits = self.logits(self.hidden(&placed, &families).select(0, last)).to_data();
            let logits: Vec<f64> = logits.iter::<f32>().map(f64::from).collect();
            all.extend(logits.chunks_exact(self.config.vocabulary).map(|logits| {
                let greatest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let total = greatest + logits.iter().map(|logit| (logit - greatest).exp()).sum::<f64>().ln();
                logits.iter().map(|logit| logit - total).collect()
            }));
        }
        all
    }

    /// Vectors `[tokens, width]` of tokens, from the id and position of each.
    pub fn embed(&self, tokens: &[(u32, usize)]) -> Tensor<2> {
        let positions = (self.config.positions == Positions::Learned).then(|| self.matrix(Place::Positions));
        ops::embedding(self.matrix(Place::Embedding), positions, tokens)
    }

    /// A block's output for rows of the residual stream.
    pub(super) fn block(
        &self,
        layer: usize,
        x: Tensor<2>,
        positions: &[usize],
        attend: impl FnOnce(Tensor<2>) -> Tensor<2>,
    ) -> Tensor<2> {
        let at = |part| Place::Block(layer, part);
        let weights = |matrix, bias| {
            let matrix = self.matrix(at(matrix)).cast(self.precision.dtype());
            let [_, out] = matrix.dims();
            let bias = self.index.get(&at(bias)).map(|index| self.parameters.vector(*index));
            let bias = bias.unwrap_or_else(|| Tensor::zeros([out], &matrix.device()));
            (matrix, bias)
        };
        let feed_forward = |normed: Tensor<2>, onto: Tensor<2>| {
            let ((widen, wide_bias), (narrow, bias)) =
                (weights(Part::Widen, Part::WidenBias), weights(Part::Narrow, Part::NarrowBias));
            let activation = self.config.activation;
            // What an adapter adds comes before the activation.
            let wide = if self.is_adapted(at(Part::Widen)) {
                let before = ops::linear(normed.clone(), widen, wide_bias);
                ops::activate(self.adapt(at(Part::Widen), before, &normed), activation)
            } else {
                ops::linear_then(normed, widen, wide_bias, activation)
            };
            self.adapt(at(Part::Narrow), ops::linear_onto(onto, wide.clone(), narrow, bias), &wide)
        };
        let second_norm = |x| self.norm(x, at(Part::SecondGain), at(Part::SecondBias));
        let normed = self.norm(x.clone(), at(Part::FirstGain), at(Part::FirstBias));
        let (to_qkv, qkv_bias) = weights(Part::Qkv, Part::QkvBias);
        let qkv = self.adapt(at(Part::Qkv), ops::linear(normed.clone(), to_qkv, qkv_bias), &normed);
        let qkv = self.queries_and_keys_normed(layer, qkv);
        let qkv = match &self.config.positions {
            Positions::Learned => qkv,
            Positions::Rotary(rotary) => ops::rotary(qkv, positions, self.config.heads, rotary),
        };
        let mixed = attend(qkv);
        let (mix, mix_bias) = weights(Part::Mix, Part::MixBias);
        let with_attention = self.adapt(at(Part::Mix), ops::linear_onto(x.clone(), mixed.clone(), mix, mix_bias), &mixed);
        match self.config.residual {
            Residual::Serial => feed_forward(second_norm(with_attention.clone()), with_attention),
            Residual::Parallel => feed_forward(second_norm(x), with_attention),
            Residual::ParallelOneNorm => feed_forward(normed, with_attention),
        }
    }

    /// Queries and keys divided by each head's root mean square, where the architecture wants it.
    fn queries_and_keys_normed(&self, layer: usize, qkv: Tensor<2>) -> Tensor<2> {
        if !self.config.query_key_norm {
            return qkv;
        }
        let [tokens, packed] = qkv.dims();
        let ([queries, keys], head) = (self.config.query_and_key_widths(), self.config.head_width);
        let normed = |columns: std::ops::Range<usize>, gain| {
            let width = columns.len();
            let rows = qkv.clone().slice_dim(1, columns).reshape([tokens * width / head, head]).cast(DType::F32);
            let normed = ops::rms_norm(rows, self.vector(Place::Block(layer, gain)), self.config.norm_epsilon);
            normed.reshape([tokens, width]).cast(qkv.dtype())
        };
        let values = qkv.clone().slice_dim(1, queries + keys..packed);
        Tensor::cat(vec![normed(0..queries, Part::QueryGain), normed(queries..queries + keys, Part::KeyGain), values], 1)
    }

    pub(super) fn norm(&self, x: Tensor<2>, gain: Place, bias: Place) -> Tensor<2> {
        match self.config.norm {
            Norm::Layer => ops::layer_norm(x, self.vector(gain), self.vector(bias), self.config.norm_epsilon),
            Norm::Rms => ops::rms_norm(x, self.vector(gain), self.config.norm_epsilon),
        }
    }

    /// Hidden states and the rows that give logits; a bias meets a column of ones.
    fn head(&self, hidden: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let place = if self.index.contains_key(&Place::Head) { Place::Head } else { Place::Embedding };
        let hidden = if place == Place::Head && self.config.biases.head {
            let ones = Tensor::ones([hidden.dims()[0], 1], &hidden.device());
            Tensor::cat(vec![hidden, ones], 1)
        } else {
            hidden
        };
        (hidden, self.matrix(place).cast(self.precision.dtype()))
    }

    /// A weight that the architecture has.
    fn vector(&self, place: Place) -> Tensor<1> {
        self.parameters.vector(self.index[&place])
    }

    /// A weight that the architecture has.
    pub(super) fn matrix(&self, place: Place) -> Tensor<2> {
        self.parameters.matrix(self.index[&place])
    }

    /// Where a weight that the architecture has is among the parameters.
    pub(super) fn position(&self, place: Place) -> usize {
        self.index[&place]
    }

    /// Number of weights that the architecture has: adapters' come after them.
    pub(super) fn places(&self) -> usize {
        self.index.len()
    }
}
