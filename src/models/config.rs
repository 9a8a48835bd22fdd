//! What makes one decoder-only transformer different from another, and which weights it has.

use crate::error::{Error, Result};
use crate::ops::{Activation, Heads, Rotary};
use std::fmt;

/// A decoder's architecture: what `hf/` makes of a config.json.
#[derive(Clone, Debug, PartialEq)]
pub struct DecoderConfig {
    /// Entries of the embedding.
    pub vocabulary: usize,
    /// Greatest number of positions.
    pub context: usize,
    /// Width of the residual stream.
    pub width: usize,
    /// Number of blocks.
    pub layers: usize,
    /// Attention heads of a block.
    pub heads: Heads,
    /// Width of one head.
    pub head_width: usize,
    /// Width between the two maps of a feed-forward layer.
    pub inner: usize,
    /// What normalises the residual stream before it is read.
    pub norm: Norm,
    /// Added to the mean of squares, or to the variance.
    pub norm_epsilon: f64,
    /// How tokens know their place.
    pub positions: Positions,
    /// How attention and feed-forward layer of a block follow each other.
    pub residual: Residual,
    /// Between the two maps of a feed-forward layer.
    pub activation: Activation,
    /// Which maps have a bias.
    pub biases: Biases,
    /// Whether queries and keys are normalised head by head (Qwen3).
    pub query_key_norm: bool,
    /// Whether the head is the embedding.
    pub tied: bool,
    /// Scores of a sequence that are read off its last token; 0 for a model that predicts tokens.
    pub scores: usize,
    /// Whether a value of every position is estimated, too: only while a policy is reinforced, never in files.
    pub value: bool,
}

/// A normalisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norm {
    /// With mean, gain and bias (Ba et al. 2016).
    Layer,
    /// Without mean and bias (Zhang and Sennrich 2019).
    Rms,
}

/// An encoding of positions.
#[derive(Clone, Debug, PartialEq)]
pub enum Positions {
    /// A vector of each position is added to its token's.
    Learned,
    /// Queries and keys are turned.
    Rotary(Rotary),
}

/// The shape of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Residual {
    /// x + attention(norm(x)), then x + feed-forward(norm(x)).
    Serial,
    /// x + attention(norm(x)) + feed-forward(other norm(x)) (GPT-NeoX).
    Parallel,
    /// x + attention(norm(x)) + feed-forward(norm(x)) (GPT-J).
    ParallelOneNorm,
}

/// Which maps have a bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Biases {
    /// Queries, keys and values.
    pub qkv: bool,
    /// What follows the heads.
    pub mix: bool,
    /// Both of the feed-forward layer.
    pub feed_forward: bool,
    /// The head.
    pub head: bool,
}

/// A weight. Matrices are `[in, out]`, embeddings and the head `[entries, width]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// A vector of every token.
    Embedding,
    /// A vector of every position.
    Positions,
    /// Of a block, counted from 0.
    Block(usize, Part),
    /// Gain of the norm behind the last block.
    FinalGain,
    /// Its bias.
    FinalBias,
    /// Rows that hidden states are multiplied by where the embedding is not used; with a bias as one more column.
    Head,
    /// Rows that give scores.
    Score,
    /// The row that gives values, with a bias as one more column.
    Value,
}

/// A weight of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// Gain of the first norm.
    FirstGain,
    /// Its bias.
    FirstBias,
    /// To all queries, then all keys, then all values.
    Qkv,
    /// Their bias.
    QkvBias,
    /// Gain of the queries' norm.
    QueryGain,
    /// Gain of the keys' norm.
    KeyGain,
    /// From the heads back to the residual stream.
    Mix,
    /// Its bias.
    MixBias,
    /// Gain of the second norm.
    SecondGain,
    /// Its bias.
    SecondBias,
    /// Into the feed-forward layer; with a gate, the gate's columns come first.
    Widen,
    /// Its bias.
    WidenBias,
    /// Out of it.
    Narrow,
    /// Its bias.
    NarrowBias,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Block(layer, part) => write!(f, "block {layer}, {part:?}"),
            other => write!(f, "{other:?}"),
        }
    }
}

impl Place {
    /// Whether it belongs to one of the blocks.
    pub fn is_in_block(&self) -> bool {
        matches!(self, Place::Block(..))
    }
}

