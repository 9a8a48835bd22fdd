//! One token after another, with keys and values of earlier positions kept.
//!
//! Rows end at the same position of the cache, so that the next token of all is written there. A row that is shorter than the
//! longest leaves its first positions unused.

use super::Decoder;
use super::config::Place;
use super::gpu;
use crate::ops;
use burn::tensor::{Device, Int, Tensor, TensorData};

/// Keys and values of the positions that were run.
pub struct Cache {
    /// One pair a block, `[batch, heads of keys, capacity, width of a head]`.
    layers: Vec<(Tensor<4>, Tensor<4>)>,
    /// Positions that are filled.
    length: usize,
    /// How many of the first are unused, of every row.
    unused: Vec<usize>,
    /// What is added to scores, `[batch, 1, 1, capacity]`: minus infinity where a position is unused; nothing where none is.
    hidden: Option<Tensor<4>>,
}

impl Cache {
    /// Keeps the rows at these indices, in this order; a row may be repeated.
    pub fn select(&mut self, rows: &[usize], device: &Device) {
        let kept = indices(rows, device);
        for (keys, values) in &mut self.layers {
            *keys = keys.clone().select(0, kept.clone());
            *values = values.clone().select(0, kept.clone());
        }
        self.hidden = self.hidden.take().map(|hidden| hidden.select(0, kept));
        self.unused = rows.iter().map(|row| self.unused[*row]).collect();
    }
}

/// Indices of rows on a device.
pub(super) fn indices(rows: &[usize], device: &Device) -> Tensor<1, Int> {
    Tensor::from_data(TensorData::new(rows.iter().map(|row| *row as i32).collect(), [rows.len()]), device)
}

impl Decoder {
    /// Runs prompts, of which none is empty, and keeps their keys and values, with room for `capacity` positions. Returns the logits
    /// of the next token, `[batch, vocabulary]`. Prompts of like length should be next to each other.
    pub fn start(&self, prompts: &[&[u32]], capacity: usize, device: &Device) -> (Tensor<2>, Cache) {
        let lengths: Vec<usize> = prompts.iter().map(|prompt| prompt.len()).collect();
        let (batch, longest) = (prompts.len(), lengths.iter().copied().max().unwrap_or(0));
        let filled = if ops::is_cpu(device) { lengths.clone() } else { gpu::few_lengths(&lengths, self.config.width) };
        let (mut placed, mut starts) = (Vec::new(), Vec::with_capacity(batch));
        for (prompt, filled) in prompts.iter().zip(&filled) {
            starts.push(placed.len());
            placed.extend(prompt.iter().copied().zip(0..));
            // Any token at a position that every model knows; nothing sees it.
            placed.resize(starts[starts.len() - 1] + filled, (0, 0));
        }
        let unused: Vec<usize> = lengths.iter().map(|length| longest - length).collect();
        // Where the rows of the cache come from.
        let source = |(start, unused): (&usize, &usize)| {
            let (start, unused) = (*start, *unused);
            (0..longest).map(move |at| start + at.saturating_sub(unused))
        };
        let sources: Vec<usize> = starts.iter().zip(&unused).flat_map(source).collect();
        let moved = sources.iter().copied().ne(0..placed.len()).then(|| indices(&sources, device));
        let (heads, head_width) = (self.config.heads, self.config.head_width);
        let positions: Vec<usize> = placed.iter().map(|(_, position)| *position).collect();
        let families: Vec<ops::Family> = filled.iter().map(|tokens| ops::Family::single(*tokens)).collect();
        let mut layers = Vec::with_capacity(self.config.layers);
        let mut x = self.embed(&placed);
        for layer in 0..self.config.layers {
            x = self.block(layer, x, &positions, |qkv: Tensor<2>| {
                let kept = moved.as_ref().map_or_else(|| qkv.clone(), |moved| qkv.clone().select(0, moved.clone()));
                let [_, keys, values] = ops::split_heads(kept, batch, longest, heads);
                let place = [0..batch, 0..heads.keys, 0..longest, 0..head_width];
                let room = || Tensor::<4>::zeros([batch, heads.keys, capacity, head_width], device);
                layers.push((room().slice_assign(place.clone(), keys), room().slice_assign(place, values)));
                ops::causal_attention(qkv, &families, heads)
            });
        }
        let ends: Vec<usize> = starts.iter().zip(&lengths).map(|(start, length)| start + length - 1).collect();
        let last = x.select(0, indices(&ends, device));
        let hidden = unused.iter().any(|unused| *unused > 0).then(|| {
            let row =
                |unused: &usize| (0..capacity).map(|at| if at < *unused { f32::NEG_INFINITY } else { 0.0 }).collect::<Vec<_>>();
            Tensor::from_data(TensorData::new(unused.iter().flat_map(row).collect(), [batch, 1, 1, capacity]), device)
        });
        let cache = Cache { layers, length: longest, unused, hidden };
        (self.logits(self.norm(last, Place::FinalGain, Place::FinalBias)), cache)
    }

    /// Runs one more token of every row and returns the logits of the next one, `[batch, vocabulary]`.
    pub fn advance(&self, ids: &[u32], cache: &mut Cache) -> Tensor<2> {
        let Cache { layers, length, unused, hidden } = cache;
        let positions: Vec<usize> = unused.iter().map(|unused| *length - unused).collect();
        let placed: Vec<(u32, usize)> = ids.iter().copied().zip(positions.iter().copied()).collect();
        let hidden = hidden.as_ref().map(|hidden| hidden.clone().slice_dim(3, 0..*length + 1));
        let mut x = self.embed(&placed);
        for (layer, (keys, values)) in layers.iter_mut().enumerate() {
            x = self.block(layer, x, &positions, |qkv| ops::cached_attention(qkv, keys, values, *length, hidden.as_ref()));
        }
        *length += 1;
        self.logits(self.norm(x, Place::FinalGain, Place::FinalBias))
    }
}
