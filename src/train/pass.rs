//! Forward and backward of a shard on several gradient tapes. Every part of the model has its own, which is kept, or made only when
//! its turn comes in the backward (Chen et al. 2016): then the forward leaves the part's input and nothing else.
//!
//! With y = f(x, W) and g the gradient of y, a part's backward is that of the scalar sum(y g). It gives the gradients of W and of x,
//! and the latter is the g of the part before.

use super::sequences::{Batch, Output};
use crate::models::Decoder;
use crate::spec::Optimisation;
use burn::tensor::{Device, Gradients, Tensor};
use std::ops::Range;

/// A forward pass whose backward is still to come.
pub(super) struct Pass {
    /// What the loss is made of, `[numbers]`, on no tape.
    pub numbers: Tensor<1>,
    /// On the leaves of all tapes.
    model: Decoder,
    batch: Batch,
    output: Output,
    embedded: Tensor<2>,
    body: Vec<Part>,
    /// What is read off the last part's output; it keeps little besides that, and is never made again.
    head: Option<Tape<1>>,
}

/// Some blocks of the model.
struct Part {
    of: Range<usize>,
    /// On no tape.
    input: Tensor<2>,
    tape: Option<Tape<2>>,
}

/// Gradients of the weights that are trained, in their order; nothing where none has come yet.
pub(super) type Slopes = Vec<Option<Tensor<1>>>;

/// What a tape leads to, and the leaf that it starts from besides weights.
struct Tape<const D: usize> {
    input: Tensor<2>,
    output: Tensor<D>,
}

impl Pass {
    /// Runs a model, `weights` on no tape. With gradient checkpointing every block is a part whose tape is made later.
    pub fn forward(weights: &Decoder, batch: Batch, output: Output, settings: &Optimisation, device: &Device) -> Self {
        let (layers, recompute) = (weights.config.layers, settings.gradient_checkpointing);
        let weights = weights.clone().computing_in(settings.precision);
        let model = weights.tracked(device);
        let (numbers, embedded) = (Tensor::zeros([0], device), batch.embed(&model));
        let mut states = embedded.clone().inner();
        let mut pass = Pass { numbers, model, batch, output, embedded, body: Vec::new(), head: None };
        for of in ranges(layers, if recompute { 1 } else { layers }) {
            // A tape that was never gone back on would stay in memory: what is not kept is run without one.
            let tape = (!recompute).then(|| pass.blocks(&states, &of));
            let next = match &tape {
                Some(tape) => tape.output.clone().inner(),
                None => pass.batch.blocks(&weights, states.clone(), of.clone()),
            };
            pass.body.push(Part { of, input: std::mem::replace(&mut states, next), tape });
        }
        let head = pass.read(&states);
        pass.numbers = head.output.clone().inner();
        pass.head = Some(head);
        pass
    }

    /// Adds the gradients of the weights where that of the numbers is `slopes`, `[numbers]`: each as soon as it is there, so that no
    /// second set of them is held.
    pub fn backward(mut self, slopes: &Tensor<1>, gradients: &mut Slopes) {
        let trained: Vec<Tensor<1>> = self.model.parameters.trainable().map(|parameter| parameter.value.clone()).collect();
        gradients.resize(trained.len(), None);
        let mut slope = self.head.take().and_then(|head| head.backward(slopes.clone(), &trained, gradients));
        while let Some(part) = self.body.pop() {
            let Some(own) = slope else { break };
            let tape = part.tape.unwrap_or_else(|| self.blocks(&part.input, &part.of));
            slope = tape.backward(own, &trained, gradients);
        }
        if let Some(own) = slope {
            propagate(self.embedded, own, &trained, gradients);
        }
    }

    fn blocks(&self, input: &Tensor<2>, of: &Range<usize>) -> Tape<2> {
        Tape::record(input, |input| self.batch.blocks(&self.model, input, of.clone()))
    }

    fn read(&self, hidden: &Tensor<2>) -> Tape<1> {
        Tape::record(hidden, |hidden| self.batch.read(&self.model, hidden, self.output))
    }
}

impl<const D: usize> Tape<D> {
    /// Runs a part of the model with its input as a leaf.
    fn record(input: &Tensor<2>, run: impl FnOnce(Tensor<2>) -> Tensor<D>) -> Self {
        let input = Tensor::from_inner(input.clone()).require_grad();
        Tape { output: run(input.clone()), input }
    }

    /// Adds the gradients of the weights where the output's is `slope`, and returns the input's.
    fn backward(self, slope: Tensor<D>, trained: &[Tensor<1>], gradients: &mut Slopes) -> Option<Tensor<2>> {
        self.input.grad_remove(&mut propagate(self.output, slope, trained, gradients)?)
    }
}

