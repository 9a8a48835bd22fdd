//! Causal self-attention over packed queries, keys and values (Vaswani et al. 2017).

use burn::tensor::{Bool, Tensor, activation::softmax};

/// Attention of every position to itself and those before it.
///
/// `qkv` is `[batch * tokens, 3 * width]` as GPT-2's `c_attn` gives it; the result is `[batch * tokens, width]`.
/// Right padding needs no mask: no real position attends to a later one.
pub fn causal_attention(qkv: Tensor<2>, batch: usize, tokens: usize, heads: usize) -> Tensor<2> {
    let [rows, packed] = qkv.dims();
    let [queries, keys, values] = split_heads(qkv, batch, tokens, heads);
    let scores = scaled_scores(queries, keys);
    // `true` marks what a position must not see: Burn's mask is true above the diagonal.
    let future: Tensor<4, Bool> = Tensor::<2, Bool>::tril_mask([tokens, tokens], 0, &scores.device()).unsqueeze();
    let weights = softmax(scores.mask_fill(future, f32::NEG_INFINITY), 3);
    weights.matmul(values).swap_dims(1, 2).reshape([rows, packed / 3])
}

/// Attention of the newest position to a cache that it is written into.
///
/// `qkv` is `[batch, 3 * width]`; `keys` and `values` are `[batch, heads, capacity, width / heads]`, of which the first
/// `length` positions are filled. Returns `[batch, width]`.
pub fn cached_attention(qkv: Tensor<2>, keys: &mut Tensor<4>, values: &mut Tensor<4>, length: usize) -> Tensor<2> {
    let [batch, packed] = qkv.dims();
    let [_, heads, _, head_width] = keys.dims();
    let [query, key, value] = split_heads(qkv, batch, 1, heads);
    let place = [0..batch, 0..heads, length..length + 1, 0..head_width];
    write(keys, place.clone(), key);
    write(values, place, value);
    let filled = [0..batch, 0..heads, 0..length + 1, 0..head_width];
    let weights = softmax(scaled_scores(query, keys.clone().slice(filled.clone())), 3);
    weights.matmul(values.clone().slice(filled)).reshape([batch, packed / 3])
}

/// Writes into a cache without keeping a second handle to it, so that the backend may write in place.
fn write(cache: &mut Tensor<4>, place: [std::ops::Range<usize>; 4], new: Tensor<4>) {
    let device = new.device();
    let old = std::mem::replace(cache, Tensor::zeros([1, 1, 1, 1], &device));
    *cache = old.slice_assign(place, new);
}

/// Queries, keys and values, each `[batch, heads, tokens, width / heads]`.
pub fn split_heads(qkv: Tensor<2>, batch: usize, tokens: usize, heads: usize) -> [Tensor<4>; 3] {
    let [_, packed] = qkv.dims();
    let parts: Tensor<5> = qkv.reshape([batch, tokens, 3, heads, packed / 3 / heads]).permute([2, 0, 3, 1, 4]);
    [0, 1, 2].map(|part| parts.clone().narrow(0, part, 1).squeeze_dim(0))
}

fn scaled_scores(queries: Tensor<4>, keys: Tensor<4>) -> Tensor<4> {
    let [.., head_width] = queries.dims();
    queries.mul_scalar((head_width as f64).powf(-0.5)).matmul(keys.transpose())
}
