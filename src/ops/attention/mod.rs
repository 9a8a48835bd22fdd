//! Causal self-attention over packed queries, keys and values (Vaswani et al. 2017).
//!
//! The kernel reads queries, keys and values where they lie, skips what a position must not see, and keeps of the weights
//! only each row's log-sum-exp, from which the backward makes them again (Dao et al. 2022):
//! P = exp(S - lse), dV = P^T g, dS = P (g V^T - rowsum(P g V^T)), dQ = dS K, dK = dS^T Q.

mod batched;
mod cached;
mod family;
mod sequence;

pub use cached::cached_attention;
pub use family::Family;

use super::kernel::{Kernel, contiguous, floats, for_each, is_on_cpu, new, record, sizes, worth_threads};
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;
use family::Run;
use sequence::{Sizes, attend, propagate};

/// Heads of a packed row, which holds all queries, then all keys, then all values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    /// Heads that ask.
    pub queries: usize,
    /// Heads of keys, and as many of values: each serves `queries / keys` queries (Ainslie et al. 2023).
    pub keys: usize,
}

impl Heads {
    /// As many keys as queries.
    pub fn equal(heads: usize) -> Self {
        Heads { queries: heads, keys: heads }
    }

    /// Width of one head in rows of `packed` elements.
    pub fn head(self, packed: usize) -> usize {
        packed / (self.queries + 2 * self.keys)
    }
}

/// Attention of every position of a sequence to itself and those before it.
///
/// `qkv` is `[tokens, (queries + 2 keys) head]`, as GPT-2's `c_attn` gives it, for families of sequences one after another; the
/// result is `[tokens, queries head]`. Nothing is padded.
pub fn causal_attention(qkv: Tensor<2>, families: &[Family], heads: Heads) -> Tensor<2> {
    if !is_on_cpu(&qkv) {
        return if families.iter().all(Family::is_alone) {
            let alike = families.chunk_by(|a, b| a.rows() == b.rows());
            batched::attention(qkv, alike.map(|alike| Run { sequences: alike.len(), tokens: alike[0].rows() }).collect(), heads)
        } else {
            in_batches(qkv, families, heads, |qkv, run| batched::attention(qkv, vec![run], heads))
        };
    }
    Tensor::from_dispatch(Dispatch::fused_attention(qkv.into_dispatch(), families.to_vec(), heads))
}

/// [`causal_attention`] of Burn's own operations.
#[cfg(test)]
pub(crate) fn causal_attention_plain(qkv: Tensor<2>, families: &[Family], heads: Heads) -> Tensor<2> {
    in_batches(qkv, families, heads, |qkv, run| batched::attention_plain(qkv, run, heads))
}

/// Every part with what it shares before it, by `attend`; runs of parts of one size together.
fn in_batches(qkv: Tensor<2>, families: &[Family], heads: Heads, attend: impl Fn(Tensor<2>, Run) -> Tensor<2>) -> Tensor<2> {
    let [_, packed] = qkv.dims();
    let mut parts: Vec<(usize, [usize; 2], usize)> = Vec::new();
    let mut next = 0;
    for family in families {
        let start = next;
        for sizes in family.parts() {
            parts.push((start, sizes, next));
            next += sizes[1];
        }
    }
    let run = |run: &[(usize, [usize; 2], usize)]| {
        let (_, [shared, own], first) = run[0];
        if shared == 0 {
            let run = Run { sequences: run.len(), tokens: own };
            return attend(some_rows(&qkv, first, run.rows()), run);
        }
        let rows = |first: usize, count: usize| qkv.clone().slice_dim(0, first..first + count);
        let rows = |(start, _, first): &(usize, _, usize)| [rows(*start, shared), rows(*first, own)];
        let joined = Tensor::cat(run.iter().flat_map(rows).collect(), 0);
        let out = attend(joined, Run { sequences: run.len(), tokens: shared + own });
        let width = heads.queries * heads.head(packed);
        let out: Tensor<3> = out.reshape([run.len(), shared + own, width]).slice_dim(1, shared..shared + own);
        out.reshape([run.len() * own, width])
    };
    joined(parts.chunk_by(|a, b| a.1 == b.1).map(run).collect())
}

/// Rows of a matrix; all of them without a copy, and without a step on a tape.
fn some_rows(all: &Tensor<2>, first: usize, count: usize) -> Tensor<2> {
    if count == all.dims()[0] { all.clone() } else { all.clone().slice_dim(0, first..first + count) }
}

/// Parts one after another.
fn joined(mut parts: Vec<Tensor<2>>) -> Tensor<2> {
    if parts.len() == 1 { parts.remove(0) } else { Tensor::cat(parts, 0) }
}

/// Queries, keys and values, each `[batch, heads, tokens, head]`.
pub fn split_heads(qkv: Tensor<2>, batch: usize, tokens: usize, heads: Heads) -> [Tensor<4>; 3] {
    let [_, packed] = qkv.dims();
    let head = heads.head(packed);
    let parts: Tensor<4> = qkv.reshape([batch, tokens, packed / head, head]).swap_dims(1, 2);
    let part = |first: usize, count: usize| parts.clone().slice_dim(1, first..first + count);
    [part(0, heads.queries), part(heads.queries, heads.keys), part(heads.queries + heads.keys, heads.keys)]
}

