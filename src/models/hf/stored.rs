//! How a weight of the decoder lies in a family's files, and the way back.

use crate::models::DecoderConfig;

/// A weight's tensors in the files. The decoder's matrices are `[in, out]`, those of torch.nn.Linear `[out, in]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored {
    /// One tensor of the same shape.
    AsIs(String),
    /// Matrices of torch.nn.Linear whose outputs stand side by side, or the biases of such; each with its number of outputs.
    Linear(Vec<(String, usize)>),
    /// One torch.nn.Linear of all queries, keys and values, or its bias, in which each head has its three parts together (GPT-NeoX).
    LinearByHead(String),
    /// A head `[entries, width]`, and a bias of its entries, which are the decoder's last column (GPT-J).
    WithBias(String, String),
}

impl Stored {
    /// One matrix of torch.nn.Linear.
    pub fn linear(name: impl Into<String>, outputs: usize) -> Self {
        Stored::Linear(vec![(name.into(), outputs)])
    }

    /// Names and shapes in the files of a weight of this shape.
    pub fn shapes(&self, shape: &[usize]) -> Vec<(String, Vec<usize>)> {
        match self {
            Stored::AsIs(name) => vec![(name.clone(), shape.to_vec())],
            Stored::Linear(parts) => {
                let of = |outputs: usize| if let [inputs, _] = shape { vec![outputs, *inputs] } else { vec![outputs] };
                parts.iter().map(|(name, outputs)| (name.clone(), of(*outputs))).collect()
            }
            Stored::LinearByHead(name) => vec![(name.clone(), shape.iter().rev().copied().collect())],
            Stored::WithBias(weight, bias) => {
                let [entries, columns] = [shape[0], shape[1]];
                vec![(weight.clone(), vec![entries, columns - 1]), (bias.clone(), vec![entries])]
            }
        }
    }

    /// Modules of the files that a matrix of this shape is made of: the name of each and its number of columns, in their order.
    pub fn modules(&self, shape: &[usize]) -> Vec<(String, usize)> {
        let parts = match self {
            Stored::AsIs(name) | Stored::LinearByHead(name) => vec![(name.clone(), shape.last().copied().unwrap_or_default())],
            Stored::Linear(parts) => parts.clone(),
            Stored::WithBias(weight, _) => vec![(weight.clone(), shape[0])],
        };
        parts.into_iter().map(|(name, columns)| (name.strip_suffix(".weight").unwrap_or(&name).to_owned(), columns)).collect()
    }

    /// The weight, from its tensors in the order of [`shapes`](Self::shapes).
    pub fn read(&self, mut parts: Vec<Vec<f32>>, shape: &[usize], config: &DecoderConfig) -> Vec<f32> {
        match self {
            Stored::AsIs(_) => parts.pop().unwrap_or_default(),
            Stored::Linear(_) => {
                let rows = if parts.len() == 1 { parts.pop().unwrap_or_default() } else { parts.concat() };
                linear_to_matrix(rows, shape)
            }
            Stored::LinearByHead(_) => {
                let rows = parts.pop().unwrap_or_default();
                let order = kinds_of_heads(config).into_iter().map(|[kind, head]| head * 3 + kind);
                linear_to_matrix(reorder(&rows, config, order), shape)
            }
            Stored::WithBias(..) => {
                let (bias, weight) = (parts.pop().unwrap_or_default(), parts.pop().unwrap_or_default());
                let width = shape[1] - 1;
                weight.chunks_exact(width.max(1)).zip(bias).flat_map(|(row, bias)| row.iter().copied().chain([bias])).collect()
            }
        }
    }

    /// The tensors of a weight: [`read`](Self::read) backwards.
    pub fn write(&self, values: Vec<f32>, shape: &[usize], config: &DecoderConfig) -> Vec<Vec<f32>> {
        match self {
            Stored::AsIs(_) => vec![values],
            Stored::Linear(parts) => {
                let rows = matrix_to_linear(values, shape);
                if let [_] = parts[..] {
                    return vec![rows];
                }
                let outputs = shape.last().copied().unwrap_or(1).max(1);
                let inputs = rows.len() / outputs;
                let mut rest = rows.as_slice();
                let cut = |(_, outputs): &(String, usize)| {
                    let (part, others) = rest.split_at(outputs * inputs);
                    rest = others;
                    part.to_vec()
                };
                parts.iter().map(cut).collect()
            }
            Stored::LinearByHead(_) => {
                let rows = matrix_to_linear(values, shape);
                let heads = config.heads.queries;
                let order = (0..3 * heads).map(|block| (block % 3) * heads + block / 3);
                vec![reorder(&rows, config, order)]
            }
            Stored::WithBias(..) => {
                let rows = values.chunks_exact(shape[1].max(1));
                let weight = rows.clone().flat_map(|row| &row[..row.len() - 1]).copied().collect();
                vec![weight, rows.map(|row| row[row.len() - 1]).collect()]
            }
        }
    }
}

