//! Rotary position embedding (Su et al. 2021) of the queries and keys in packed rows.
//!
//! A pair (a, b) of a head at position p becomes (a cos - b sin, a sin + b cos) of p times its frequency; the backward turns
//! gradients the other way.

use super::attention::Heads;
use super::formula::{self, Formula, Operand, operand, tensor};
use super::kernel::{Kernel, for_chunks, is_on_cpu, record, sizes, widened, worth_threads, writable};
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Int, Tensor, TensorData};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// Which elements of a head turn together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairing {
    /// Element i with i + n / 2 (GPT-NeoX, Llama).
    Halves,
    /// Element 2 i with 2 i + 1 (GPT-J).
    Interleaved,
}

/// Cosines and sines, `[positions, pairs]` each.
type Tables = [Vec<f32>; 2];

/// How heads are turned.
#[derive(Clone, Debug)]
pub struct Rotary {
    /// Radians a position of each pair; twice as many elements of a head turn, the others stay.
    pub frequencies: Arc<Vec<f64>>,
    /// Which elements are a pair.
    pub pairing: Pairing,
    /// Of the positions that were asked for, which all layers share.
    tables: Arc<Mutex<Tables>>,
}

impl PartialEq for Rotary {
    fn eq(&self, other: &Self) -> bool {
        self.frequencies == other.frequencies && self.pairing == other.pairing
    }
}

impl Rotary {
    /// Frequencies base^(-2 i / turning) for `turning` elements of a head.
    pub fn new(base: f64, turning: usize, pairing: Pairing) -> Self {
        let frequency = |pair: usize| base.powf(-2.0 * pair as f64 / turning as f64);
        Rotary::with((0..turning / 2).map(frequency).collect(), pairing)
    }

    /// With these frequencies.
    pub fn with(frequencies: Vec<f64>, pairing: Pairing) -> Self {
        Rotary { frequencies: Arc::new(frequencies), pairing, tables: Arc::default() }
    }

    /// Cosines and sines of the positions up to `known`, `[known, pairs]` each.
    fn tables(&self, known: usize) -> Tables {
        let size = known * self.frequencies.len();
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        if tables[0].len() < size {
            let turns: Vec<[f32; 2]> = (0..known).flat_map(|position| self.turns(position)).collect();
            *tables = [0, 1].map(|which| turns.iter().map(|turn| turn[which]).collect());
        }
        tables.each_ref().map(|table| table[..size].to_vec())
    }

    /// (cos, sin) of every pair at this position.
    fn turns(&self, position: usize) -> impl Iterator<Item = [f32; 2]> {
        self.frequencies.iter().map(move |frequency| {
            let (sin, cos) = (position as f64 * frequency).sin_cos();
            [cos as f32, sin as f32]
        })
    }

    /// Indices of a pair's elements within a head.
    fn pair(&self, pair: usize) -> [usize; 2] {
        match self.pairing {
            Pairing::Halves => [pair, pair + self.frequencies.len()],
            Pairing::Interleaved => [2 * pair, 2 * pair + 1],
        }
    }
}

/// Turns queries and keys of `qkv` `[tokens, (queries + 2 keys) head]` by each token's position.
pub fn rotary(qkv: Tensor<2>, positions: &[usize], heads: Heads, rotary: &Rotary) -> Tensor<2> {
    if !is_on_cpu(&qkv) {
        return formula::of_one(Turn { positions: positions.to_vec(), heads, rotary: rotary.clone() }, qkv);
    }
    Tensor::from_dispatch(Dispatch::fused_rotary(qkv.into_dispatch(), positions.to_vec(), heads, rotary.clone()))
}

/// [`rotary`] of Burn's own operations.
#[cfg(test)]
pub(crate) fn rotary_plain(qkv: Tensor<2>, positions: &[usize], heads: Heads, rotary: &Rotary) -> Tensor<2> {
    turned(qkv, positions, heads, rotary, false)
}

