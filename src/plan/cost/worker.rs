//! What runs a stage, as far as its memory depends on it.

use super::texts::Pieces;
use crate::models::gpu;

/// Lengths that stand for those of a batch.
const LENGTHS: usize = 256;

/// A worker of the runner.
#[derive(Clone, Copy, Debug)]
pub struct Worker {
    /// Its threads.
    pub threads: usize,
    /// Whether its models are on a GPU. Its memory is then the GPU's.
    pub is_gpu: bool,
}

impl Worker {
    /// Tokens that a model of this width runs for some pieces. On a GPU no two share a prompt, and they are filled up to few lengths.
    pub(super) fn run(self, pieces: &Pieces, width: f64) -> f64 {
        if !self.is_gpu {
            return pieces.run();
        }
        // Of the lengths only their mean and the greatest are known: those of u^(greatest / mean - 1) for all u in (0, 1) have these.
        let (mean, longest) = (pieces.length().max(1.0), pieces.longest().max(1.0));
        let count = (pieces.completions.count.round() as usize).clamp(1, LENGTHS);
        let length = |index: usize| longest * ((index as f64 + 0.5) / count as f64).powf(longest / mean - 1.0);
        let lengths: Vec<usize> = (0..count).map(|index| length(index).ceil().max(1.0) as usize).collect();
        // As many lengths are worth it as there are sequences to gain by them.
        let widths = (width * (pieces.completions.count / count as f64).sqrt()).round() as usize;
        let filled = gpu::few_lengths(&lengths, widths).into_iter().sum::<usize>() as f64;
        filled * pieces.completions.count / count as f64
    }
}
