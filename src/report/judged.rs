//! What judges say, in report.html: win rates, their figures, samples side by side, and the paper's numbers beside the measured ones.

use super::collect::{Collected, Collection, Verdicts};
use super::html::{Section, Table};
use super::judged_rows::{OUT_OF_DISTRIBUTION, SideBySideRow, WinRateRow};
use super::page::{Tables, drawn, table};
use super::side_by_side::{self, Said, SideBySide};
use crate::plan::PromptSet;
use crate::stages::ShownRow;
use std::path::PathBuf;

/// Pairs of each run that are shown side by side.
const SHOWN_A_RUN: usize = 2;

/// Figures of win rates: heading, name and caption.
const FIGURES: [(&str, &str, &str); 3] = [
    (
        "Win rates over temperature",
        "winrate_temperature",
        "How often a judge prefers a policy's completion to the baseline's, over the sampling temperature; bands are 95% intervals over \
         prompts.",
    ),
    (
        "Win rates over training",
        "winrate_steps",
        "How often a judge prefers a checkpoint's completions to the baseline's; bands are 95% intervals over prompts.",
    ),
    (
        "Out of distribution",
        "out_of_distribution",
        "Win rates on prompts of another kind than those of training, beside those on the task's own.",
    ),
];

/// The sections on judges; none for a study without.
pub fn sections(collection: &Collection<'_>, tables: &Tables<'_>, figures: &[PathBuf]) -> Vec<Section> {
    if tables.win_rates.is_empty() {
        return Vec::new();
    }
    let mut sections = vec![rates(tables.win_rates)];
    for (heading, name, caption) in FIGURES {
        sections.extend(Some(drawn(heading, figures, name, caption)).filter(|section| section.figure.is_some()));
    }
    sections.extend(people(tables.human));
    sections.extend(beside_the_paper(tables));
    sections.extend(samples(collection));
    sections
}

/// Win rates of every run's last checkpoint on the task's own prompts, at the lowest and the highest temperature.
fn rates(rows: &[WinRateRow]) -> Section {
    let temperatures = || rows.iter().map(|row| row.temperature);
    let ends = [temperatures().fold(f64::INFINITY, f64::min), temperatures().fold(f64::NEG_INFINITY, f64::max)];
    let shown = |row: &&WinRateRow| ends.contains(&row.temperature) && !row.task.ends_with(OUT_OF_DISTRIBUTION);
    let later = |a: &WinRateRow, b: &WinRateRow| {
        (&a.run, &a.task, &a.judge, &a.baseline) == (&b.run, &b.task, &b.judge, &b.baseline) && b.step > a.step
    };
    let last = rows.iter().filter(shown).filter(|row| !rows.iter().any(|other| later(row, other)));
    let share = |value: Option<f64>| value.map(|value| format!("{value:.3}")).unwrap_or_default();
    let cells = |row: &WinRateRow| {
        vec![
            row.run.clone(),
            row.temperature.to_string(),
            row.judge.clone(),
            row.baseline.clone(),
            row.n.to_string(),
            format!("{:.3}", row.win_rate),
            format!("[{:.3}, {:.3}]", row.ci_low, row.ci_high),
            format!("{:.2}", row.order_consistency),
            format!("{:+.2}", row.position_bias),
            share(row.length_controlled_win_rate),
            share(row.corrected_win_rate),
            if row.degenerate_share > 0.0 { format!("{:.0} %", 100.0 * row.degenerate_share) } else { String::new() },
        ]
    };
    let header = [
        "run",
        "temperature",
        "judge",
        "baseline",
        "pairs",
        "win rate",
        "95% interval",
        "orders agree",
        "position bias",
        "at equal length",
        "corrected",
        "degenerate",
    ];
    let mut paragraphs = vec![
        "Every pair is judged in both orders. It counts 1 where both orders prefer the policy's completion, 0 where both prefer the \
         baseline's, and 1/2 otherwise. Intervals are Wilson's with the effective number of pairs of a variance that is clustered by \
         prompt, conditional on the trained policies. Beside the rate: how often both orders agree; how much more often what is shown \
         first is preferred; the rate at equal length; where the judge was calibrated, the rate corrected for its errors; and the share \
         of completions that are empty or repeat themselves. winrate.csv has every temperature, checkpoint and prompt set."
            .to_owned(),
    ];
    paragraphs.extend(resolution(rows));
    let unparsed: usize = rows.iter().map(|row| row.unparsed).sum();
    if unparsed > 0 {
        paragraphs.push(format!("{unparsed} answers could not be read; their pairs are left out."));
    }
    Section {
        heading: "Win rates".to_owned(),
        paragraphs,
        tables: vec![Table { title: "Win rates of last checkpoints".to_owned(), ..table(&header, last.map(cells).collect()) }],
        ..Section::default()
    }
}

/// What differences the number of prompts can resolve.
fn resolution(rows: &[WinRateRow]) -> Option<String> {
    let prompts = rows.iter().map(|row| row.prompts).filter(|prompts| *prompts > 0).min()?;
    let least = crate::stats::resolvable(prompts, 0.5);
    Some(format!(
        "{prompts} prompts resolve a difference from 1/2 of about {least:.2} with 80% power; a smaller one stays unresolved more often \
         than not."
    ))
}

