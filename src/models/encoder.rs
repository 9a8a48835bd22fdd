//! Encoders that classify texts (Devlin et al. 2019): the true reward of a controlled task. They are read, never trained.

use super::hf::encoders::{EncoderConfig, EncoderFamily, EncoderPart, Head};
use super::hf::{Fields, Weights};
use super::{Tokenizer, tensor};
use crate::error::{Error, Result};
use crate::ops::{self, Heads};
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor};
use std::collections::BTreeMap;
use std::path::Path;

/// A sequence classifier.
pub struct Encoder {
    config: EncoderConfig,
    words: Tensor<2>,
    /// Position embeddings, with that of the only token type added.
    positions: Tensor<2>,
    norm: Norm,
    layers: Vec<Layer>,
    dense: Linear,
    out: Linear,
}

struct Linear {
    weight: Tensor<2>,
    bias: Tensor<1>,
}

struct Norm {
    gain: Tensor<1>,
    bias: Tensor<1>,
}

struct Layer {
    qkv: Linear,
    mix: Linear,
    attention_norm: Norm,
    widen: Linear,
    narrow: Linear,
    norm: Norm,
}

/// Sequences of one length that are run together, at most.
const ROWS: usize = 16;

impl Encoder {
    /// Reads config.json and the weights of a folder.
    pub fn load(folder: &Path, device: &Device) -> Result<Self> {
        let (path, fields) = Fields::open(folder)?;
        let (family, config) = EncoderFamily::of(&fields).map_err(|what| Error::Data(format!("{}: {what}", path.display())))?;
        let mut reader = Reader { weights: Weights::open(folder)?, wrong: Vec::new(), device };
        let encoder = reader.encoder(family, config)?;
        if reader.wrong.is_empty() {
            return Ok(encoder);
        }
        let place = reader.weights.place();
        Err(Error::Data(format!("{place} does not fit its config.json: {}", reader.wrong.join(", "))))
    }

    /// Names of the labels, in the order of the logits.
    pub fn labels(&self) -> &[String] {
        &self.config.labels
    }

    /// Tokens of a text with the tokens that stand around it; what is too long for the model is cut before the last of these.
    /// Also says whether it was.
    pub fn encode(&self, tokenizer: &Tokenizer, text: &str) -> Result<(Vec<u32>, bool)> {
        let mut tokens = tokenizer.encode_wrapped(text)?;
        let most = self.config.context - self.config.first_position;
        let cut = tokens.len() > most;
        if cut && let Some(last) = tokens.last().copied() {
            tokens.truncate(most - 1);
            tokens.push(last);
        }
        Ok((tokens, cut))
    }

    /// Logits of every sequence, in order. Fails where one has no token, or one that the model does not know.
    pub fn logits(&self, sequences: &[Vec<u32>], mut progress: impl FnMut(usize)) -> Result<Vec<Vec<f32>>> {
        let mut by_length: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (index, sequence) in sequences.iter().enumerate() {
            if let Some(id) = sequence.iter().find(|id| **id as usize >= self.config.vocabulary) {
                return Err(Error::Data(format!("token {id} is not in the model's vocabulary of {}", self.config.vocabulary)));
            }
            if sequence.is_empty() {
                return Err(Error::Data("an empty text has no tokens to classify".into()));
            }
            by_length.entry(sequence.len()).or_default().push(index);
        }
        let (mut logits, mut done) = (vec![Vec::new(); sequences.len()], 0);
        for indices in by_length.values() {
            for group in indices.chunks(ROWS) {
                let batch: Vec<&[u32]> = group.iter().map(|index| &sequences[*index][..]).collect();
                let values: Vec<f32> = self.forward(&batch).to_data().iter::<f32>().collect();
                for (index, row) in group.iter().zip(values.chunks_exact(self.config.labels.len().max(1))) {
                    logits[*index] = row.to_vec();
                }
                done += group.len();
                progress(done);
            }
        }
        Ok(logits)
    }

    /// Logits `[sequences, labels]` of sequences of one length.
    fn forward(&self, sequences: &[&[u32]]) -> Tensor<2> {
        let (batch, tokens) = (sequences.len(), sequences.first().map_or(0, |sequence| sequence.len()));
        let (width, heads) = (self.config.width, Heads::equal(self.config.heads));
        let first = self.config.first_position;
        let placed: Vec<(u32, usize)> = sequences.iter().flat_map(|sequence| sequence.iter().copied().zip(first..)).collect();
        let mut x = self.normed(ops::embedding(self.words.clone(), Some(self.positions.clone()), &placed), &self.norm);
        for layer in &self.layers {
            let qkv = ops::linear(x.clone(), layer.qkv.weight.clone(), layer.qkv.bias.clone());
            let [queries, keys, values] = ops::split_heads(qkv, batch, tokens, heads);
            let scale = ((width / self.config.heads) as f64).powf(-0.5);
            let weights = softmax(queries.mul_scalar(scale).matmul(keys.transpose()), 3);
            let mixed = weights.matmul(values).swap_dims(1, 2).reshape([batch * tokens, width]);
            x = self.normed(ops::linear_onto(x, mixed, layer.mix.weight.clone(), layer.mix.bias.clone()), &layer.attention_norm);
            let wide = ops::linear_then(x.clone(), layer.widen.weight.clone(), layer.widen.bias.clone(), self.config.activation);
            x = self.normed(ops::linear_onto(x, wide, layer.narrow.weight.clone(), layer.narrow.bias.clone()), &layer.norm);
        }
        let of_first: Tensor<2> = x.reshape([batch, tokens, width]).slice([0..batch, 0..1]).reshape([batch, width]);
        let summary = ops::linear(of_first, self.dense.weight.clone(), self.dense.bias.clone());
        let summary = match self.config.head {
            Head::Tanh => summary.tanh(),
            Head::Relu => burn::tensor::activation::relu(summary),
        };
        ops::linear(summary, self.out.weight.clone(), self.out.bias.clone())
    }