/// Keys or values once for every query's head.
fn repeat_heads(part: Tensor<4>, heads: Heads) -> Tensor<4> {
    if heads.keys == heads.queries {
        return part;
    }
    let [batch, keys, tokens, head] = part.dims();
    let group = heads.queries / keys;
    part.unsqueeze_dim::<5>(2).repeat_dim(2, group).reshape([batch, heads.queries, tokens, head])
}

/// Q K^T / sqrt(width of a head).
fn scaled_scores(queries: Tensor<4>, keys: Tensor<4>) -> Tensor<4> {
    let [.., head_width] = queries.dims();
    queries.mul_scalar((head_width as f64).powf(-0.5)).matmul(keys.transpose())
}

/// Causal attention as one operation.
#[backend_extension(Autodiff, Flex)]
pub(crate) trait FusedAttention: Backend {
    fn fused_attention(qkv: FloatTensor<Self>, families: Vec<Family>, heads: Heads) -> FloatTensor<Self>;
}

impl FusedAttention for Flex {
    fn fused_attention(qkv: FlexTensor, families: Vec<Family>, heads: Heads) -> FlexTensor {
        Attention { families, heads }.forward([qkv]).0
    }
}

impl<C: CheckpointStrategy> FusedAttention for Autodiff<Flex, C> {
    fn fused_attention(qkv: FloatTensor<Self>, families: Vec<Family>, heads: Heads) -> FloatTensor<Self> {
        record::<C, _, _>(Attention { families, heads }, [qkv])
    }
}

#[derive(Clone, Debug)]
struct Attention {
    families: Vec<Family>,
    heads: Heads,
}

impl Attention {
    /// Multiplications of the scores, and as many of the weighted values.
    fn operations(&self, width: usize) -> usize {
        let parts = self.families.iter().flat_map(Family::parts);
        parts.map(|[shared, own]| (shared + own) * own * width).sum()
    }

    /// First row of every family.
    fn starts(&self) -> impl Iterator<Item = usize> {
        self.families.iter().scan(0, |next, family| Some(std::mem::replace(next, *next + family.rows())))
    }

    /// Every family's part of rows of `width`.
    fn cut<'a>(&self, mut rows: &'a mut [f32], width: usize) -> Vec<&'a mut [f32]> {
        let part = |family: &Family| take(&mut rows, family.rows() * width);
        self.families.iter().map(part).collect()
    }
}

/// Cuts off the first `length` elements.
fn take<'a>(from: &mut &'a mut [f32], length: usize) -> &'a mut [f32] {
    let (first, rest) = std::mem::take(from).split_at_mut(length);
    *from = rest;
    first
}

impl Kernel<1> for Attention {
    const NAME: &'static str = "attention";

    /// qkv, and the log-sum-exp of every row of scores, `[queries, own tokens]` of each part.
    type Saved = (FlexTensor, Vec<f32>);

    fn forward(&self, [qkv]: [FlexTensor; 1]) -> (FlexTensor, Self::Saved) {
        let qkv = contiguous(qkv);
        let [rows, packed] = sizes(&qkv);
        assert_eq!(self.families.iter().map(Family::rows).sum::<usize>(), rows, "the sequences' tokens");
        let queries = self.heads.queries;
        let width = queries * self.heads.head(packed);
        let (mut out, mut log_sums) = (vec![0.0; rows * width], vec![0.0; rows * queries]);
        let outputs = self.cut(&mut out, width).into_iter().zip(self.cut(&mut log_sums, queries));
        let mut families: Vec<_> = self.families.iter().zip(self.starts()).zip(outputs).collect();
        for_each(worth_threads(self.operations(width)), &mut families, |((family, start), (out, log_sums))| {
            let mut scratch = Vec::new();
            let rows = &floats(&qkv)[*start * packed..];
            let (mut first, mut out, mut log_sums) = (0, &mut **out, &mut **log_sums);
            for [shared, own] in family.parts() {
                let sizes = Sizes::new([shared, own], self.heads, packed);
                let (out, log_sums) = (take(&mut out, own * width), take(&mut log_sums, own * queries));
                let own_rows = &rows[first * packed..][..own * packed];
                let scratch = zeroed(&mut scratch, sizes.forward_scratch());
                attend(sizes, &rows[..shared * packed], own_rows, out, log_sums, scratch);
                first += own;
            }
        });
        (new(out, [rows, width]), (qkv, log_sums))
    }

