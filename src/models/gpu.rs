//! What a GPU runs at once: few lengths, and as many sequences as some memory allows.
//!
//! Attention runs sequences of one length together, so that many lengths mean many launches, and kernels of many shapes; one length
//! means that all others are filled up to the longest.

pub use crate::ops::HELD as HEAD_TOKENS;

use std::collections::BTreeMap;

/// Sequences, at most: a GPU takes about as long for a few as for many.
pub const ROWS: usize = 4096;
/// Bytes of what is there at once between the operations of a model that is not trained.
pub const IN_FLIGHT: usize = 4 << 30;
/// They are so many numbers a token and element of the residual stream.
pub const NUMBERS_IN_FLIGHT: usize = 12;
/// Numbers of a row that are there for each entry of the vocabulary while a token is drawn.
pub const DRAWN: usize = 6;

/// How many sequences of this length, at most, a model of this width runs at once where it is not trained.
pub fn rows_at_once(longest: usize, width: usize) -> usize {
    (IN_FLIGHT / (longest * width * NUMBERS_IN_FLIGHT * size_of::<f32>()).max(1)).clamp(1, ROWS)
}

/// Sequences are filled up to a multiple of this on a GPU.
const FILLED: usize = 64;
/// Multiplications of a block's products that take a GPU about as long as the launches of attention for one more length.
const WORTH_A_LENGTH: usize = 1 << 30;

/// The length that each of these sequences is filled up to on a GPU: of all ways to give them few lengths the one with the fewest
/// tokens, where a length counts as many tokens as it must save in a model of this width.
pub fn few_lengths(lengths: &[usize], width: usize) -> Vec<usize> {
    let price = WORTH_A_LENGTH / (width * width).max(1);
    let rounded = |length: &usize| length.next_multiple_of(FILLED);
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    for length in lengths {
        *counts.entry(rounded(length)).or_default() += 1;
    }
    let counts: Vec<(usize, usize)> = counts.into_iter().collect();
    // For so many of the shortest: the fewest tokens, and how many of these are shorter than those that the longest is shared by.
    let mut best = vec![(0, 0)];
    for (end, (longest, _)) in counts.iter().enumerate() {
        let mut sharing = 0;
        let with = (0..=end).rev().map(|first| {
            sharing += counts[first].1;
            (best[first].0 + sharing * longest + price, first)
        });
        let least = with.min().unwrap_or_default();
        best.push(least);
    }
    let mut filled: BTreeMap<usize, usize> = BTreeMap::new();
    let mut end = counts.len();
    while end > 0 {
        let first = best[end].1;
        filled.extend(counts[first..end].iter().map(|(length, _)| (*length, counts[end - 1].0)));
        end = first;
    }
    lengths.iter().map(|length| filled[&rounded(length)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tokens(lengths: &[usize]) -> usize {
        lengths.iter().sum()
    }

    #[test]
    fn a_narrow_model_has_one_length_and_a_wide_one_as_many_as_save_something() {
        let lengths = [vec![40; 30], vec![70; 30], vec![500; 4]].concat();
        assert_eq!(few_lengths(&lengths, 128), vec![512; 64]);
        // A length of 128 instead of 512 saves 23,040 tokens; one of 64 beside it 1,920, where a length is worth 1,820.
        assert_eq!(few_lengths(&lengths, 768), [vec![64; 30], vec![128; 30], vec![512; 4]].concat());
        assert_eq!(few_lengths(&lengths, 700), [vec![128; 60], vec![512; 4]].concat());
        assert!(few_lengths(&[], 768).is_empty());
    }

    proptest! {
        #[test]
        fn none_is_cut_and_no_other_way_of_two_lengths_is_better(
            lengths in prop::collection::vec(1usize..700, 1..40),
            width in 1usize..5000,
        ) {
            let filled = few_lengths(&lengths, width);
            let longest = lengths.iter().max().unwrap().next_multiple_of(FILLED);
            for (own, filled) in lengths.iter().zip(&filled) {
                prop_assert!(own <= filled && filled.is_multiple_of(FILLED) && *filled <= longest);
            }
            let price = WORTH_A_LENGTH / (width * width);
            let mut different = filled.clone();
            different.sort();
            different.dedup();
            let cost = tokens(&filled) + different.len() * price;
            for border in (FILLED..=longest).step_by(FILLED) {
                let two: Vec<usize> = lengths.iter().map(|own| if *own <= border { border } else { longest }).collect();
                let used = 1 + usize::from(two.iter().any(|length| *length != longest) && two.contains(&longest));
                prop_assert!(cost <= tokens(&two) + used * price, "{filled:?} of {lengths:?}");
            }
        }
    }
}
