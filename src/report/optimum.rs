//! optimum.csv and oracle.csv: the best that any policy could do, exactly or estimated, and how far runs are from it.

use super::collect::{Collection, Evaluation};
use super::rows::{OptimumRow, OracleRow};
use crate::stats::{log_spaced, reweighted_frontier};
use std::collections::BTreeMap;

/// Betas of the estimated frontier, from the first to the last in equal ratios: far enough on both sides for rewards in [0, 1].
const BETAS: (f64, f64, usize) = (10.0, 0.005, 80);

/// Every point of the optimal frontier, by falling beta.
pub fn optimum(collection: &Collection<'_>) -> Vec<OptimumRow> {
    if let Some(exact) = &collection.optimum {
        let row = |point: &crate::stages::OptimalPoint| OptimumRow {
            kind: "exact".to_owned(),
            beta: point.beta.unwrap_or(f64::INFINITY),
            kl: point.kl,
            kl_se: 0.0,
            reward: point.reward,
            reward_se: 0.0,
            effective_sample_size: None,
            reliable: true,
        };
        return exact.curve.iter().map(row).collect();
    }
    collection.pool.as_ref().map(|pool| estimated(pool)).unwrap_or_default()
}

/// The frontier by reweighting a pool of the reference's completions; nothing where their true reward is not known.
fn estimated(pool: &Evaluation) -> Vec<OptimumRow> {
    let mut rewards: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    for sample in &pool.samples {
        rewards.entry(sample.prompt).or_default().push(sample.reward);
    }
    let rewards: Vec<Vec<f64>> = rewards.into_values().collect();
    let (first, last, count) = BETAS;
    let betas: Vec<f64> = std::iter::once(f64::INFINITY).chain(log_spaced(first, last, count)).collect();
    let points = reweighted_frontier(&rewards, &betas).unwrap_or_default();
    let row = |point: crate::stats::Reweighted| OptimumRow {
        kind: "estimated".to_owned(),
        beta: point.beta,
        kl: point.kl.mean,
        kl_se: point.kl.se,
        reward: point.reward.mean,
        reward_se: point.reward.se,
        effective_sample_size: Some(point.effective_samples),
        reliable: point.is_reliable(),
    };
    points.into_iter().map(row).collect()
}

/// Every exactly evaluated checkpoint.
pub fn oracle(collection: &Collection<'_>) -> Vec<OracleRow> {
    let of_run = |collected: &super::collect::Collected<'_>| -> Vec<OracleRow> {
        let run = collected.run;
        let row = |(step, exact): &(u64, crate::stages::ExactReport)| OracleRow {
            run: run.name.clone(),
            method: run.method.name().to_owned(),
            params: run.params(),
            seed: run.seed,
            step: *step,
            // Rounding may leave the reference a little below itself.
            kl: exact.kl.max(0.0),
            reward: exact.reward,
            optimal_reward: exact.optimal_reward,
            regret: (exact.optimal_reward - exact.reward).max(0.0),
            kl_to_own_optimum: exact.kl_to_own_optimum,
        };
        collected.exact.iter().map(row).collect()
    };
    collection.runs.iter().flat_map(of_run).collect()
}
