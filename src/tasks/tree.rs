//! All completions of a task whose vocabulary and length are small: the leaves of a tree of tokens.
//!
//! A completion is letters, then the end token; one that has as many letters as a completion may have tokens is cut there
//! instead. So the number of letters tells an ended completion from a cut one.

/// The token that ends a completion.
pub const END: u32 = 0;

/// The tree: token 0 ends a completion, all other tokens are letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompletionTree {
    /// Size of the vocabulary, the end token included.
    pub symbols: usize,
    /// Tokens that a completion has at most, the end token included.
    pub length: usize,
}

impl CompletionTree {
    /// Number of prefixes that a further token follows: 1 + letters + letters^2 + ... of fewer than `length` letters.
    pub fn prefix_count(&self) -> usize {
        self.count_of(self.length.saturating_sub(1))
    }

    /// Number of completions: one for every sequence of at most `length` letters.
    pub fn leaf_count(&self) -> usize {
        self.count_of(self.length)
    }

    /// Letters of every prefix that a further token follows: the shorter first, those of a length in the order of their tokens.
    pub fn prefixes(&self) -> Vec<Vec<u32>> {
        let mut sequences = self.sequences();
        sequences.truncate(self.prefix_count());
        sequences
    }

    /// Tokens of every completion. First each prefix with the end token, in the order of [`prefixes`](Self::prefixes), then
    /// those that are cut, in the order of their tokens.
    pub fn leaves(&self) -> Vec<Vec<u32>> {
        let mut sequences = self.sequences();
        sequences.iter_mut().take(self.prefix_count()).for_each(|letters| letters.push(END));
        sequences
    }

    /// Log-probs of all completions, in the order of [`leaves`](Self::leaves), from the log-probs of the next token after every
    /// prefix, `[prefixes][symbols]` in the order of [`prefixes`](Self::prefixes). They sum to 1 if those of every prefix do.
    ///
    /// Fails if the table has another shape.
    pub fn leaf_log_probs(&self, next: &[Vec<f64>]) -> Result<Vec<f64>, String> {
        if next.len() != self.prefix_count() || next.iter().any(|row| row.len() != self.symbols) {
            return Err(format!(
                "log-probs of next tokens should be a table of {} prefixes by {} symbols",
                self.prefix_count(),
                self.symbols
            ));
        }
        let mut log_probs = self.grown(0.0, |prefix, log_prob, letter| log_prob + next[prefix][letter]);
        for (log_prob, next) in log_probs.iter_mut().zip(next) {
            *log_prob += next[END as usize];
        }
        Ok(log_probs)
    }

    /// Letters of all completions.
    fn sequences(&self) -> Vec<Vec<u32>> {
        self.grown(Vec::new(), |_, letters: &Vec<u32>, letter| [letters.as_slice(), &[letter as u32]].concat())
    }

    /// A value for every sequence of letters, breadth first, each made from its parent's index and value and from its last
    /// letter.
    fn grown<T>(&self, root: T, child: impl Fn(usize, &T, usize) -> T) -> Vec<T> {
        let mut values = vec![root];
        for parent in 0..self.prefix_count() {
            for letter in 1..self.symbols {
                values.push(child(parent, &values[parent], letter));
            }
        }
        values
    }

    /// Number of sequences of at most so many letters, or the largest number where they are too many to count.
    fn count_of(&self, letters: usize) -> usize {
        let longer = |count: usize| count.checked_mul(self.symbols.saturating_sub(1))?.checked_add(1);
        (0..letters).try_fold(1, |count, _| longer(count)).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;
    use proptest::prelude::*;
    use std::collections::HashSet;

    /// Random log-probs of next tokens, `[prefixes][symbols]`.
    fn random_next(tree: CompletionTree, row: u64) -> Vec<Vec<f64>> {
        let mut stream = Stream::new(0, 0, "test", row);
        let mut of_a_prefix = || {
            let weights: Vec<f64> = (0..tree.symbols).map(|_| stream.normal().exp()).collect();
            weights.iter().map(|weight| (weight / weights.iter().sum::<f64>()).ln()).collect()
        };
        (0..tree.prefix_count()).map(|_| of_a_prefix()).collect()
    }

    #[test]
    fn the_smallest_trees_are_as_written_by_hand() {
        let tree = CompletionTree { symbols: 3, length: 2 };
        assert_eq!(tree.prefixes(), [vec![], vec![1], vec![2]]);
        assert_eq!(tree.leaves(), [vec![0], vec![1, 0], vec![2, 0], vec![1, 1], vec![1, 2], vec![2, 1], vec![2, 2]]);
    }

    #[test]
    fn tables_of_another_shape_are_refused() {
        let tree = CompletionTree { symbols: 3, length: 2 };
        assert!(tree.leaf_log_probs(&[vec![0.0; 3]]).is_err());
        assert!(tree.leaf_log_probs(&vec![vec![0.0; 4]; 3]).is_err());
    }

    #[test]
    fn trees_too_large_to_count_are_the_largest() {
        assert_eq!(CompletionTree { symbols: 28, length: 50 }.leaf_count(), usize::MAX);
    }

    proptest! {
        #[test]
        fn every_completion_is_there_once_and_short_enough(symbols in 2..6usize, length in 1..5usize) {
            let tree = CompletionTree { symbols, length };
            let leaves = tree.leaves();
            prop_assert_eq!(leaves.len(), tree.leaf_count());
            prop_assert_eq!(leaves.iter().collect::<HashSet<_>>().len(), leaves.len());
            for leaf in &leaves {
                let letters = leaf.iter().take_while(|token| **token != END).count();
                prop_assert_eq!(leaf.len(), (letters + 1).min(length));
            }
        }

        #[test]
        fn probabilities_of_completions_are_products_and_sum_to_1(symbols in 2..6usize, length in 1..5usize, row: u64) {
            let tree = CompletionTree { symbols, length };
            let (next, prefixes) = (random_next(tree, row), tree.prefixes());
            let log_probs = tree.leaf_log_probs(&next).expect("a table");
            for (leaf, log_prob) in tree.leaves().iter().zip(&log_probs) {
                let after = |before: &[u32]| prefixes.iter().position(|prefix| prefix == before).expect("a prefix");
                let product: f64 = leaf.iter().enumerate().map(|(at, token)| next[after(&leaf[..at])][*token as usize]).sum();
                prop_assert!((product - log_prob).abs() < 1e-12);
            }
            prop_assert!((log_probs.iter().map(|log_prob| log_prob.exp()).sum::<f64>() - 1.0).abs() < 1e-12);
        }
    }
}
