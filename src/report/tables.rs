//! frontier.csv and best_of_n.csv from evaluations.

use super::collect::{Collected, Collection, Evaluation};
use super::rows::{BestOfNRow, FrontierRow};
use super::win_rates::pairs;
use crate::methods::Role;
use crate::spec::Run;
use crate::stages::EvaluatedSample;
use crate::stats::{best_of_n, clustered_mean, kl_bound, win_rate};
use std::collections::BTreeMap;

/// One row for every evaluated checkpoint of every run but Best-of-N's, whose policies have no KL of their own.
pub fn frontier(collection: &Collection<'_>) -> Vec<FrontierRow> {
    let runs = collection.runs.iter().filter(|collected| !matches!(collected.run.method.role(), Role::BestOfN { .. }));
    runs.flat_map(|collected| {
        let row = |(step, temperature, evaluation): &(u64, f64, std::rc::Rc<Evaluation>)| {
            frontier_row(collected.run, *step, *temperature, &evaluation.samples)
        };
        collected.evaluations.iter().map(row)
    })
    .collect()
}

/// One row of frontier.csv: the mean over every completion of a checkpoint, drawn at one temperature.
pub fn frontier_row(run: &Run, step: u64, temperature: f64, samples: &[EvaluatedSample]) -> FrontierRow {
    let mean = |of: &dyn Fn(&EvaluatedSample) -> f64| clustered_mean(samples.iter().map(|sample| (sample.prompt, of(sample))));
    let sum = |of: &dyn Fn(&EvaluatedSample) -> f64| samples.iter().map(of).sum::<f64>();
    let share = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
    let reward = mean(&|sample| sample.reward);
    let kl = mean(&|sample| sample.kl);
    let sampled = mean(&|sample| sample.log_ratio);
    let count = samples.len() as f64;
    FrontierRow {
        run: run.name.clone(),
        method: run.method.name().to_owned(),
        params: run.params(),
        seed: run.seed,
        step,
        temperature,
        prompts: reward.clusters,
        reward_mean: reward.mean,
        reward_se: reward.se,
        proxy_reward_mean: samples.iter().map(|sample| sample.proxy_reward).sum::<Option<f64>>().map(|sum| sum / count),
        kl_mean: kl.mean,
        kl_se: kl.se,
        kl_sampled_mean: sampled.mean,
        kl_sampled_se: sampled.se,
        completion_tokens_mean: sum(&|sample| sample.tokens as f64) / count,
        truncated_share: sum(&|sample| f64::from(u8::from(sample.truncated))) / count,
        entropy_mean: share(sum(&|sample| sample.entropy), sum(&|sample| sample.tokens as f64)),
        distinct_2: share(sum(&|sample| sample.new_bigrams as f64), sum(&|sample| sample.bigrams as f64)),
    }
}

/// One row for every N and temperature.
pub fn best_of_n_rows(collection: &Collection<'_>) -> Vec<BestOfNRow> {
    let sizes = collection.runs.iter().filter_map(|collected| match collected.run.method.role() {
        Role::BestOfN { n } => Some((collected, n)),
        Role::Train(_) | Role::Reinforce(_) | Role::Prompting { .. } | Role::Reference => None,
    });
    sizes.flat_map(|(collected, n)| best_of_n_of(collection, collected, n)).collect()
}

/// (prompt, (true reward, learned reward)) of the best of `n` by the learned reward; nothing where that is not known.
pub fn best_by_prompt(samples: &[EvaluatedSample], n: usize) -> Option<Vec<(usize, (f64, f64))>> {
    let mut pools: BTreeMap<usize, Vec<(f64, f64)>> = BTreeMap::new();
    for sample in samples {
        pools.entry(sample.prompt).or_default().push((sample.reward, sample.proxy_reward?));
    }
    Some(pools.into_iter().filter_map(|(prompt, pool)| Some((prompt, best_of_n(&pool, n)?))).collect())
}

/// One row for every temperature, or for every judge and baseline there.
fn best_of_n_of(collection: &Collection<'_>, collected: &Collected<'_>, n: usize) -> Vec<BestOfNRow> {
    let row = |(_, temperature, evaluation): &(u64, f64, std::rc::Rc<Evaluation>)| {
        let best = best_by_prompt(&evaluation.samples, n)?;
        let truth = clustered_mean(best.iter().map(|(prompt, (truth, _))| (*prompt, *truth)));
        let proxy = clustered_mean(best.iter().map(|(prompt, (_, proxy))| (*prompt, *proxy)));
        Some(BestOfNRow {
            run: collected.run.name.clone(),
            task: collection.study.task.name().to_owned(),
            n,
            seed: collected.run.seed,
            temperature: *temperature,
            prompts: truth.clusters,
            reward_mean: truth.mean,
            reward_se: truth.se,
            proxy_reward_mean: Some(proxy.mean),
            kl_bound: kl_bound(n),
            judge: None,
            baseline: None,
            win_rate: None,
            ci_low: None,
            ci_high: None,
        })
    };
    let judged = |row: BestOfNRow| {
        let here = collected.judged.iter().filter(|verdicts| verdicts.drawn.temperature == row.temperature);
        let rows: Vec<BestOfNRow> = here
            .filter_map(|verdicts| {
                let rate = win_rate(&pairs(&verdicts.rows))?;
                Some(BestOfNRow {
                    judge: Some(collection.study.judges[verdicts.judge].name.clone()),
                    baseline: Some(verdicts.baseline.to_owned()),
                    win_rate: Some(rate.rate),
                    ci_low: Some(rate.ci_low),
                    ci_high: Some(rate.ci_high),
                    ..row.clone()
                })
            })
            .collect();
        if rows.is_empty() { vec![row] } else { rows }
    };
    collected.evaluations.iter().filter_map(row).flat_map(judged).collect()
}