/// (queries, keys or values; head) of every block of rows, in the decoder's order.
fn kinds_of_heads(config: &DecoderConfig) -> Vec<[usize; 2]> {
    (0..3).flat_map(|kind| (0..config.heads.queries).map(move |head| [kind, head])).collect()
}

/// Blocks of one head's rows in another order: the new first one is number `order[0]` of the old.
fn reorder(rows: &[f32], config: &DecoderConfig, order: impl Iterator<Item = usize>) -> Vec<f32> {
    let block = rows.len() / (3 * config.heads.queries);
    order.flat_map(|from| &rows[from * block..][..block]).copied().collect()
}

/// `[out, in]` as `[in, out]`; a bias stays.
fn linear_to_matrix(rows: Vec<f32>, shape: &[usize]) -> Vec<f32> {
    if let [inputs, outputs] = *shape { transpose(&rows, outputs, inputs) } else { rows }
}

/// `[in, out]` as `[out, in]`; a bias stays.
fn matrix_to_linear(values: Vec<f32>, shape: &[usize]) -> Vec<f32> {
    if let [inputs, outputs] = *shape { transpose(&values, inputs, outputs) } else { values }
}

/// Rows and columns that are read and written together, so that both stay in the cache.
const TILE: usize = 32;

fn transpose(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let mut out = vec![0.0; values.len()];
    for first in (0..rows).step_by(TILE) {
        for left in (0..columns).step_by(TILE) {
            for row in first..(first + TILE).min(rows) {
                for column in left..(left + TILE).min(columns) {
                    out[column * rows + row] = values[row * columns + column];
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written_again() {
        let config = DecoderConfig::gpt2(7, 5, 12, 1, 3);
        let matrix = [12, 36];
        let cases = [
            (Stored::AsIs("a".into()), vec![7, 12]),
            (Stored::Linear(vec![("q".into(), 20), ("k".into(), 9), ("v".into(), 7)]), matrix.to_vec()),
            (Stored::Linear(vec![("q".into(), 20), ("k".into(), 16)]), vec![36]),
            (Stored::linear("one", 36), matrix.to_vec()),
            (Stored::LinearByHead("qkv".into()), matrix.to_vec()),
            (Stored::LinearByHead("qkv".into()), vec![36]),
            (Stored::WithBias("head".into(), "bias".into()), vec![7, 13]),
        ];
        for (stored, shape) in cases {
            let count: usize = shape.iter().product();
            let values: Vec<f32> = (0..count).map(|index| index as f32).collect();
            let parts = stored.write(values.clone(), &shape, &config);
            let shapes = stored.shapes(&shape);
            assert_eq!(shapes.len(), parts.len(), "{stored:?}");
            for ((_, shape), part) in shapes.iter().zip(&parts) {
                assert_eq!(shape.iter().product::<usize>(), part.len(), "{stored:?}");
            }
            assert_eq!(stored.read(parts, &shape, &config), values, "{stored:?}");
        }
    }

    #[test]
    fn a_linear_layer_is_transposed() {
        let config = DecoderConfig::gpt2(7, 5, 2, 1, 1);
        let stored = Stored::Linear(vec![("a".into(), 1), ("b".into(), 2)]);
        assert_eq!(stored.shapes(&[2, 3]), [("a".into(), vec![1, 2]), ("b".into(), vec![2, 2])]);
        let read = stored.read(vec![vec![1.0, 2.0], vec![3.0, 4.0, 5.0, 6.0]], &[2, 3], &config);
        assert_eq!(read, [1.0, 3.0, 5.0, 2.0, 4.0, 6.0]);
    }
}
