//! One decoder-only transformer: GPT-2's architecture (Radford et al. 2019), pre-norm, learned positions, tied head.

use super::parameters::{Parameter, Parameters, tensor};
use crate::ops;
use crate::random::Stream;
use burn::tensor::{Device, Int, Tensor};
use serde::{Deserialize, Serialize};

/// What config.json says of a GPT-2.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    pub heads: usize,
    /// Whether the model scores sequences with a scalar head instead of predicting tokens.
    pub scalar_head: bool,
}

const LAYER_NORM_EPSILON: f64 = 1e-5;
/// Standard deviation of GPT-2's initial weights.
const INITIAL_DEVIATION: f64 = 0.02;
const EMBEDDING: usize = 0;
const POSITIONS: usize = 1;
const FIRST_BLOCK: usize = 2;
const PER_BLOCK: usize = 12;

impl DecoderConfig {
    /// Names and shapes of all weights, in the order of [`Decoder::parameters`].
    pub fn shapes(&self) -> Vec<(String, Vec<usize>)> {
        let width = self.width;
        let mut shapes = vec![
            ("transformer.wte.weight".to_owned(), vec![self.vocabulary, width]),
            ("transformer.wpe.weight".to_owned(), vec![self.context, width]),
        ];
        for layer in 0..self.layers {
            let block: [(&str, Vec<usize>); PER_BLOCK] = [
                ("ln_1.weight", vec![width]),
                ("ln_1.bias", vec![width]),
                ("attn.c_attn.weight", vec![width, 3 * width]),
                ("attn.c_attn.bias", vec![3 * width]),
                ("attn.c_proj.weight", vec![width, width]),
                ("attn.c_proj.bias", vec![width]),
                ("ln_2.weight", vec![width]),
                ("ln_2.bias", vec![width]),
                ("mlp.c_fc.weight", vec![width, 4 * width]),
                ("mlp.c_fc.bias", vec![4 * width]),
                ("mlp.c_proj.weight", vec![4 * width, width]),
                ("mlp.c_proj.bias", vec![width]),
            ];
            shapes.extend(block.into_iter().map(|(name, shape)| (format!("transformer.h.{layer}.{name}"), shape)));
        }
        shapes.push(("transformer.ln_f.weight".to_owned(), vec![width]));
        shapes.push(("transformer.ln_f.bias".to_owned(), vec![width]));
        if self.scalar_head {
            shapes.push(("score.weight".to_owned(), vec![1, width]));
        }
        shapes
    }
}

/// A decoder and its weights.
#[derive(Clone, Debug)]
pub struct Decoder {
    /// Its sizes.
    pub config: DecoderConfig,
    /// Its weights, in the order of [`DecoderConfig::shapes`].
    pub parameters: Parameters,
}

/// Keys and values of the positions that were run, one pair a block.
pub struct Cache {
    layers: Vec<(Tensor<4>, Tensor<4>)>,
    length: usize,
}

impl Cache {
    /// Keeps the rows at these indices, in this order; a row may be repeated.
    pub fn select(&mut self, rows: Tensor<1, Int>) {
        for (keys, values) in &mut self.layers {
            *keys = keys.clone().select(0, rows.clone());
            *values = values.clone().select(0, rows.clone());
        }
    }
}

impl Decoder {
    /// Random weights as GPT-2's: normal with deviation 0.02, residual projections divided by sqrt(2 layers).
    pub fn new(config: DecoderConfig, stream: &mut Stream, device: &Device) -> Self {
        let residual = INITIAL_DEVIATION / (2.0 * config.layers as f64).sqrt();
        let parameters = config.shapes().into_iter().map(|(name, shape)| {
            let count = shape.iter().product();
            let values: Vec<f32> = if name.ends_with("bias") {
                vec![0.0; count]
            } else if shape.len() == 1 {
                vec![1.0; count]
            } else {
                let deviation = if name.ends_with("c_proj.weight") { residual } else { INITIAL_DEVIATION };
                (0..count).map(|_| (stream.normal() * deviation) as f32).collect()
            };
            Parameter { name, shape, value: tensor(values, device) }
        });
        Decoder { parameters: Parameters(parameters.collect()), config }
    }

    /// The same body with a scalar head of zeros: a reward model before training scores everything 0.
    pub fn with_scalar_head(&self, device: &Device) -> Self {
        let mut scorer = self.clone();
        scorer.config.scalar_head = true;
        let width = self.config.width;
        scorer.parameters.0.push(Parameter {
            name: "score.weight".into(),
            shape: vec![1, width],
            value: tensor(vec![0.0; width], device),
        });
        scorer
    }

    /// Whether work is shared out by sequences, with gradients and a pass over the weights for each thread, rather than within
    /// operations: up to 16 million weights.
    pub fn is_small(&self) -> bool {
        self.parameters.count() <= 1 << 24
    }

    /// The same weights as leaves of a gradient tape.
    pub fn tracked(&self, device: &Device) -> Self {
        Decoder { config: self.config.clone(), parameters: self.parameters.tracked(device) }
    }

    /// Final hidden states `[tokens, width]` of families of sequences, one after another without padding, from the id and position
    /// of every token.
    pub fn hidden(&self, tokens: &[(u32, usize)], families: &[ops::Family]) -> Tensor<2> {
        let mut x = self.embed(tokens.iter().copied());
        for layer in 0..self.config.layers {
            x = self.block(layer, x, |qkv| ops::causal_attention(qkv, families, self.heads()));
        }
        self.final_norm(x)
    }

