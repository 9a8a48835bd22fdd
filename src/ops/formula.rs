//! Operations of Burn's own with a derivative of ours, for every device without a kernel.
//!
//! Burn's tape would keep whatever lies between an operation's inputs and its output, and go back through it step by step. Here it keeps
//! the inputs, and the backward is the formula that a person would write down, which makes again what it needs of them.

use burn::backend::autodiff::{
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Autodiff, Backend, BackendTensor, Dispatch, DispatchAutodiffContext, DispatchTensor, DispatchTensorKind, Flex,
    backend_extension,
};
use burn::tensor::Tensor;
use std::fmt::Debug;
use std::sync::Arc;

#[cfg(feature = "gpu")]
use burn::backend::Cube;

/// A tensor of any rank on no tape.
pub(super) type Operand = DispatchTensor;

/// An operation of N inputs, with its derivative.
pub(super) trait Formula<const N: usize>: Debug + Send + Sync + 'static {
    /// The output.
    fn value(&self, inputs: [Operand; N]) -> Operand;

    /// What the tape keeps for the backward.
    fn keep(&self, inputs: [Operand; N]) -> Vec<Operand> {
        inputs.into()
    }

    /// The gradient of every input that is wanted, from what was kept and the gradient of the output.
    fn derivative(&self, kept: Vec<Operand>, gradient: Operand, wanted: [bool; N]) -> [Option<Operand>; N];
}

/// The result of a formula of one input.
pub(super) fn of_one<const A: usize, const O: usize>(formula: impl Formula<1>, x: Tensor<A>) -> Tensor<O> {
    Tensor::from_dispatch(Dispatch::formula_of_one(x.into_dispatch(), Arc::new(formula)))
}

/// The result of a formula of two inputs.
pub(super) fn of_two<const A: usize, const B: usize, const O: usize>(
    formula: impl Formula<2>,
    x: Tensor<A>,
    y: Tensor<B>,
) -> Tensor<O> {
    Tensor::from_dispatch(Dispatch::formula_of_two(x.into_dispatch(), y.into_dispatch(), Arc::new(formula)))
}

/// The result of a formula of three inputs.
pub(super) fn of_three<const A: usize, const B: usize, const C: usize, const O: usize>(
    formula: impl Formula<3>,
    x: Tensor<A>,
    y: Tensor<B>,
    z: Tensor<C>,
) -> Tensor<O> {
    let [x, y, z] = [x.into_dispatch(), y.into_dispatch(), z.into_dispatch()];
    Tensor::from_dispatch(Dispatch::formula_of_three(x, y, z, Arc::new(formula)))
}

/// What was kept, as tensors of their ranks.
pub(super) fn kept<const N: usize>(operands: Vec<Operand>) -> [Operand; N] {
    operands.try_into().unwrap_or_else(|operands: Vec<Operand>| unreachable!("{} operands were kept, not {N}", operands.len()))
}

/// A tensor as one of its rank.
pub(super) fn tensor<const D: usize>(operand: Operand) -> Tensor<D> {
    Tensor::from_dispatch(operand)
}

/// A tensor as one of any rank.
pub(super) fn operand<const D: usize>(tensor: Tensor<D>) -> Operand {
    tensor.into_dispatch()
}

/// A backend whose tensors are operands.
pub(super) trait Computes: Backend {
    fn give(own: FloatTensor<Self>) -> Operand;

    fn take(operand: Operand) -> FloatTensor<Self>;
}

/// Formulas as single operations.
#[backend_extension(Autodiff, Flex, Cube: cfg(feature = "gpu"))]
pub(super) trait Formulas: Backend {
    fn formula_of_one(x: FloatTensor<Self>, formula: Arc<dyn Formula<1>>) -> FloatTensor<Self>;

    fn formula_of_two(x: FloatTensor<Self>, y: FloatTensor<Self>, formula: Arc<dyn Formula<2>>) -> FloatTensor<Self>;

