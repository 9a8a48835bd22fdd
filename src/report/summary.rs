//! summary.csv: what the frontier says in numbers, each with a paired bootstrap over prompts.

use super::collect::{Collection, Evaluation};
use super::rows::SummaryRow;
use crate::stats::{Estimate, Frontier, Mean, Point, Resamples, clustered_mean};
use std::collections::BTreeMap;

/// Resamples of every interval.
const RESAMPLES: usize = 1000;

/// Per-prompt means of one evaluated policy.
struct Policy {
    run: String,
    step: u64,
    reward: Vec<f64>,
    kl: Vec<f64>,
}

impl Policy {
    fn new(run: &str, step: u64, evaluation: &Evaluation) -> Self {
        let mut sums: BTreeMap<usize, (f64, f64, f64)> = BTreeMap::new();
        for sample in &evaluation.samples {
            let entry = sums.entry(sample.prompt).or_default();
            *entry = (entry.0 + sample.reward, entry.1 + sample.kl, entry.2 + 1.0);
        }
        let (reward, kl) = sums.values().map(|(reward, kl, count)| (reward / count, kl / count)).unzip();
        Policy { run: run.to_owned(), step, reward, kl }
    }

    /// Mean reward and KL under weights on the prompts.
    fn point(&self, weights: &[f64]) -> Point {
        let total: f64 = weights.iter().sum();
        let mean = |values: &[f64]| values.iter().zip(weights).map(|(value, weight)| value * weight).sum::<f64>() / total;
        Point { kl: mean(&self.kl), reward: mean(&self.reward) }
    }
}

/// Every row of summary.csv.
pub fn summary(collection: &Collection<'_>) -> Vec<SummaryRow> {
    let mut rows = frontiers(collection);
    rows.extend(preferences(collection));
    rows.extend(fluency(collection));
    rows
}

/// Reward within budgets, areas, and how methods differ in both.
fn frontiers(collection: &Collection<'_>) -> Vec<SummaryRow> {
    let mut methods: Vec<(String, Vec<Policy>)> = Vec::new();
    for collected in &collection.runs {
        if !collected.run.method.trains() {
            continue;
        }
        let name = collected.run.method.group();
        // KL is defined at temperature 1; other temperatures are other policies.
        let at_one = collected.evaluations.iter().filter(|(_, temperature, _)| *temperature == 1.0);
        let policies = at_one.map(|(step, _, evaluation)| Policy::new(&collected.run.name, *step, evaluation));
        match methods.iter_mut().find(|(method, _)| *method == name) {
            Some((_, all)) => all.extend(policies),
            None => methods.push((name, policies.collect())),
        }
    }
    // Where no reward is known there is no frontier.
    methods.retain(|(_, policies)| policies.iter().any(|policy| policy.reward.iter().all(|reward| reward.is_finite())));
    let Some(prompts) = methods.first().map(|(_, policies)| policies[0].reward.len()) else { return Vec::new() };
    let resamples = Resamples::new(prompts, RESAMPLES, collection.study.seed);
    let mut budgets = collection.study.evaluation.kl_budgets.clone();
    budgets.sort_by(f64::total_cmp);
    let mut rows = Vec::new();
    let row = |metric: &str, method: &str, versus: Option<&str>, budget: Option<f64>, estimate: Estimate| SummaryRow {
        metric: metric.to_owned(),
        method: method.to_owned(),
        run: None,
        versus: versus.map(str::to_owned),
        kl_budget: budget,
        value: estimate.value,
        se: estimate.se,
        ci_low: estimate.ci_low,
        ci_high: estimate.ci_high,
        n: prompts,
    };
    let within = |policies: &[Policy], weights: &[f64], budget: f64| {
        envelope(policies, weights).map_or(f64::NAN, |frontier| frontier.reward_at(budget))
    };
    let area = |policies: &[Policy], weights: &[f64], budget: f64| {
        envelope(policies, weights).map_or(f64::NAN, |frontier| frontier.area(budget))
    };
    for (index, (method, policies)) in methods.iter().enumerate() {
        for budget in &budgets {
            let estimate = resamples.estimate(|weights| within(policies, weights, *budget));
            rows.push(row("reward_at_kl", method, None, Some(*budget), estimate));
        }
        if let Some(last) = budgets.last() {
            let estimate = resamples.estimate(|weights| area(policies, weights, *last));
            rows.push(row("frontier_area", method, None, Some(*last), estimate));
        }
        for (versus, others) in methods.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, other)| other) {
            for budget in &budgets {
                let estimate =
                    resamples.estimate(|weights| within(policies, weights, *budget) - within(others, weights, *budget));
                rows.push(row("reward_difference_at_kl", method, Some(versus), Some(*budget), estimate));
            }
            if let Some(last) = budgets.last() {
                let estimate = resamples.estimate(|weights| area(policies, weights, *last) - area(others, weights, *last));
                rows.push(row("frontier_area_difference", method, Some(versus), Some(*last), estimate));
            }
        }
    }
    rows.extend(at_points(&methods, &resamples, prompts));
    rows
}

