//! One step of causal attention with the keys and values of earlier positions kept (Vaswani et al. 2017).

use super::{Heads, repeat_heads, scaled_scores, split_heads};
use crate::ops::kernel::{contiguous, floats, for_chunks, is_on_cpu, new, sizes, worth_threads, writable};
use crate::ops::simd::{LANES, exp, multiply_add, sum, vectorised};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Tensor, activation::softmax};

/// Attention of the newest position to a cache that it is written into.
///
/// `qkv` is `[batch, (queries + 2 keys) head]`; `keys` and `values` are `[batch, keys, capacity, head]`, of which the first
/// `length` positions are filled. `hidden`, `[batch, 1, 1, length + 1]`, is added to scores where rows leave some unused. Returns
/// `[batch, queries head]`.
pub fn cached_attention(
    qkv: Tensor<2>,
    keys: &mut Tensor<4>,
    values: &mut Tensor<4>,
    length: usize,
    hidden: Option<&Tensor<4>>,
) -> Tensor<2> {
    let tracked = [qkv.device(), keys.device(), values.device()].iter().any(|device| device.is_autodiff());
    if tracked || hidden.is_some() || !is_on_cpu(&qkv) {
        return cached_attention_plain(qkv, keys, values, length, hidden);
    }
    let (old_keys, old_values) = (take(keys).into_dispatch(), take(values).into_dispatch());
    let (out, new_keys, new_values) = Dispatch::fused_cached_attention(qkv.into_dispatch(), old_keys, old_values, length);
    *keys = Tensor::from_dispatch(new_keys);
    *values = Tensor::from_dispatch(new_values);
    Tensor::from_dispatch(out)
}

/// [`cached_attention`] of Burn's own operations.
pub(crate) fn cached_attention_plain(
    qkv: Tensor<2>,
    keys: &mut Tensor<4>,
    values: &mut Tensor<4>,
    length: usize,
    hidden: Option<&Tensor<4>>,
) -> Tensor<2> {
    let [batch, packed] = qkv.dims();
    let [_, count, _, head] = keys.dims();
    let heads = Heads { queries: packed / head - 2 * count, keys: count };
    let [query, key, value] = split_heads(qkv, batch, 1, heads);
    let place = [0..batch, 0..count, length..length + 1, 0..head];
    *keys = take(keys).slice_assign(place.clone(), key);
    *values = take(values).slice_assign(place, value);
    let filled = [0..batch, 0..count, 0..length + 1, 0..head];
    let [keys, values] = [&*keys, &*values].map(|cache| repeat_heads(cache.clone().slice(filled.clone()), heads));
    let scores = scaled_scores(query, keys);
    let weights = softmax(hidden.map_or(scores.clone(), |hidden| scores + hidden.clone()), 3);
    weights.matmul(values).reshape([batch, heads.queries * head])
}

/// Takes a cache out of its place, so that no second handle keeps the backend from writing into it.
fn take(cache: &mut Tensor<4>) -> Tensor<4> {
    let device = cache.device();
    std::mem::replace(cache, Tensor::zeros([1, 1, 1, 1], &device))
}