    fn backward(&self, (qkv, log_sums): Self::Saved, gradient: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let gradient = contiguous(gradient);
        let [rows, packed] = sizes(&qkv);
        let queries = self.heads.queries;
        let width = queries * self.heads.head(packed);
        let mut out = vec![0.0; rows * packed];
        let mut families: Vec<_> = self.families.iter().zip(self.starts()).zip(self.cut(&mut out, packed)).collect();
        for_each(worth_threads(2 * self.operations(width)), &mut families, |((family, start), out)| {
            let mut scratch = Vec::new();
            let rows = &floats(&qkv)[*start * packed..];
            let mut first = 0;
            for [shared, own] in family.parts() {
                let sizes = Sizes::new([shared, own], self.heads, packed);
                // What is shared lies first, so it is never among the part's own rows.
                let (to_shared, to_own) = out.split_at_mut(first.max(shared) * packed);
                let part = |width: usize| (*start + first) * width..(*start + first + own) * width;
                propagate(
                    sizes,
                    &rows[..shared * packed],
                    &rows[first * packed..][..own * packed],
                    &floats(&gradient)[part(width)],
                    &log_sums[part(queries)],
                    &mut to_shared[..shared * packed],
                    &mut to_own[..own * packed],
                    zeroed(&mut scratch, sizes.backward_scratch()),
                );
                first += own;
            }
        });
        [Some(new(out, [rows, packed]))]
    }
}

/// The first `length` elements of a buffer that is used again and again, all of them 0.
fn zeroed(scratch: &mut Vec<f32>, length: usize) -> &mut [f32] {
    scratch.clear();
    scratch.resize(length, 0.0);
    scratch
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::Case;

    #[test]
    fn fused_is_plain() {
        let cases: [(&[usize], usize, usize); 7] = [
            (&[1], 1, 1),
            (&[3, 3], 2, 2),
            (&[7, 7, 7], 3, 5),
            (&[24, 1, 23, 17, 16, 8, 24, 2, 9], 4, 16),
            (&[41, 40], 2, 33),
            (&[70], 1, 64),
            (&[5, 64, 33, 1, 48], 3, 8),
        ];
        let grouped: [(&[usize], [usize; 2], usize); 3] = [(&[1], [2, 1], 1), (&[3, 3], [2, 1], 2), (&[24, 1, 41], [6, 2], 17)];
        let equal = cases.map(|(lengths, heads, head)| (lengths, [heads, heads], head));
        for (lengths, heads, head) in equal.into_iter().chain(grouped) {
            check(&lengths.iter().map(|length| Family::single(*length)).collect::<Vec<_>>(), heads, head);
        }
    }

    #[test]
    fn fused_is_plain_for_families() {
        let family = |shared: usize, own: &[usize]| Family { shared, own: own.to_vec() };
        check(&[family(2, &[1, 1]), family(1, &[1])], [2, 2], 2);
        check(&[family(1, &[2, 1]), family(2, &[])], [2, 1], 3);
        check(&[family(17, &[5, 0, 30, 16]), Family::single(9), family(33, &[7, 64])], [4, 4], 16);
        check(&[family(5, &[3, 3]), family(5, &[3, 3]), family(6, &[1, 90])], [4, 2], 17);
    }

    /// What sharing is for: every sequence attends as if it lay there whole.
    #[test]
    fn a_family_is_its_sequences() {
        let device = burn::tensor::Device::flex();
        let (heads, packed, shared, own) = (Heads::equal(2), 18, 7, [4, 9]);
        let rows: Tensor<2> =
            Tensor::from_data(burn::tensor::TensorData::new(crate::ops::testing::numbers(20 * packed, 1), [20, packed]), &device);
        let together = causal_attention(rows.clone(), &[Family { shared, own: own.to_vec() }], heads);
        let mut first = shared;
        for own in own {
            let part = |rows: &Tensor<2>| rows.clone().slice_dim(0, first..first + own);
            let whole = Tensor::cat(vec![rows.clone().slice_dim(0, 0..shared), part(&rows)], 0);
            let alone = causal_attention(whole, &[Family::single(shared + own)], heads).slice_dim(0, shared..shared + own);
            let difference: f32 = (part(&together) - alone).abs().max().into_scalar();
            assert!(difference < 1e-6, "{difference}");
            first += own;
        }
    }

    fn check(families: &[Family], [queries, keys]: [usize; 2], head: usize) {
        let heads = Heads { queries, keys };
        let (rows, packed) = (families.iter().map(Family::rows).sum::<usize>(), (queries + 2 * keys) * head);
        type Op = fn(Tensor<2>, &[Family], Heads) -> Tensor<2>;
        let run = |op: Op| move |x: &[Tensor<1>]| op(x[0].clone().reshape([rows, packed]), families, heads).flatten(0, 1);
        // Weights that are nearly equal, and weights of which one is nearly all.
        for scale in [1e-3, 6.0] {
            Case::new(&[&[rows, packed]], scale).agrees_in_scale(run(causal_attention), run(causal_attention_plain));
        }
        let case = Case::new(&[&[rows, packed]], 1.5);
        case.agrees(run(causal_attention), run(causal_attention_plain));
        case.ignores_threads(run(causal_attention));
        if rows <= 6 {
            case.differentiates(run(causal_attention));
        }
    }
}
