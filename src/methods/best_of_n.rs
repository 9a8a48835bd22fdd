//! Best-of-N: of N completions of the reference, the one with the highest learned reward (Rafailov et al. 2023, section 6).

use super::{Parameters, Role};
use serde::{Deserialize, Serialize};

/// `[method.best_of_n]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BestOfN {
    /// Completions drawn for a prompt.
    pub n: usize,
}

impl Parameters for BestOfN {
    fn role(&self) -> Role<'_> {
        Role::BestOfN { n: self.n }
    }

    fn problems(&self) -> Vec<(&'static str, String, String)> {
        let what = || ("n", "`n` must be at least 1".to_owned(), "the paper uses 1, 4, 16, 64 and 128".to_owned());
        (self.n == 0).then(what).into_iter().collect()
    }
}
