//! human.csv: what people said of each checkpoint, and how far they agree with each other and with judges, in the layout of the
//! paper's table 2.

use super::import::Answer;
use super::packets::{Key, KeyEntry};
use crate::stats::{Outcome, Rating, agreement_row};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A judge's verdicts on the items that people judged.
#[derive(Clone, Debug)]
pub struct JudgeVerdicts {
    /// The judge, as in winrate.csv.
    pub judge: String,
    /// Outcomes by item: a tie where the judge's two orders disagree.
    pub outcomes: BTreeMap<String, Outcome>,
}

/// human.csv: one checkpoint against one baseline, beside one judge; the judge's columns are blank without one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HumanRow {
    /// Name of the run.
    pub run: String,
    /// Name of the method.
    pub method: String,
    /// Optimiser steps taken.
    pub step: u64,
    /// Sampling temperature.
    pub temperature: f64,
    /// What the policy is compared with.
    pub baseline: String,
    /// People who gave at least one answer.
    pub respondents: usize,
    /// Items with at least one answer.
    pub items: usize,
    /// Answers, ties included.
    pub answers: usize,
    /// Answers that say that there is no difference: rates and agreement leave them out.
    pub ties_dropped: usize,
    /// Share of the other answers that prefer the policy's completion.
    pub human_win_rate: Option<f64>,
    /// Lower end of its 95% interval, clustered by prompt.
    pub ci_low: Option<f64>,
    /// Upper end.
    pub ci_high: Option<f64>,
    /// Pairs of people who judged the same item, neither with a tie.
    pub human_human_pairs: usize,
    /// Share of these pairs that agree.
    pub human_human_agreement: Option<f64>,
    /// Lower end of its 95% interval, clustered by prompt.
    pub human_human_ci_low: Option<f64>,
    /// Upper end.
    pub human_human_ci_high: Option<f64>,
    /// The judge.
    pub judge: Option<String>,
    /// Share of wins among the items that people judged and the judge did not call a tie.
    pub judge_win_rate: Option<f64>,
    /// Pairs of a person's answer and the judge's verdict on the same item, neither a tie.
    pub judge_human_pairs: Option<usize>,
    /// Share of these pairs that agree.
    pub judge_human_agreement: Option<f64>,
    /// Lower end of its 95% interval, clustered by prompt.
    pub judge_human_ci_low: Option<f64>,
    /// Upper end.
    pub judge_human_ci_high: Option<f64>,
}

/// The rows of human.csv, by run, step, temperature and baseline, and in the order of the judges. Checkpoints without an answer
/// have no row; answers to items that the key does not have are left out.
pub fn summary(answers: &[Answer], key: &Key, judges: &[JudgeVerdicts]) -> Vec<HumanRow> {
    let mut checkpoints: BTreeMap<_, Vec<(&Answer, &KeyEntry)>> = BTreeMap::new();
    for (answer, entry) in answers.iter().filter_map(|answer| Some((answer, key.items.get(&answer.id)?))) {
        // The bits of numbers that are not negative are ordered as the numbers are.
        let checkpoint = (&entry.run, entry.step, entry.temperature.to_bits(), &entry.baseline);
        checkpoints.entry(checkpoint).or_default().push((answer, entry));
    }
    checkpoints.values().flat_map(|answers| checkpoint_rows(answers, judges)).collect()
}

fn checkpoint_rows(answers: &[(&Answer, &KeyEntry)], judges: &[JudgeVerdicts]) -> Vec<HumanRow> {
    let Some((_, entry)) = answers.first() else { return Vec::new() };
    let raters: Vec<&String> = answers.iter().map(|(answer, _)| &answer.rater).collect::<BTreeSet<_>>().into_iter().collect();
    // A checkpoint has an item a prompt.
    let rating = |(answer, entry): &(&Answer, &KeyEntry)| Rating {
        item: entry.prompt_index,
        rater: raters.binary_search(&&answer.rater).unwrap_or_default(),
        outcome: entry.outcome(answer.choice),
    };
    let ratings: Vec<Rating> = answers.iter().map(rating).collect();
    let row = HumanRow {
        run: entry.run.clone(),
        method: entry.method.clone(),
        step: entry.step,
        temperature: entry.temperature,
        baseline: entry.baseline.clone(),
        respondents: raters.len(),
        items: ratings.iter().map(|rating| rating.item).collect::<BTreeSet<_>>().len(),
        answers: answers.len(),
        ties_dropped: ratings.iter().filter(|rating| rating.outcome == Outcome::Tie).count(),
        ..HumanRow::default()
    };
    if judges.is_empty() {
        return vec![filled(row, &BTreeMap::new(), &ratings)];
    }
    let beside = |judge: &JudgeVerdicts| {
        let of_item = |(answer, entry): &(&Answer, &KeyEntry)| Some((entry.prompt_index, *judge.outcomes.get(&answer.id)?));
        let row = HumanRow { judge: Some(judge.judge.clone()), ..row.clone() };
        filled(row, &answers.iter().filter_map(of_item).collect(), &ratings)
    };
    judges.iter().map(beside).collect()
}

/// The row with its shares; without an answer that is no tie, it has none.
fn filled(row: HumanRow, judge: &BTreeMap<usize, Outcome>, ratings: &[Rating]) -> HumanRow {
    let Some(found) = agreement_row(judge, ratings) else { return row };
    let [people, both] = [found.human_human, found.judge_human].map(|agreement| agreement.map(|agreement| agreement.share));
    HumanRow {
        human_win_rate: Some(found.human_wins.share),
        ci_low: Some(found.human_wins.ci_low),
        ci_high: Some(found.human_wins.ci_high),
        human_human_pairs: people.map_or(0, |share| share.n),
        human_human_agreement: people.map(|share| share.share),
        human_human_ci_low: people.map(|share| share.ci_low),
        human_human_ci_high: people.map(|share| share.ci_high),
        judge_win_rate: found.judge_wins.map(|share| share.share),
        judge_human_pairs: row.judge.as_ref().map(|_| both.map_or(0, |share| share.n)),
        judge_human_agreement: both.map(|share| share.share),
        judge_human_ci_low: both.map(|share| share.ci_low),
        judge_human_ci_high: both.map(|share| share.ci_high),
        ..row
    }
}