/// Adds the gradients of the weights where that of a tape's output is `slope`. Returns those that are left, or nothing where no weight
/// that is trained led to the output.
fn propagate<const D: usize>(
    output: Tensor<D>,
    slope: Tensor<D>,
    trained: &[Tensor<1>],
    gradients: &mut Slopes,
) -> Option<Gradients> {
    if !output.is_tracked() {
        return None;
    }
    let mut tape = (output * Tensor::from_inner(slope)).sum().backward();
    for (gradient, leaf) in gradients.iter_mut().zip(trained) {
        *gradient = sum(gradient.take(), leaf.grad_remove(&mut tape));
    }
    Some(tape)
}

/// The sum of what is there.
pub(super) fn sum<const D: usize>(left: Option<Tensor<D>>, right: Option<Tensor<D>>) -> Option<Tensor<D>> {
    match (left, right) {
        (Some(left), Some(right)) => Some(left + right),
        (left, right) => left.or(right),
    }
}

/// 0..count in ranges of `size`, at least one.
fn ranges(count: usize, size: usize) -> Vec<Range<usize>> {
    (0..count.max(1)).step_by(size.max(1)).map(|start| start..count.min(start + size.max(1))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{DecoderConfig, tensor, values};
    use crate::ops::testing::{numbers, plainly};
    use crate::random::Stream;
    use crate::spec::Optimizer;
    use crate::train::Sequence;

    /// Numbers of a batch and gradients of their weighting, by passes and on one tape.
    fn both(output: Output, checkpointing: bool) -> [Vec<Vec<f32>>; 2] {
        let device = Device::flex();
        let config = DecoderConfig::gpt2(50, 40, 24, 3, 3);
        let bare = Decoder::new(config, &mut Stream::new(0, 0, "pass test", 0), &device);
        let mut model = if output == Output::Scores { bare.with_scalar_head(&device) } else { bare.with_value_head(&device) };
        let head = model.parameters.0.last_mut().expect("a head");
        head.value = head.value.clone() + 0.3;
        let ids: Vec<u32> = (0..120).map(|index| 1 + index * 7 % 49).collect();
        let sequence =
            |index: usize| Sequence { prompt: &ids[index..index + 3], completion: &ids[index + 3..index + 14 + index % 5] };
        let sequences: Vec<Sequence<'_>> = (0..96).map(sequence).collect();
        let batch = || Batch::new(&sequences, output == Output::Scores, &model, &device.clone().autodiff());
        let settings = Optimisation { gradient_checkpointing: checkpointing, ..Optimisation::constant(Optimizer::Sgd, 0.1) };
        let pass = Pass::forward(&model, batch(), output, &settings, &device);
        let [count] = pass.numbers.dims();
        let slopes = tensor(numbers(count, 5), &device);
        let found = pass.numbers.clone();
        let mut gradients = Slopes::new();
        pass.backward(&slopes, &mut gradients);
        let gradients = gradients.into_iter().zip(model.parameters.trainable());
        let gradients = gradients.map(|(gradient, parameter)| gradient.unwrap_or_else(|| parameter.value.zeros_like()));
        let passes = [vec![found], gradients.collect()].concat();

        let tracked = model.tracked(&device);
        let batch = batch();
        let one = batch.read(&tracked, batch.hidden(&tracked), output);
        let mut tape = (one.clone() * Tensor::from_inner(slopes)).sum().backward();
        let of = |leaf: &Tensor<1>| leaf.grad_remove(&mut tape).unwrap_or_else(|| leaf.clone().inner().zeros_like());
        let gradients: Vec<Tensor<1>> = tracked.parameters.trainable().map(|parameter| &parameter.value).map(of).collect();
        [passes, [vec![one.inner()], gradients].concat()].map(|all| all.iter().map(values).collect())
    }

    #[test]
    fn tapes_of_parts_give_what_one_tape_gives() {
        for output in [Output::TokenLogProbs, Output::TokenLogProbsAndValues, Output::Scores] {
            for checkpointing in [false, true] {
                let [passes, one] = both(output, checkpointing);
                assert!(passes == one, "{output:?}, {checkpointing}");
                // There sums round in another order.
                let [passes, one] = plainly(|| both(output, checkpointing));
                for (index, (passes, one)) in passes.iter().zip(&one).enumerate() {
                    let near = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-4 * b.abs().max(1.0);
                    assert!(passes.iter().zip(one).all(near), "{output:?}, {checkpointing}, {index}");
                }
            }
        }
    }
}