    fn formula_of_three(
        x: FloatTensor<Self>,
        y: FloatTensor<Self>,
        z: FloatTensor<Self>,
        formula: Arc<dyn Formula<3>>,
    ) -> FloatTensor<Self>;
}

macro_rules! computes {
    ($backend:ident) => {
        impl Computes for $backend {
            fn give(own: FloatTensor<Self>) -> Operand {
                let kind = DispatchTensorKind::$backend(BackendTensor::Float(own));
                Operand { kind, autodiff: DispatchAutodiffContext::Disabled }
            }

            fn take(operand: Operand) -> FloatTensor<Self> {
                match operand.kind {
                    DispatchTensorKind::$backend(BackendTensor::Float(own)) => own,
                    // A formula makes its results of what it was given, which lives here and is on no tape.
                    other => unreachable!("a formula's result is {other:?}"),
                }
            }
        }
    };
}

/// Every method by one function, which has these types for its own.
macro_rules! formulas {
    ([$($generics:tt)*] $backend:ty: $apply:ident, $($of:ident),+) => {
        impl<$($generics)*> Formulas for $backend {
            fn formula_of_one(x: FloatTensor<Self>, formula: Arc<dyn Formula<1>>) -> FloatTensor<Self> {
                $apply::<$($of),+, 1>(formula, [x])
            }

            fn formula_of_two(x: FloatTensor<Self>, y: FloatTensor<Self>, formula: Arc<dyn Formula<2>>) -> FloatTensor<Self> {
                $apply::<$($of),+, 2>(formula, [x, y])
            }

            fn formula_of_three(
                x: FloatTensor<Self>,
                y: FloatTensor<Self>,
                z: FloatTensor<Self>,
                formula: Arc<dyn Formula<3>>,
            ) -> FloatTensor<Self> {
                $apply::<$($of),+, 3>(formula, [x, y, z])
            }
        }
    };
}

computes!(Flex);
formulas!([] Flex: run, Flex);
#[cfg(feature = "gpu")]
computes!(Cube);
#[cfg(feature = "gpu")]
formulas!([] Cube: run, Cube);
formulas!([B: Computes + Formulas, C: CheckpointStrategy] Autodiff<B, C>: record, B, C);

fn run<B: Computes, const N: usize>(formula: Arc<dyn Formula<N>>, inputs: [FloatTensor<B>; N]) -> FloatTensor<B> {
    B::take(formula.value(inputs.map(B::give)))
}

fn record<B: Computes, C: CheckpointStrategy, const N: usize>(
    formula: Arc<dyn Formula<N>>,
    inputs: [FloatTensor<Autodiff<B, C>>; N],
) -> FloatTensor<Autodiff<B, C>> {
    let nodes = inputs.each_ref().map(|input| input.node());
    let inputs = inputs.map(|input| input.into_primitive());
    let output = run::<B, N>(formula.clone(), inputs.clone());
    match Step(formula.clone()).prepare::<C>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(step) => {
            let kept = formula.keep(inputs.map(B::give)).into_iter().map(B::take).collect();
            step.finish(kept, output)
        }
        OpsKind::UnTracked(step) => step.finish(output),
    }
}

/// A formula on the tape.
#[derive(Debug)]
struct Step<const N: usize>(Arc<dyn Formula<N>>);

impl<B: Computes, const N: usize> Backward<B, N> for Step<N> {
    type State = Vec<FloatTensor<B>>;

    fn backward(self, ops: Ops<Self::State, N>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = B::give(gradients.consume::<B>(&ops.node));
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let kept = ops.state.into_iter().map(B::give).collect();
        for (parent, result) in ops.parents.into_iter().zip(self.0.derivative(kept, gradient, wanted)) {
            if let (Some(parent), Some(result)) = (parent, result) {
                gradients.register::<B>(parent.id, B::take(result));
            }
        }
    }
}