/// What people said, in the layout of the paper's table 2.
fn people(rows: &[Vec<String>]) -> Option<Section> {
    let (header, answers) = rows.split_first()?;
    let wanted = [
        ("run", "run"),
        ("temperature", "temperature"),
        ("baseline", "baseline"),
        ("respondents", "respondents"),
        ("answers", "answers"),
        ("ties_dropped", "ties dropped"),
        ("human_win_rate", "human win rate"),
        ("human_human_agreement", "human-human agreement"),
        ("judge", "judge"),
        ("judge_win_rate", "judge win rate"),
        ("judge_human_agreement", "judge-human agreement"),
    ];
    let places: Vec<(usize, &str)> =
        wanted.iter().filter_map(|(name, shown)| Some((header.iter().position(|column| column == name)?, *shown))).collect();
    let cell = |text: &str| match text.parse::<f64>() {
        Ok(number) if text.contains('.') => format!("{number:.3}"),
        _ => text.to_owned(),
    };
    let cells = |row: &Vec<String>| places.iter().map(|(place, _)| cell(row.get(*place).map_or("", String::as_str))).collect();
    let names: Vec<&str> = places.iter().map(|(_, shown)| *shown).collect();
    Some(Section {
        heading: "People".to_owned(),
        paragraphs: vec!["What people said of the same pairs, ties dropped; human.csv has the intervals.".to_owned()],
        tables: vec![table(&names, answers.iter().map(cells).collect())],
        ..Section::default()
    })
}

/// The paper's numbers beside what was measured.
fn beside_the_paper(tables: &Tables<'_>) -> Option<Section> {
    let cells = |row: &super::judged_rows::PublishedRow| {
        vec![
            row.source.clone(),
            row.method.clone(),
            row.temperature.to_string(),
            format!("{:.2}", row.published),
            row.run.clone(),
            row.judge.clone(),
            format!("{:.3}", row.measured),
            format!("[{:.3}, {:.3}]", row.ci_low, row.ci_high),
            row.verdict.clone(),
        ]
    };
    let header = ["paper", "method", "temperature", "published", "run", "judge", "measured", "95% interval", "verdict"];
    (!tables.published.is_empty()).then(|| Section {
        heading: "Beside the paper".to_owned(),
        paragraphs: vec![
            "What the paper published, with its models, its data and its judge, beside what this study measured with its own. `covered`: \
             the interval holds the published number; `differs`: it does not; `unresolved`: the interval is too wide to say."
                .to_owned(),
        ],
        tables: vec![table(&header, tables.published.iter().map(cells).collect())],
        ..Section::default()
    })
}

/// The first pairs of every run's last checkpoint, at its lowest temperature.
fn samples(collection: &Collection<'_>) -> Option<Section> {
    let mut rows = Vec::new();
    let names: Vec<String> = collection.runs.iter().map(|collected| collected.run.label().to_owned()).collect();
    for (collected, name) in collection.runs.iter().zip(&names) {
        let Some(verdicts) = lowest(collected) else { continue };
        // Equal texts have nothing to show.
        for shown in verdicts.shown.iter().filter(|shown| shown.completion != shown.baseline).take(SHOWN_A_RUN) {
            let pair = verdicts.rows.iter().find(|row| row.prompt == shown.prompt && row.sample == 0);
            rows.push(SideBySide {
                prompt: &shown.prompt_text,
                policy: name,
                policy_text: &shown.completion,
                degenerate: pair.is_some_and(|row| row.degenerate),
                baseline: verdicts.baseline,
                baseline_text: &shown.baseline,
                judge: &collection.study.judges[verdicts.judge].name,
                shown_first: Said { outcome: pair.and_then(|row| row.shown_first), reason: &shown.reason_first },
                shown_second: Said { outcome: pair.and_then(|row| row.shown_second), reason: &shown.reason_second },
            });
        }
    }
    side_by_side::section(&rows)
}

/// side_by_side.csv: the first pairs of every run's last checkpoint at its lowest temperature, by the first judge.
pub fn rows(collection: &Collection<'_>) -> Vec<SideBySideRow> {
    let of_run = |collected: &Collected<'_>| {
        let verdicts = lowest(collected)?;
        let row = |shown: &ShownRow| {
            let pair = verdicts.rows.iter().find(|row| row.prompt == shown.prompt && row.sample == 0);
            SideBySideRow {
                run: collected.run.name.clone(),
                step: verdicts.drawn.step,
                temperature: verdicts.drawn.temperature,
                judge: collection.study.judges[verdicts.judge].name.clone(),
                baseline: verdicts.baseline.to_owned(),
                prompt: shown.prompt,
                prompt_text: shown.prompt_text.clone(),
                completion: shown.completion.clone(),
                baseline_text: shown.baseline.clone(),
                shown_first: pair.and_then(|row| row.shown_first),
                shown_second: pair.and_then(|row| row.shown_second),
                reason_first: shown.reason_first.clone(),
                reason_second: shown.reason_second.clone(),
                degenerate: pair.is_some_and(|row| row.degenerate),
            }
        };
        Some(verdicts.shown.iter().map(row).collect::<Vec<_>>())
    };
    collection.runs.iter().filter_map(of_run).flatten().collect()
}

/// The first judge's verdicts on a run's last checkpoint at its lowest temperature.
fn lowest<'a>(collected: &'a Collected<'_>) -> Option<&'a Verdicts<'a>> {
    let last = collected.judged.iter().filter(|verdicts| verdicts.drawn.last && verdicts.drawn.set == PromptSet::HeldOut);
    last.min_by(|a, b| a.drawn.temperature.total_cmp(&b.drawn.temperature).then(a.judge.cmp(&b.judge)))
}
