//! Token plus position embeddings.
//!
//! The kernel's backward adds each row's gradient to the rows of the two matrices in order, so it needs no atomics and its
//! result does not depend on threads.

use super::kernel::{Kernel, contiguous, floats, is_on_cpu, new, record, sizes};
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Int, Tensor, TensorData};

/// `[tokens, width]` of a vocabulary's matrix `[vocabulary, width]`, the matrix of positions `[context, width]` where there is one,
/// and the id and position of every token.
pub fn embedding(words: Tensor<2>, positions: Option<Tensor<2>>, tokens: &[(u32, usize)]) -> Tensor<2> {
    let Some(positions) = positions else {
        // One row of zeros stands for every position, and wants no gradient.
        let zeros = Tensor::zeros([1, words.dims()[1]], &words.device());
        let unplaced: Vec<(u32, usize)> = tokens.iter().map(|(id, _)| (*id, 0)).collect();
        return embedding(words, Some(zeros), &unplaced);
    };
    if !is_on_cpu(&words) {
        return embedding_plain(words, positions, tokens);
    }
    Tensor::from_dispatch(Dispatch::fused_embedding(words.into_dispatch(), positions.into_dispatch(), tokens.to_vec()))
}

/// [`embedding`] of Burn's own operations.
pub(crate) fn embedding_plain(words: Tensor<2>, positions: Tensor<2>, tokens: &[(u32, usize)]) -> Tensor<2> {
    let rows = |matrix: Tensor<2>, rows: Vec<i32>| {
        let rows: Tensor<1, Int> = Tensor::from_data(TensorData::new(rows, [tokens.len()]), &matrix.device());
        matrix.select(0, rows)
    };
    rows(words, tokens.iter().map(|(id, _)| *id as i32).collect())
        + rows(positions, tokens.iter().map(|(_, position)| *position as i32).collect())
}

/// Both look-ups and their sum as one operation.
#[backend_extension(Autodiff, Flex)]
pub(crate) trait FusedEmbedding: Backend {
    fn fused_embedding(words: FloatTensor<Self>, positions: FloatTensor<Self>, tokens: Vec<(u32, usize)>) -> FloatTensor<Self>;
}

impl FusedEmbedding for Flex {
    fn fused_embedding(words: FlexTensor, positions: FlexTensor, tokens: Vec<(u32, usize)>) -> FlexTensor {
        Embedding { tokens }.forward([words, positions]).0
    }
}

impl<C: CheckpointStrategy> FusedEmbedding for Autodiff<Flex, C> {
    fn fused_embedding(words: FloatTensor<Self>, positions: FloatTensor<Self>, tokens: Vec<(u32, usize)>) -> FloatTensor<Self> {
        record::<C, _, _>(Embedding { tokens }, [words, positions])
    }
}

#[derive(Debug)]
struct Embedding {
    /// Id and position of every token.
    tokens: Vec<(u32, usize)>,
}

impl Kernel<2> for Embedding {
    const NAME: &'static str = "embedding";

    /// Sizes of the two matrices.
    type Saved = [[usize; 2]; 2];

    fn forward(&self, inputs: [FlexTensor; 2]) -> (FlexTensor, Self::Saved) {
        let [words, positions] = inputs.map(contiguous);
        let saved = [sizes(&words), sizes(&positions)];
        let width = saved[0][1];
        let (words, positions) = (floats(&words), floats(&positions));
        let mut out = Vec::with_capacity(self.tokens.len() * width);
        for (id, position) in &self.tokens {
            let (word, position) = (&words[*id as usize * width..][..width], &positions[position * width..][..width]);
            out.extend(word.iter().zip(position).map(|(word, position)| word + position));
        }
        (new(out, [self.tokens.len(), width]), saved)
    }

    fn backward(&self, saved: Self::Saved, gradient: FlexTensor, wanted: [bool; 2]) -> [Option<FlexTensor>; 2] {
        let gradient = contiguous(gradient);
        let to_rows = |[count, width]: [usize; 2], row: fn(&(u32, usize)) -> usize| {
            let mut sums = vec![0.0; count * width];
            for (token, gradient) in self.tokens.iter().zip(floats(&gradient).chunks_exact(width.max(1))) {
                for (sum, gradient) in sums[row(token) * width..].iter_mut().zip(gradient) {
                    *sum += gradient;
                }
            }
            new(sums, [count, width])
        };
        let to_words = || to_rows(saved[0], |(id, _)| *id as usize);
        let to_positions = || to_rows(saved[1], |(_, position)| *position);
        [wanted[0].then(to_words), wanted[1].then(to_positions)]
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Case;
    use super::*;

    #[test]
    fn fused_is_plain() {
        for [count, vocabulary, context, width] in [[1, 1, 1, 1], [6, 5, 4, 3], [90, 7, 40, 17], [300, 50, 64, 48]] {
            let case = Case::new(&[&[vocabulary, width], &[context, width]], 0.5);
            let tokens: Vec<(u32, usize)> = (0..count).map(|index| ((index * 7 % vocabulary) as u32, index % context)).collect();
            type Op = fn(Tensor<2>, Tensor<2>, &[(u32, usize)]) -> Tensor<2>;
            let embedding: Op = |words, positions, tokens| embedding(words, Some(positions), tokens);
            let run = |op: Op| {
                let tokens = &tokens;
                move |x: &[Tensor<1>]| {
                    op(x[0].clone().reshape([vocabulary, width]), x[1].clone().reshape([context, width]), tokens).flatten(0, 1)
                }
            };
            case.agrees(run(embedding), run(embedding_plain));
            case.ignores_threads(run(embedding));
            if count == 6 {
                case.differentiates(run(embedding));
            }
        }
    }
}