impl DecoderConfig {
    /// GPT-2's architecture (Radford et al. 2019).
    pub fn gpt2(vocabulary: usize, context: usize, width: usize, layers: usize, heads: usize) -> Self {
        DecoderConfig {
            vocabulary,
            context,
            width,
            layers,
            heads: Heads::equal(heads),
            head_width: width / heads.max(1),
            inner: 4 * width,
            norm: Norm::Layer,
            norm_epsilon: 1e-5,
            positions: Positions::Learned,
            residual: Residual::Serial,
            activation: Activation::GeluTanh,
            biases: Biases { qkv: true, mix: true, feed_forward: true, head: false },
            query_key_norm: false,
            tied: true,
            scores: 0,
            value: false,
        }
    }

    /// Bytes of the keys and values of a position.
    pub fn cache_bytes_a_token(&self) -> usize {
        2 * size_of::<f32>() * self.layers * self.heads.keys * self.head_width
    }

    /// Fails for a sequence that has more positions than the model knows. Rotary positions have no end, and get worse only slowly.
    pub fn check_length(&self, tokens: usize) -> Result<()> {
        if self.positions != Positions::Learned || tokens <= self.context {
            return Ok(());
        }
        let context = self.context;
        Err(Error::Usage(format!(
            "a text may come to {tokens} tokens, and the model knows {context} positions: lower max_new_tokens, or give shorter prompts"
        )))
    }

    /// Width of all queries, and of all keys or all values.
    pub fn query_and_key_widths(&self) -> [usize; 2] {
        [self.heads.queries * self.head_width, self.heads.keys * self.head_width]
    }

    /// Every weight and its shape, in the order of [`Decoder::parameters`](super::Decoder::parameters).
    pub fn places(&self) -> Vec<(Place, Vec<usize>)> {
        let width = self.width;
        let mut places = vec![(Place::Embedding, vec![self.vocabulary, width])];
        if self.positions == Positions::Learned {
            places.push((Place::Positions, vec![self.context, width]));
        }
        for layer in 0..self.layers {
            places.extend(self.parts().into_iter().map(|(part, shape)| (Place::Block(layer, part), shape)));
        }
        places.push((Place::FinalGain, vec![width]));
        if self.norm == Norm::Layer {
            places.push((Place::FinalBias, vec![width]));
        }
        if self.scores > 0 {
            places.push((Place::Score, vec![self.scores, width]));
        } else if !self.tied {
            places.push((Place::Head, vec![self.vocabulary, width + usize::from(self.biases.head)]));
        }
        if self.value {
            places.push((Place::Value, vec![1, width + 1]));
        }
        places
    }

    /// Every weight of a block.
    fn parts(&self) -> Vec<(Part, Vec<usize>)> {
        let [queries, keys] = self.query_and_key_widths();
        let (width, packed, inner) = (self.width, queries + 2 * keys, self.inner);
        let wide = if self.activation == Activation::SiluGate { 2 * inner } else { inner };
        let (norm_bias, second) = (self.norm == Norm::Layer, self.residual != Residual::ParallelOneNorm);
        let Biases { qkv, mix, feed_forward, .. } = self.biases;
        let all = [
            (true, Part::FirstGain, vec![width]),
            (norm_bias, Part::FirstBias, vec![width]),
            (true, Part::Qkv, vec![width, packed]),
            (qkv, Part::QkvBias, vec![packed]),
            (self.query_key_norm, Part::QueryGain, vec![self.head_width]),
            (self.query_key_norm, Part::KeyGain, vec![self.head_width]),
            (true, Part::Mix, vec![queries, width]),
            (mix, Part::MixBias, vec![width]),
            (second, Part::SecondGain, vec![width]),
            (second && norm_bias, Part::SecondBias, vec![width]),
            (true, Part::Widen, vec![width, wide]),
            (feed_forward, Part::WidenBias, vec![wide]),
            (true, Part::Narrow, vec![inner, width]),
            (feed_forward, Part::NarrowBias, vec![width]),
        ];
        all.into_iter().filter(|(there, ..)| *there).map(|(_, part, shape)| (part, shape)).collect()
    }
}