/// One step of attention, without gradients: output, keys and values.
#[backend_extension(Flex)]
pub(crate) trait FusedCachedAttention: Backend {
    fn fused_cached_attention(
        qkv: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
        length: usize,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

/// Sequences of a chunk.
const CHUNK: usize = 16;

impl FusedCachedAttention for Flex {
    fn fused_cached_attention(
        qkv: FlexTensor,
        keys: FlexTensor,
        values: FlexTensor,
        length: usize,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let (qkv, mut keys, mut values) = (contiguous(qkv), writable(keys), writable(values));
        let ([batch, packed], shape) = (sizes(&qkv), keys.layout().shape().clone());
        let (count, capacity, head) = (shape[1], shape[2], shape[3]);
        let (width, kept) = (packed - 2 * count * head, count * head);
        let group = width / kept;
        for (cache, column) in [(&mut keys, width), (&mut values, width + kept)] {
            let rows = floats(&qkv).chunks_exact(packed).flat_map(|row| row[column..][..kept].chunks_exact(head));
            for (place, row) in cache.storage_mut::<f32>().chunks_exact_mut(capacity * head).zip(rows) {
                place[length * head..][..head].copy_from_slice(row);
            }
        }
        let mut out = vec![0.0; batch * width];
        let threads = worth_threads(2 * batch * (length + 1) * width);
        for_chunks(threads, (&mut out, CHUNK * width), |index, out| {
            let first = index * CHUNK * kept * capacity;
            let queries =
                floats(&qkv)[index * CHUNK * packed..].chunks_exact(packed).flat_map(|row| row[..width].chunks_exact(head));
            let caches = [&keys, &values].map(|cache| floats(cache)[first..].chunks_exact(capacity * head));
            let [keys, values] = caches;
            let mut weights = vec![0.0; (length + 1).next_multiple_of(LANES)];
            let mut outputs = out.chunks_exact_mut(head).zip(queries);
            for (keys, values) in keys.zip(values) {
                for (out, query) in outputs.by_ref().take(group) {
                    attend(query, keys, values, out, &mut weights, length + 1);
                }
            }
        });
        (new(out, [batch, width]), keys, values)
    }
}

vectorised! {
    /// softmax(query keys^T / sqrt(width)) values over the first `filled` rows, for one head.
    fn attend(query: &[f32], keys: &[f32], values: &[f32], out: &mut [f32], weights: &mut [f32], filled: usize) {
        let head = query.len();
        let scale = (head as f32).powf(-0.5);
        let mut most = f32::NEG_INFINITY;
        weights[filled..].fill(f32::NEG_INFINITY);
        for (score, key) in weights.iter_mut().zip(keys.chunks_exact(head)).take(filled) {
            let ((a, a_tail), (b, b_tail)) = (query.as_chunks::<LANES>(), key.as_chunks::<LANES>());
            let mut sums = [0.0; LANES];
            for (a, b) in a.iter().zip(b) {
                for lane in 0..LANES {
                    sums[lane] = multiply_add::<FMA>(a[lane], b[lane], sums[lane]);
                }
            }
            *score = sum(sums) + a_tail.iter().zip(b_tail).map(|(a, b)| a * b).sum::<f32>();
            most = if *score > most { *score } else { most };
        }
        let mut sums = [0.0; LANES];
        for chunk in weights.as_chunks_mut::<LANES>().0 {
            for lane in 0..LANES {
                chunk[lane] = exp::<FMA>(scale * (chunk[lane] - most));
                sums[lane] += chunk[lane];
            }
        }
        let share = 1.0 / sum(sums);
        for (weight, value) in weights.iter().zip(values.chunks_exact(head)).take(filled) {
            let weight = weight * share;
            for (out, value) in out.iter_mut().zip(value) {
                *out = multiply_add::<FMA>(weight, *value, *out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::numbers;
    use burn::tensor::{Device, TensorData};

    #[test]
    fn fused_is_plain_step_after_step() {
        for [batch, group, heads, capacity, head] in [[1, 1, 1, 1, 1], [3, 1, 2, 4, 5], [40, 1, 4, 20, 16], [5, 3, 2, 6, 17]] {
            let device = Device::flex();
            let room = || Tensor::<4>::zeros([batch, heads, capacity, head], &device);
            let ((mut keys, mut values), (mut plain_keys, mut plain_values)) = ((room(), room()), (room(), room()));
            for length in 0..capacity {
                let qkv = || {
                    let packed = (group + 2) * heads * head;
                    let data = TensorData::new(numbers(batch * packed, length as u64), [batch, packed]);
                    Tensor::<2>::from_data(data, &device)
                };
                let got = cached_attention(qkv(), &mut keys, &mut values, length, None);
                let wanted = cached_attention_plain(qkv(), &mut plain_keys, &mut plain_values, length, None);
                let pairs = [(got.flatten::<1>(0, 1), wanted.flatten::<1>(0, 1))];
                let caches = [(keys.clone(), plain_keys.clone()), (values.clone(), plain_values.clone())];
                for (got, wanted) in pairs.into_iter().chain(caches.map(|(a, b)| (a.flatten(0, 3), b.flatten(0, 3)))) {
                    let difference: f32 = (got - wanted).abs().max().into_scalar();
                    assert!(difference < 1e-5, "length {length}: {difference}");
                }
            }
        }
    }
}
