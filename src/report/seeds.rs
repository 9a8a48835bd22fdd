//! seeds.csv: checkpoints of all seeds of a method and its settings together, with intervals over seeds and prompts.

use super::collect::{Collected, Collection, Evaluation};
use super::rows::SeedsRow;
use crate::stages::EvaluatedSample;
use crate::stats::across_seeds;
use std::collections::BTreeMap;

/// Resamples of every interval.
const RESAMPLES: usize = 1000;

/// One row for every step of every method and settings that were trained with two seeds or more.
pub fn seeds(collection: &Collection<'_>) -> Vec<SeedsRow> {
    let mut groups: Vec<Vec<&Collected<'_>>> = Vec::new();
    for collected in collection.runs.iter().filter(|collected| collected.run.method.trains()) {
        let alike = |other: &Collected<'_>| {
            (other.run.method.name(), other.run.params()) == (collected.run.method.name(), collected.run.params())
        };
        match groups.iter_mut().find(|group| group.iter().all(|other| alike(other))) {
            Some(group) => group.push(collected),
            None => groups.push(vec![collected]),
        }
    }
    groups.retain(|group| group.len() > 1);
    groups.iter().flat_map(|group| of_group(group, collection.study.seed)).collect()
}

fn of_group(group: &[&Collected<'_>], seed: u64) -> Vec<SeedsRow> {
    let mut steps: BTreeMap<u64, Vec<&Evaluation>> = BTreeMap::new();
    for (step, temperature, evaluation) in group.iter().flat_map(|collected| &collected.evaluations) {
        // As for the frontier: other temperatures are other policies.
        if *temperature == 1.0 {
            steps.entry(*step).or_default().push(evaluation);
        }
    }
    let run = group[0].run;
    let row = |(step, evaluations): (u64, Vec<&Evaluation>)| {
        let means = |of: fn(&EvaluatedSample) -> f64| -> Vec<Vec<f64>> {
            evaluations.iter().map(|evaluation| of_prompts(evaluation, of)).collect()
        };
        let mean = |values: Vec<Vec<f64>>| {
            let all = values.concat();
            all.iter().sum::<f64>() / all.len() as f64
        };
        let rewards = means(|sample| sample.reward);
        let prompts = rewards.first().map_or(0, Vec::len);
        let across = across_seeds(&rewards, RESAMPLES, seed).filter(|across| across.estimate.value.is_finite())?;
        Some(SeedsRow {
            method: run.method.name().to_owned(),
            params: run.params(),
            step,
            seeds: across.seeds,
            prompts,
            reward_mean: across.estimate.value,
            reward_se: across.estimate.se,
            ci_low: across.estimate.ci_low,
            ci_high: across.estimate.ci_high,
            seed_sd: across.deviation.unwrap_or_default(),
            kl_mean: mean(means(|sample| sample.kl)),
            completion_tokens_mean: mean(means(|sample| sample.tokens as f64)),
        })
    };
    steps.into_iter().filter(|(_, evaluations)| evaluations.len() == group.len()).filter_map(row).collect()
}

/// Means over the completions of each prompt.
fn of_prompts(evaluation: &Evaluation, of: impl Fn(&EvaluatedSample) -> f64) -> Vec<f64> {
    let mut sums: BTreeMap<usize, (f64, f64)> = BTreeMap::new();
    for sample in &evaluation.samples {
        let entry = sums.entry(sample.prompt).or_default();
        *entry = (entry.0 + of(sample), entry.1 + 1.0);
    }
    sums.into_values().map(|(sum, count)| sum / count).collect()
}