/// Turned by the positions' angles, or back.
fn turned(qkv: Tensor<2>, positions: &[usize], heads: Heads, rotary: &Rotary, back: bool) -> Tensor<2> {
    let ([tokens, packed], device, given) = (qkv.dims(), qkv.device(), qkv.dtype());
    let (turned, head, pairs) = (heads.queries + heads.keys, heads.head(packed), rotary.frequencies.len());
    let rows: Tensor<3> = qkv.reshape([tokens, packed / head, head]);
    let part = |heads: Range<usize>, elements: Range<usize>| rows.clone().slice([0..tokens, heads, elements]);
    let ends = widened(part(0..turned, 0..2 * pairs));
    let known = 1 + positions.iter().copied().max().unwrap_or(0);
    let places = TensorData::new(positions.iter().map(|position| *position as i32).collect(), [tokens]);
    let places: Tensor<1, Int> = Tensor::from_data(places, &device);
    let [cosines, mut sines] = rotary.tables(known);
    if back {
        sines.iter_mut().for_each(|sine| *sine = -*sine);
    }
    let [cosines, sines] = [cosines, sines].map(|table| {
        let table = Tensor::<2>::from_data(TensorData::new(table, [known, pairs]), &device).cast(ends.dtype());
        table.select(0, places.clone()).unsqueeze_dim::<3>(1)
    });
    let [a, b] = match rotary.pairing {
        Pairing::Halves => [0, 1].map(|which| ends.clone().slice_dim(2, which * pairs..(which + 1) * pairs)),
        Pairing::Interleaved => {
            let ends: Tensor<4> = ends.reshape([tokens, turned, pairs, 2]);
            [0..1, 1..2].map(|which| ends.clone().slice_dim(3, which).squeeze_dim(3))
        }
    };
    let c = a.clone() * cosines.clone() - b.clone() * sines.clone();
    let d = a * sines + b * cosines;
    let ends = match rotary.pairing {
        Pairing::Halves => Tensor::cat(vec![c, d], 2),
        Pairing::Interleaved => Tensor::stack::<4>(vec![c, d], 3).reshape([tokens, turned, 2 * pairs]),
    };
    let mut all = vec![ends.cast(given)];
    if 2 * pairs < head {
        all.push(part(0..turned, 2 * pairs..head));
    }
    let turned = Tensor::cat(vec![Tensor::cat(all, 2), part(turned..packed / head, 0..head)], 1);
    turned.reshape([tokens, packed])
}

/// Rotary embedding as one operation.
#[backend_extension(Autodiff, Flex)]
pub(crate) trait FusedRotary: Backend {
    fn fused_rotary(qkv: FloatTensor<Self>, positions: Vec<usize>, heads: Heads, rotary: Rotary) -> FloatTensor<Self>;
}

impl FusedRotary for Flex {
    fn fused_rotary(qkv: FlexTensor, positions: Vec<usize>, heads: Heads, rotary: Rotary) -> FlexTensor {
        Turn { positions, heads, rotary }.forward([qkv]).0
    }
}

impl<C: CheckpointStrategy> FusedRotary for Autodiff<Flex, C> {
    fn fused_rotary(qkv: FloatTensor<Self>, positions: Vec<usize>, heads: Heads, rotary: Rotary) -> FloatTensor<Self> {
        record::<C, _, _>(Turn { positions, heads, rotary }, [qkv])
    }
}

#[derive(Debug)]
struct Turn {
    positions: Vec<usize>,
    heads: Heads,
    rotary: Rotary,
}

impl Formula<1> for Turn {
    fn value(&self, [qkv]: [Operand; 1]) -> Operand {
        operand(turned(tensor(qkv), &self.positions, self.heads, &self.rotary, false))
    }

    fn keep(&self, _: [Operand; 1]) -> Vec<Operand> {
        Vec::new()
    }

    fn derivative(&self, _: Vec<Operand>, gradient: Operand, _: [bool; 1]) -> [Option<Operand>; 1] {
        [Some(operand(turned(tensor(gradient), &self.positions, self.heads, &self.rotary, true)))]
    }
}

