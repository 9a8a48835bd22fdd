//! What a model's size means for operations and memory (Kaplan et al. 2020, section 2.1, counts the same way).

use crate::models::{DecoderConfig, Lora};

/// A model as far as costs depend on it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    /// All weights.
    pub weights: f64,
    /// Those that training changes.
    pub trained: f64,
    /// Those of the blocks' matrices, each of which every token is multiplied by.
    pub body: f64,
    /// Number of blocks.
    pub layers: f64,
    /// Width of the residual stream.
    pub width: f64,
    /// Width of all queries of a block.
    pub queries: f64,
    /// Width of all keys of a block.
    pub keys: f64,
    /// Entries of the embedding.
    pub vocabulary: f64,
    /// Greatest number of positions.
    pub context: f64,
}

impl Shape {
    /// Of a decoder.
    pub fn of(config: &DecoderConfig) -> Self {
        let (mut weights, mut body) = (0.0, 0.0);
        for (place, shape) in config.places() {
            let size = shape.iter().product::<usize>() as f64;
            weights += size;
            body += if place.is_in_block() && shape.len() == 2 { size } else { 0.0 };
        }
        let [queries, keys] = config.query_and_key_widths().map(|width| width as f64);
        Shape {
            weights,
            trained: weights,
            body,
            layers: config.layers as f64,
            width: config.width as f64,
            queries,
            keys,
            vocabulary: config.vocabulary as f64,
            context: config.context as f64,
        }
    }

    /// The same with adapters, which alone are trained. Their size is that of two narrow maps beside every matrix of a block, which
    /// is an upper bound where only some have one.
    pub fn with_adapters(self, lora: &Lora) -> Self {
        // A block has four matrices or more, of which each adds rank times its two sides.
        let sides = self.queries + 2.0 * self.keys + 3.0 * self.width + 2.0 * self.inner();
        let trained = self.layers * lora.rank as f64 * (sides + self.queries + self.width);
        Shape { weights: self.weights + trained, trained, ..self }
    }

    /// Width between the two maps of a feed-forward layer, taken as one without a gate.
    fn inner(&self) -> f64 {
        let attention = self.width * (2.0 * self.queries + 2.0 * self.keys);
        ((self.body / self.layers.max(1.0) - attention) / (2.0 * self.width.max(1.0))).max(0.0)
    }

    /// Operations of the forward pass of `tokens` that each attend to `attended` positions, without the head: two for every weight of
    /// the blocks, and two for each product of attention.
    pub fn forward(&self, tokens: f64, attended: f64) -> f64 {
        tokens * (2.0 * self.body + 4.0 * self.layers * self.queries * attended)
    }

    /// Operations of the head for so many predicted tokens.
    pub fn head(&self, predicted: f64) -> f64 {
        2.0 * predicted * self.width * self.vocabulary
    }

    /// A forward and a backward pass cost so many forward passes: one for the gradient of what flows through, and one for that of the
    /// weights that are trained.
    pub fn training_factor(&self) -> f64 {
        2.0 + (self.trained / self.weights).min(1.0)
    }

    /// Bytes of keys and values of a position.
    pub fn cache(&self) -> f64 {
        2.0 * FLOAT * self.layers * self.keys
    }
}

/// Bytes of a number.
pub const FLOAT: f64 = 4.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpt2_has_124_million_weights_and_a_token_costs_two_operations_for_each_of_the_blocks() {
        let shape = Shape::of(&DecoderConfig::gpt2(50257, 1024, 768, 12, 12));
        assert_eq!(shape.weights, 124_439_808.0);
        assert_eq!(shape.body, 12.0 * 12.0 * 768.0 * 768.0);
        assert_eq!(shape.inner(), 4.0 * 768.0);
        let tokens = 10.0;
        assert_eq!(shape.forward(tokens, 0.0), tokens * 2.0 * shape.body);
        assert_eq!(shape.head(1.0), 2.0 * 768.0 * 50257.0);
    }

    #[test]
    fn adapters_of_all_maps_are_counted_exactly() {
        let shape = Shape::of(&DecoderConfig::gpt2(100, 16, 32, 2, 4)).with_adapters(&Lora { rank: 4, ..Lora::default() });
        // 32 -> 96, 32 -> 32, 32 -> 128 and 128 -> 32.
        assert_eq!(shape.trained, 2.0 * 4.0 * (128.0 + 64.0 + 160.0 + 160.0));
        assert!(shape.training_factor() < 2.2);
    }
}
