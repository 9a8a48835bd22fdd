//! DPO over rankings: the Plackett-Luce likelihood of implicit rewards (Rafailov et al. 2023, appendix A.3). With two
//! completions it is DPO.

use super::batch::select;
use super::{Examples, Objective, Parameters, PreferenceBatch, Role, dpo, must_be_positive};
use burn::tensor::{Bool, Tensor, TensorData, activation::log_softmax};
use serde::{Deserialize, Serialize};

/// `[method.plackett_luce]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlackettLuce {
    /// Strength of the KL constraint, as in DPO.
    #[serde(default = "dpo::default_beta")]
    pub beta: f64,
}

/// A score whose exponential is 0 beside any other's, and still finite, so that no difference of scores is undefined.
const ABSENT: f64 = -1e30;

/// -sum_k (s_k - logsumexp_{j >= k} s_j) of every ranking, `[rankings]`, where `rankings` holds the rows of `scores`, the
/// best first; lengths may differ.
pub fn plackett_luce_loss(scores: Tensor<1>, rankings: &[Vec<usize>]) -> Tensor<1> {
    let longest = rankings.iter().map(Vec::len).max().unwrap_or(0);
    // A shorter ranking is filled up with any row, which then counts for nothing.
    let filled = |ranking| std::iter::chain(ranking, std::iter::repeat(&0)).copied().take(longest);
    let rows: Vec<usize> = rankings.iter().flat_map(filled).collect();
    let absent: Vec<bool> = rankings.iter().flat_map(|ranking| (0..longest).map(|place| place >= ranking.len())).collect();
    let shape = [rankings.len(), longest];
    let absent: Tensor<2, Bool> = Tensor::from_data(TensorData::new(absent, shape), &scores.device());
    let scores = select(scores, &rows).reshape(shape).mask_fill(absent.clone(), ABSENT);
    // The log-prob of a place is a softmax over those not yet taken.
    let places = (0..longest).map(|place| {
        let left = log_softmax(scores.clone().slice([0..shape[0], place..longest]), 1);
        left.slice([0..shape[0], 0..1])
    });
    let log_probs = Tensor::cat(places.collect(), 1);
    log_probs.mask_fill(absent, 0.0).sum_dim(1).squeeze_dim::<1>(1).neg()
}

impl Objective for PlackettLuce {
    fn examples(&self) -> Examples {
        Examples::Rankings
    }

    fn needs_reference(&self) -> bool {
        true
    }

    fn beta(&self) -> f64 {
        self.beta
    }

    fn optimum_beta(&self) -> Option<f64> {
        Some(self.beta)
    }

    fn loss(&self, batch: &PreferenceBatch) -> Tensor<1> {
        plackett_luce_loss(batch.log_ratios().mul_scalar(self.beta), &batch.rankings)
    }
}

impl Parameters for PlackettLuce {
    fn role(&self) -> Role<'_> {
        Role::Train(self)
    }

    fn problems(&self) -> Vec<(&'static str, String, String)> {
        must_be_positive("beta", self.beta, "the paper uses 0.05 to 5 for pairs").into_iter().collect()
    }
}
