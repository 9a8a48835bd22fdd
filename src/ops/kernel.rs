//! What the CPU kernels share: Flex tensors as slices, fixed chunks for threads, and the way onto Burn's gradient tape.
//!
//! Nothing here or in a kernel depends on the number of threads: work is cut into chunks of a fixed size, and sums over
//! chunks are taken in their order.

use super::profile::timed;
use burn::backend::autodiff::{
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn::backend::flex::{FlexTensor, Layout};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, DispatchDevice, Flex};
use burn::tensor::{Bytes, DType, Device, Shape, Tensor};
use rayon::prelude::*;
use std::cell::Cell;
use std::fmt::Debug;

/// An operation of N inputs on the CPU, with its derivative.
pub(crate) trait Kernel<const N: usize>: Debug + Send + 'static {
    /// What a breakdown calls it.
    const NAME: &'static str;

    /// What the backward needs.
    type Saved: Clone + Debug + Send + 'static;

    /// The output, and what the backward needs.
    fn forward(&self, inputs: [FlexTensor; N]) -> (FlexTensor, Self::Saved);

    /// The gradient of every input that is wanted, from the gradient of the output.
    fn backward(&self, saved: Self::Saved, gradient: FlexTensor, wanted: [bool; N]) -> [Option<FlexTensor>; N];
}

/// Runs a kernel and puts its backward on the tape.
pub(crate) fn record<C: CheckpointStrategy, K: Kernel<N>, const N: usize>(
    kernel: K,
    inputs: [FloatTensor<Autodiff<Flex, C>>; N],
) -> FloatTensor<Autodiff<Flex, C>> {
    let nodes = inputs.each_ref().map(|input| input.node());
    let inputs = inputs.map(|input| input.into_primitive());
    let (output, saved) = timed(K::NAME, ", forward", || kernel.forward(inputs));
    match Step(kernel).prepare::<C>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(step) => step.finish(saved, output),
        OpsKind::UnTracked(step) => step.finish(output),
    }
}

/// A kernel on the tape.
#[derive(Debug)]
struct Step<K>(K);

impl<K: Kernel<N>, const N: usize> Backward<Flex, N> for Step<K> {
    type State = K::Saved;

    fn backward(self, ops: Ops<K::Saved, N>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<Flex>(&ops.node);
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let results = timed(K::NAME, ", backward", || self.0.backward(ops.state, gradient, wanted));
        for (parent, result) in ops.parents.into_iter().zip(results) {
            if let (Some(parent), Some(result)) = (parent, result) {
                gradients.register::<Flex>(parent.id, result);
            }
        }
    }
}

/// Whether a tensor lives where the kernels run: in f32 on Flex, with or without gradients.
pub fn is_on_cpu<const D: usize>(tensor: &Tensor<D>) -> bool {
    tensor.dtype() == DType::F32 && is_cpu(&tensor.device())
}

/// Whether kernels run on a device.
pub fn is_cpu(device: &Device) -> bool {
    #[cfg(test)]
    if super::testing::is_plain() {
        return false;
    }
    matches!(device.clone().without_autodiff().as_dispatch(), DispatchDevice::Flex(_))
}

/// The same tensor, in f32 where its own numbers are shorter: sums and exponentials want their digits.
pub(crate) fn widened<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    if tensor.dtype() == DType::BF16 { tensor.cast(DType::F32) } else { tensor }
}

/// The same tensor, row by row in memory.
pub(crate) fn contiguous(tensor: FlexTensor) -> FlexTensor {
    if tensor.is_contiguous() { tensor } else { tensor.to_contiguous() }
}

/// The values of a [`contiguous`] tensor.
pub(crate) fn floats(tensor: &FlexTensor) -> &[f32] {
    let start = tensor.layout().start_offset();
    &tensor.storage::<f32>()[start..start + tensor.layout().num_elements()]
}

/// The same values in a buffer of exactly their length, which is copied only where something else holds it.
pub(crate) fn writable(tensor: FlexTensor) -> FlexTensor {
    let whole = tensor.is_contiguous() && tensor.storage::<f32>().len() == tensor.layout().num_elements();
    if whole { tensor } else { new(floats(&contiguous(tensor.clone())).to_vec(), tensor.layout().shape().clone()) }
}