    /// log p of the predicted tokens, `[predictions]`, for final hidden states.
    pub fn token_log_probs(&self, hidden: Tensor<2>, predictions: &[ops::Prediction]) -> Tensor<1> {
        ops::token_log_probs(hidden, self.parameters.matrix(EMBEDDING), predictions)
    }

    /// For each prediction KL(self || other), log self - log other of its token, and the entropy, `[predictions, 3]` in nats, for
    /// both models' final hidden states.
    pub fn divergence(&self, other: &Decoder, hidden: [Tensor<2>; 2], predictions: &[ops::Prediction]) -> Tensor<2> {
        let [own, others] = hidden;
        let (words, other_words) = (self.parameters.matrix(EMBEDDING), other.parameters.matrix(EMBEDDING));
        ops::divergence([own, words], [others, other_words], predictions)
    }

    /// Logits `[rows, vocabulary]` of final hidden states.
    pub fn logits(&self, hidden: Tensor<2>) -> Tensor<2> {
        ops::head_logits(hidden, self.parameters.matrix(EMBEDDING))
    }

    /// Scores `[rows]` of final hidden states, for a model with a scalar head.
    pub fn scores(&self, hidden: Tensor<2>) -> Tensor<1> {
        let head = self.parameters.matrix(FIRST_BLOCK + PER_BLOCK * self.config.layers + 2);
        hidden.matmul(head.transpose()).squeeze_dim(1)
    }

    /// Runs prompts of one length and keeps their keys and values, with room for `capacity` positions. Returns the logits of the
    /// next token, `[batch, vocabulary]`.
    pub fn start(&self, prompts: &[&[u32]], capacity: usize, device: &Device) -> (Tensor<2>, Cache) {
        let (batch, tokens) = (prompts.len(), prompts.first().map_or(0, |prompt| prompt.len()));
        let (heads, width) = (self.config.heads, self.config.width);
        let head_width = width / heads;
        let mut layers = Vec::with_capacity(self.config.layers);
        let mut x = self.embed(prompts.iter().flat_map(|prompt| prompt.iter().copied().zip(0..)));
        let families = vec![ops::Family::single(tokens); batch];
        for layer in 0..self.config.layers {
            x = self.block(layer, x, |qkv: Tensor<2>| {
                let [_, keys, values] = ops::split_heads(qkv.clone(), batch, tokens, self.heads());
                let place = [0..batch, 0..heads, 0..tokens, 0..head_width];
                let room = || Tensor::<4>::zeros([batch, heads, capacity, head_width], device);
                layers.push((room().slice_assign(place.clone(), keys), room().slice_assign(place, values)));
                ops::causal_attention(qkv, &families, self.heads())
            });
        }
        let last: Tensor<2> = x.reshape([batch, tokens, width]).slice([0..batch, tokens - 1..tokens]).reshape([batch, width]);
        (self.logits(self.final_norm(last)), Cache { layers, length: tokens })
    }

    /// Runs one more token of every row and returns the logits of the next one, `[batch, vocabulary]`.
    pub fn advance(&self, ids: &[u32], cache: &mut Cache) -> Tensor<2> {
        let length = cache.length;
        let mut x = self.embed(ids.iter().map(|id| (*id, length)));
        for layer in 0..self.config.layers {
            let (keys, values) = &mut cache.layers[layer];
            x = self.block(layer, x, |qkv| ops::cached_attention(qkv, keys, values, length));
        }
        cache.length += 1;
        self.logits(self.final_norm(x))
    }

    fn heads(&self) -> ops::Heads {
        ops::Heads::equal(self.config.heads)
    }

    /// Token plus position embeddings, `[tokens, width]`, of ids and positions.
    fn embed(&self, tokens: impl Iterator<Item = (u32, usize)>) -> Tensor<2> {
        let tokens: Vec<(u32, usize)> = tokens.collect();
        ops::embedding(self.parameters.matrix(EMBEDDING), self.parameters.matrix(POSITIONS), &tokens)
    }

    /// x + attention(norm(x)), then x + mlp(norm(x)).
    fn block(&self, layer: usize, x: Tensor<2>, attend: impl FnOnce(Tensor<2>) -> Tensor<2>) -> Tensor<2> {
        let first = FIRST_BLOCK + PER_BLOCK * layer;
        let norm = |x, at: usize| {
            ops::layer_norm(x, self.parameters.vector(first + at), self.parameters.vector(first + at + 1), LAYER_NORM_EPSILON)
        };
        let weights = |at: usize| (self.parameters.matrix(first + at), self.parameters.vector(first + at + 1));
        let [(to_qkv, qkv_bias), (mix, mix_bias), (widen, wide_bias), (narrow, bias)] = [2, 4, 8, 10].map(weights);
        let mixed = attend(ops::linear(norm(x.clone(), 0), to_qkv, qkv_bias));
        let x = ops::linear_onto(x, mixed, mix, mix_bias);
        let wide = ops::linear_then(norm(x.clone(), 6), widen, wide_bias, ops::Activation::GeluTanh);
        ops::linear_onto(x, wide, narrow, bias)
    }

    fn final_norm(&self, x: Tensor<2>) -> Tensor<2> {
        let first = FIRST_BLOCK + PER_BLOCK * self.config.layers;
        ops::layer_norm(x, self.parameters.vector(first), self.parameters.vector(first + 1), LAYER_NORM_EPSILON)
    }
}