/// DPO's frontier less each other policy's reward, at that policy's own KL, as far as DPO's frontier goes.
fn at_points(methods: &[(String, Vec<Policy>)], resamples: &Resamples, prompts: usize) -> Vec<SummaryRow> {
    let Some((_, dpo)) = methods.iter().find(|(method, _)| method == "dpo") else { return Vec::new() };
    let all = vec![1.0; prompts];
    let reach = envelope(dpo, &all).map_or(0.0, |frontier| frontier.last_kl());
    let others = methods.iter().filter(|(method, _)| method != "dpo");
    let points = others.flat_map(|(method, policies)| policies.iter().map(move |policy| (method.as_str(), policy)));
    let compared = points.filter(|(_, policy)| policy.step > 0 && policy.point(&all).kl <= reach);
    let row = |(method, policy): (&str, &Policy)| {
        let estimate = resamples.estimate(|weights| {
            let point = policy.point(weights);
            envelope(dpo, weights).map_or(f64::NAN, |frontier| frontier.reward_at(point.kl) - point.reward)
        });
        SummaryRow {
            metric: "reward_difference_at_point".to_owned(),
            method: "dpo".to_owned(),
            run: Some(format!("{} step {}", policy.run, policy.step)),
            versus: Some(method.to_owned()),
            kl_budget: Some(policy.point(&all).kl),
            value: estimate.value,
            se: estimate.se,
            ci_low: estimate.ci_low,
            ci_high: estimate.ci_high,
            n: prompts,
        }
    };
    compared.map(row).collect()
}

fn envelope(policies: &[Policy], weights: &[f64]) -> Option<Frontier> {
    Frontier::new(policies.iter().map(|policy| policy.point(weights)))
}

/// Held-out preference accuracy, margin and loss of every policy's last checkpoint and of the learned reward.
fn preferences(collection: &Collection<'_>) -> Vec<SummaryRow> {
    let mut rows = Vec::new();
    let mut learned_reward = false;
    for collected in &collection.runs {
        if let Some((_, _, evaluation)) = collected.evaluations.iter().find(|(.., e)| !e.reward_preferences.is_empty())
            && !learned_reward
        {
            learned_reward = true;
            let margins = evaluation.reward_preferences.iter().map(|row| (row.prompt, row.margin));
            rows.extend(of_margins("reward_model", None, margins));
        }
        let Some((_, _, evaluation)) = collected.evaluations.last().filter(|_| collected.run.method.trains()) else { continue };
        let beta = collected.run.method.implicit_beta();
        let margins = evaluation.preferences.iter().map(|row| (row.prompt, beta * row.margin));
        rows.extend(of_margins(collected.run.method.name(), Some(&collected.run.name), margins));
    }
    rows
}

fn of_margins(method: &str, run: Option<&str>, margins: impl Iterator<Item = (usize, f64)> + Clone) -> Vec<SummaryRow> {
    if margins.clone().next().is_none() {
        return Vec::new();
    }
    let pairs = margins.clone().count();
    let metrics = ["preference_accuracy", "preference_margin", "preference_loss"].into_iter();
    metrics.zip(super::preferences::of_margins(margins)).map(|(metric, mean)| of_mean(metric, method, run, mean, pairs)).collect()
}

/// -log p a token of completions under the held-out judge of fluency: the reference's own, then each last checkpoint's.
fn fluency(collection: &Collection<'_>) -> Vec<SummaryRow> {
    let nll = |evaluation: &Evaluation| {
        let per_token =
            |sample: &crate::stages::EvaluatedSample| Some((sample.prompt, sample.judge_nll? / sample.tokens.max(1) as f64));
        clustered_mean(evaluation.samples.iter().filter_map(per_token))
    };
    let trained = || collection.runs.iter().filter(|collected| collected.run.method.trains());
    if !trained()
        .flat_map(|collected| &collected.evaluations)
        .any(|(.., evaluation)| evaluation.samples.iter().any(|sample| sample.judge_nll.is_some()))
    {
        return Vec::new();
    }
    let reference = trained().flat_map(|collected| &collected.evaluations).find(|(step, ..)| *step == 0);
    let mut rows: Vec<SummaryRow> = reference
        .map(|(.., evaluation)| of_mean("judge_nll", "sft", None, nll(evaluation), evaluation.samples.len()))
        .into_iter()
        .collect();
    rows.extend(trained().filter_map(|collected| {
        let (_, _, evaluation) = collected.evaluations.last()?;
        Some(of_mean(
            "judge_nll",
            collected.run.method.name(),
            Some(&collected.run.name),
            nll(evaluation),
            evaluation.samples.len(),
        ))
    }));
    rows
}

fn of_mean(metric: &str, method: &str, run: Option<&str>, mean: Mean, n: usize) -> SummaryRow {
    SummaryRow {
        metric: metric.to_owned(),
        method: method.to_owned(),
        run: run.map(str::to_owned),
        versus: None,
        kl_budget: None,
        value: mean.mean,
        se: mean.se,
        ci_low: mean.mean - 1.96 * mean.se,
        ci_high: mean.mean + 1.96 * mean.se,
        n,
    }
}