/// Rows of a chunk.
const CHUNK: usize = 64;
/// Elementary operations an element.
const COST: usize = 4;

impl Turn {
    /// Turns rows in place, `direction` 1 forwards and -1 back.
    fn turn(&self, rows: FlexTensor, direction: f32) -> FlexTensor {
        let mut rows = writable(rows);
        let [tokens, packed] = sizes(&rows);
        assert_eq!(self.positions.len(), tokens, "a position of every token");
        let head = self.heads.head(packed);
        let turned = (self.heads.queries + self.heads.keys) * head;
        let values = rows.storage_mut::<f32>();
        for_chunks(worth_threads(COST * values.len()), (values, CHUNK * packed), |index, rows| {
            for (row, position) in rows.chunks_exact_mut(packed).zip(&self.positions[index * CHUNK..]) {
                let turns: Vec<[f32; 2]> = self.rotary.turns(*position).collect();
                for head in row[..turned].chunks_exact_mut(head) {
                    for (pair, [cos, sin]) in turns.iter().enumerate() {
                        let [a, b] = self.rotary.pair(pair);
                        let sin = direction * sin;
                        (head[a], head[b]) = (head[a] * cos - head[b] * sin, head[a] * sin + head[b] * cos);
                    }
                }
            }
        });
        rows
    }
}

impl Kernel<1> for Turn {
    const NAME: &'static str = "rotary embedding";

    type Saved = ();

    fn forward(&self, [qkv]: [FlexTensor; 1]) -> (FlexTensor, ()) {
        (self.turn(qkv, 1.0), ())
    }

    fn backward(&self, (): (), gradient: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        [Some(self.turn(gradient, -1.0))]
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Case, numbers};
    use super::*;

    #[test]
    fn fused_is_plain() {
        for (tokens, queries, keys, head, turning) in [(1, 1, 1, 2, 2), (3, 2, 1, 6, 4), (70, 4, 2, 16, 16), (9, 3, 3, 8, 0)] {
            for pairing in [Pairing::Halves, Pairing::Interleaved] {
                let (heads, rotation) = (Heads { queries, keys }, Rotary::new(10_000.0, turning, pairing));
                let packed = (queries + 2 * keys) * head;
                let positions: Vec<usize> = (0..tokens).map(|token| token * 7 % 50).collect();
                let case = Case::new(&[&[tokens, packed]], 1.0);
                type Op = fn(Tensor<2>, &[usize], Heads, &Rotary) -> Tensor<2>;
                let run = |op: Op| {
                    let (positions, rotation) = (&positions, &rotation);
                    move |x: &[Tensor<1>]| op(x[0].clone().reshape([tokens, packed]), positions, heads, rotation).flatten(0, 1)
                };
                case.agrees(run(rotary), run(rotary_plain));
                case.ignores_threads(run(rotary));
                if tokens == 3 {
                    case.differentiates(run(rotary));
                }
            }
        }
    }

    /// What the embedding is for: a query and a key meet at an angle that depends on their distance alone.
    #[test]
    fn scores_depend_on_the_distance() {
        let device = burn::tensor::Device::flex();
        let heads = Heads { queries: 1, keys: 1 };
        for pairing in [Pairing::Halves, Pairing::Interleaved] {
            let rotation = Rotary::new(100.0, 8, pairing);
            let score = |query: usize, key: usize| {
                let row = numbers(24, 5);
                let rows = Tensor::from_data(TensorData::new([row.clone(), row].concat(), [2, 24]), &device);
                let turned: Vec<f32> = rotary(rows, &[query, key], heads, &rotation).into_data().iter::<f32>().collect();
                turned[..8].iter().zip(&turned[24 + 8..24 + 16]).map(|(q, k)| q * k).sum::<f32>()
            };
            assert!((score(3, 1) - score(40, 38)).abs() < 1e-5);
            assert!((score(3, 1) - score(3, 2)).abs() > 1e-3);
        }
    }
}
