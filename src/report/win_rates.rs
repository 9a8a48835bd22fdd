//! winrate.csv and winrate_differences.csv: how often judges prefer a policy's completions, and which run beats which.

use super::collect::{Collected, Collection, Verdicts};
use super::judged_rows::{DifferenceRow, OUT_OF_DISTRIBUTION, WinRateRow};
use crate::plan::PromptSet;
use crate::stages::JudgedRow;
use crate::stats::{JudgedPair, PairedDifference, WinRate, length_controlled, paired_difference, win_rate};

/// One row for every judged checkpoint.
pub fn win_rates(collection: &Collection<'_>) -> Vec<WinRateRow> {
    let of_run = |collected: &Collected<'_>| {
        collected.judged.iter().map(|verdicts| row(collection, collected, verdicts)).collect::<Vec<_>>()
    };
    collection.runs.iter().flat_map(of_run).collect()
}

/// What is known where no answer could be read.
const NOTHING: WinRate = WinRate {
    n: 0,
    wins: 0,
    losses: 0,
    ties: 0,
    rate: f64::NAN,
    ci_low: f64::NAN,
    ci_high: f64::NAN,
    effective_n: 0.0,
    order_consistency: f64::NAN,
    position_bias: f64::NAN,
    prompts: 0,
};

fn row(collection: &Collection<'_>, collected: &Collected<'_>, verdicts: &Verdicts<'_>) -> WinRateRow {
    let pairs = pairs(&verdicts.rows);
    let rate = win_rate(&pairs).unwrap_or(NOTHING);
    let controlled = length_controlled(&pairs);
    let corrected = verdicts.calibration.filter(|_| rate.n > 0).and_then(|calibration| calibration.corrected(&rate));
    let run = collected.run;
    WinRateRow {
        run: run.name.clone(),
        method: run.method.name().to_owned(),
        params: run.params(),
        seed: run.seed,
        step: verdicts.drawn.step,
        temperature: verdicts.drawn.temperature,
        task: task(collection, verdicts),
        judge: collection.study.judges[verdicts.judge].name.clone(),
        baseline: verdicts.baseline.to_owned(),
        n: rate.n,
        wins: rate.wins,
        losses: rate.losses,
        ties: rate.ties,
        win_rate: rate.rate,
        ci_low: rate.ci_low,
        ci_high: rate.ci_high,
        order_consistency: rate.order_consistency,
        length_controlled_win_rate: controlled.map(|controlled| controlled.rate),
        length_controlled_ci_low: controlled.map(|controlled| controlled.ci_low),
        length_controlled_ci_high: controlled.map(|controlled| controlled.ci_high),
        position_bias: rate.position_bias,
        corrected_win_rate: corrected.map(|corrected| corrected.rate),
        corrected_ci_low: corrected.map(|corrected| corrected.ci_low),
        corrected_ci_high: corrected.map(|corrected| corrected.ci_high),
        prompts: rate.prompts,
        unparsed: verdicts
            .rows
            .iter()
            .map(|row| [row.shown_first, row.shown_second].iter().filter(|o| o.is_none()).count())
            .sum(),
        degenerate_share: verdicts.rows.iter().filter(|row| row.degenerate).count() as f64 / verdicts.rows.len() as f64,
    }
}

/// The name of the task, with what ends it for prompts of another kind.
fn task(collection: &Collection<'_>, verdicts: &Verdicts<'_>) -> String {
    let set = match verdicts.drawn.set {
        PromptSet::HeldOut => "",
        PromptSet::OutOfDistribution => OUT_OF_DISTRIBUTION,
    };
    format!("{}{set}", collection.study.task.name())
}

/// Pairs of which both answers could be read; the others say nothing, and are counted as unparsed.
pub fn pairs(rows: &[JudgedRow]) -> Vec<JudgedPair> {
    let pair = |row: &JudgedRow| {
        Some(JudgedPair {
            prompt: row.prompt,
            shown_first: row.shown_first?,
            shown_second: row.shown_second?,
            length_difference: row.tokens as f64 - row.baseline_tokens as f64,
        })
    };
    rows.iter().filter_map(pair).collect()
}

/// The rows of winrate_differences.csv: the last checkpoints of every two runs that one judge compared with one baseline at one
/// temperature, each two once. Intervals are not corrected for how many there are.
pub fn differences(collection: &Collection<'_>) -> Vec<DifferenceRow> {
    let last: Vec<(&Collected<'_>, &Verdicts<'_>, Vec<JudgedPair>)> = collection
        .runs
        .iter()
        .flat_map(|collected| collected.judged.iter().map(move |verdicts| (collected, verdicts)))
        .filter(|(_, verdicts)| verdicts.drawn.last)
        .map(|(collected, verdicts)| (collected, verdicts, pairs(&verdicts.rows)))
        .collect();
    let mut rows = Vec::new();
    for (at, (run_a, a, pairs_a)) in last.iter().enumerate() {
        for (run_b, b, pairs_b) in &last[at + 1..] {
            let same = (a.judge, a.baseline, a.drawn.set, a.drawn.temperature)
                == (b.judge, b.baseline, b.drawn.set, b.drawn.temperature);
            if !same || run_a.run.name == run_b.run.name {
                continue;
            }
            let Some(found) = paired_difference(pairs_a, pairs_b) else { continue };
            rows.push(DifferenceRow {
                task: task(collection, a),
                judge: collection.study.judges[a.judge].name.clone(),
                baseline: a.baseline.to_owned(),
                temperature: a.drawn.temperature,
                step_a: a.drawn.step,
                run_a: run_a.run.name.clone(),
                step_b: b.drawn.step,
                run_b: run_b.run.name.clone(),
                difference: found.estimate.value,
                ci_low: found.estimate.ci_low,
                ci_high: found.estimate.ci_high,
                prompts: found.prompts,
                verdict: verdict(&found).to_owned(),
            });
        }
    }
    rows
}

/// `better` or `worse` where the whole interval lies on one side of 0, and otherwise `unresolved`.
fn verdict(difference: &PairedDifference) -> &'static str {
    match difference.is_resolved() {
        false => "unresolved",
        true if difference.estimate.value > 0.0 => "better",
        true => "worse",
    }
}