/// A tensor of these values.
pub(crate) fn new(values: Vec<f32>, shape: impl Into<Shape>) -> FlexTensor {
    FlexTensor::new(Bytes::from_elems(values), Layout::contiguous(shape.into()), DType::F32)
}

/// Sizes of a matrix.
pub(crate) fn sizes(matrix: &FlexTensor) -> [usize; 2] {
    let shape = matrix.layout().shape();
    [shape[0], shape[1]]
}

/// Below this many elementary operations, starting threads costs more than they save.
const WORTH_THREADS: usize = 1 << 18;

thread_local! {
    /// Whether kernels called from this thread keep to it.
    static ALONE: Cell<bool> = const { Cell::new(false) };
}

/// Whether `operations` are to be shared out among threads.
pub(crate) fn worth_threads(operations: usize) -> bool {
    operations >= WORTH_THREADS && threads() > 1
}

/// Runs `work` with its kernels kept to this thread.
pub fn alone<T>(work: impl FnOnce() -> T) -> T {
    let before = ALONE.replace(true);
    let result = work();
    ALONE.set(before);
    result
}

/// Threads that work started from here may use.
fn threads() -> usize {
    if ALONE.get() { 1 } else { rayon::current_num_threads().max(1) }
}

/// Pieces of work that a device takes at once: the CPU one for every thread. On a GPU each would have a queue and memory of its own.
pub fn at_once(device: &Device) -> usize {
    if is_cpu(device) { threads() } else { 1 }
}

/// `each` of every item, in their order. Where there are items for every thread of the CPU they run side by side, each on one thread;
/// otherwise one after another, each on all threads.
pub fn side_by_side<T: Send, R: Send>(device: &Device, items: Vec<T>, each: impl Fn(T) -> R + Sync) -> Vec<R> {
    let at_once = at_once(device);
    if items.len() < at_once.max(2) || at_once == 1 {
        return items.into_iter().map(each).collect();
    }
    items.into_par_iter().map(|item| alone(|| each(item))).collect()
}

/// Calls `each` with the index of every chunk and its part of an output.
pub(crate) fn for_chunks(threads: bool, (out, size): (&mut [f32], usize), each: impl Fn(usize, &mut [f32]) + Sync + Send) {
    if threads {
        out.par_chunks_mut(size.max(1)).enumerate().for_each(|(index, out)| alone(|| each(index, out)));
    } else {
        out.chunks_mut(size.max(1)).enumerate().for_each(|(index, out)| each(index, out));
    }
}

/// [`for_chunks`] with two outputs, each cut by its own size.
pub(crate) fn for_chunk_pairs(
    threads: bool,
    (first, first_size): (&mut [f32], usize),
    (second, second_size): (&mut [f32], usize),
    each: impl Fn(usize, &mut [f32], &mut [f32]) + Sync + Send,
) {
    let (first_size, second_size) = (first_size.max(1), second_size.max(1));
    if threads {
        let chunks = first.par_chunks_mut(first_size).zip(second.par_chunks_mut(second_size));
        chunks.enumerate().for_each(|(index, (first, second))| alone(|| each(index, first, second)));
    } else {
        let chunks = first.chunks_mut(first_size).zip(second.chunks_mut(second_size));
        chunks.enumerate().for_each(|(index, (first, second))| each(index, first, second));
    }
}

/// Calls `each` with every item.
pub(crate) fn for_each<T: Send>(threads: bool, items: &mut [T], each: impl Fn(&mut T) + Sync + Send) {
    if threads {
        items.par_iter_mut().for_each(|item| alone(|| each(item)));
    } else {
        items.iter_mut().for_each(each);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::plainly;
    use super::*;

    #[test]
    fn the_cpu_takes_work_for_every_thread_and_what_stands_for_a_gpu_one_piece() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(4).build().expect("threads");
        let device = Device::flex();
        assert_eq!(pool.install(|| [at_once(&device), plainly(|| at_once(&device))]), [4, 1]);
        let threads = || side_by_side(&device, vec![(); 64], |()| std::thread::current().id());
        let own = |threads: Vec<std::thread::ThreadId>| threads.iter().all(|thread| *thread == std::thread::current().id());
        assert!(pool.install(|| own(plainly(threads))));
    }
}