    fn normed(&self, x: Tensor<2>, norm: &Norm) -> Tensor<2> {
        ops::layer_norm(x, norm.gain.clone(), norm.bias.clone(), self.config.norm_epsilon)
    }
}

/// Reads weights by name and notes what is missing or misshapen.
struct Reader<'a> {
    weights: Weights,
    wrong: Vec<String>,
    device: &'a Device,
}

impl Reader<'_> {
    fn encoder(&mut self, family: &EncoderFamily, config: EncoderConfig) -> Result<Encoder> {
        let (width, inner) = (config.width, config.inner);
        let name = |part| (family.name)(part);
        let words = self.matrix(&name(EncoderPart::Words), [config.vocabulary, width])?;
        let mut positions = self.matrix(&name(EncoderPart::Positions), [config.context, width])?;
        if config.token_types > 0 {
            let types = self.matrix(&name(EncoderPart::TokenTypes), [config.token_types, width])?;
            positions = positions + types.slice_dim(0, 0..1);
        }
        let norm = self.norm(&name(EncoderPart::Norm), width)?;
        let mut layers = Vec::new();
        for layer in 0..config.layers {
            let of = |part| name(EncoderPart::Layer(layer, part));
            let [query, key, value] = ["query", "key", "value"].map(of);
            layers.push(Layer {
                qkv: self.linear(&[query, key, value], width, width)?,
                mix: self.linear(&[of("mix")], width, width)?,
                attention_norm: self.norm(&of("attention norm"), width)?,
                widen: self.linear(&[of("widen")], width, inner)?,
                narrow: self.linear(&[of("narrow")], inner, width)?,
                norm: self.norm(&of("norm"), width)?,
            });
        }
        let dense = self.linear(&[name(EncoderPart::Dense)], width, width)?;
        let out = self.linear(&[name(EncoderPart::Out)], width, config.labels.len())?;
        Ok(Encoder { config, words, positions, norm, layers, dense, out })
    }

    /// Values of a tensor, or zeros and a note.
    fn values(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        // Older files call the parameters of a norm gamma and beta.
        let older = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta");
        let there = [name, &older].into_iter().find_map(|name| Some((name, self.weights.shape(name)?)));
        match there {
            Some((name, found)) if found == shape => return self.weights.read(name),
            Some((name, found)) => self.wrong.push(format!("{name} is {found:?}, not {shape:?}")),
            None => self.wrong.push(format!("missing {name}")),
        }
        Ok(Vec::new())
    }

    fn matrix(&mut self, name: &str, shape: [usize; 2]) -> Result<Tensor<2>> {
        let values = self.values(name, &shape)?;
        Ok(if values.is_empty() { self.nothing() } else { tensor(values, self.device).reshape(shape) })
    }

    fn vector(&mut self, name: &str, length: usize) -> Result<Tensor<1>> {
        Ok(tensor(self.values(name, &[length])?, self.device))
    }

    fn norm(&mut self, name: &str, width: usize) -> Result<Norm> {
        Ok(Norm { gain: self.vector(&format!("{name}.weight"), width)?, bias: self.vector(&format!("{name}.bias"), width)? })
    }

    /// Layers of torch.nn.Linear with their outputs side by side.
    fn linear(&mut self, names: &[String], inputs: usize, outputs: usize) -> Result<Linear> {
        let (mut weights, mut biases) = (Vec::new(), Vec::new());
        for name in names {
            weights.push(self.matrix(&format!("{name}.weight"), [outputs, inputs])?);
            biases.push(self.vector(&format!("{name}.bias"), outputs)?);
        }
        if !self.wrong.is_empty() {
            return Ok(Linear { weight: self.nothing(), bias: tensor(Vec::new(), self.device) });
        }
        // The rows are copied once here rather than read across at every step.
        let rows: Vec<f32> = Tensor::cat(weights, 0).transpose().to_data().iter::<f32>().collect();
        let weight = tensor(rows, self.device).reshape([inputs, outputs * names.len()]);
        Ok(Linear { weight, bias: Tensor::cat(biases, 0) })
    }

    /// Stands for a weight that is not there; the model is never run.
    fn nothing(&self) -> Tensor<2> {
        Tensor::zeros([1, 1], self.device)
    }
}

/// A label's probability: under a softmax, or for a single logit under the logistic function, as the pipelines of `transformers` have
/// it.
pub fn probability(logits: &[f32], label: usize) -> f64 {
    let of = |logit: f32| f64::from(logit);
    match logits {
        [logit] => 1.0 / (1.0 + (-of(*logit)).exp()),
        _ => {
            let most = logits.iter().copied().map(of).fold(f64::NEG_INFINITY, f64::max);
            let total: f64 = logits.iter().map(|logit| (of(*logit) - most).exp()).sum();
            (logits.get(label).map_or(f64::NEG_INFINITY, |logit| of(*logit)) - most).exp() / total
        }
    }
}

/// The greatest logit's label and its probability.
pub fn best(logits: &[f32]) -> Option<(usize, f64)> {
    let better = |best: usize, index: usize| if logits[index] > logits[best] { index } else { best };
    let label = (0..logits.len()).reduce(better)?;
    Some((label, probability(logits, label)))
}
