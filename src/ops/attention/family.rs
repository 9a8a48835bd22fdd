//! Which rows are sequences that attend.

/// Sequences that begin alike. What they share lies first and is there once, then what each has of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Family {
    /// Tokens that all have in common; may be 0.
    pub shared: usize,
    /// Tokens of each sequence behind these.
    pub own: Vec<usize>,
}

impl Family {
    /// One sequence by itself.
    pub fn single(tokens: usize) -> Self {
        Family { shared: 0, own: vec![tokens] }
    }

    /// Whether it is one sequence that shares nothing.
    pub(super) fn is_alone(&self) -> bool {
        self.shared == 0 && self.own.len() == 1
    }

    /// Tokens that are there.
    pub fn rows(&self) -> usize {
        self.shared + self.own.iter().sum::<usize>()
    }

    /// Shared and own tokens of each part that attends: what is shared, by itself, and every sequence.
    pub(super) fn parts(&self) -> impl Iterator<Item = [usize; 2]> {
        let sequences = self.own.iter().map(|own| [self.shared, *own]);
        std::iter::once([0, self.shared]).chain(sequences).filter(|[_, own]| *own > 0)
    }
}

/// Sequences of one length, one after another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    /// How many.
    pub sequences: usize,
    /// Tokens of each.
    pub tokens: usize,
}

impl Run {
    /// Tokens of all.
    pub fn rows(&self) -> usize {
        self.sequences * self.tokens
    }
}
