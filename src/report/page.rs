//! The words and tables of report.html and deviations.md.

use super::choices::open_choices;
use super::collect::Collection;
use super::html::{self, Figure, Page, Section, Table};
use super::judged;
use super::judged_rows::{PublishedRow, WinRateRow};
use super::rows::{BestOfNRow, FrontierRow, SummaryRow, TrainRow};
use crate::methods::Role;
use crate::spec::{Reward, Run};
use std::path::{Path, PathBuf};

/// Figures that only some studies have: heading, name and caption.
const FURTHER: [(&str, &str, &str); 11] = [
    (
        "Exactly",
        "oracle",
        "Exact reward and KL of every checkpoint against the best that any policy can reach at that KL, and what is missing to it.",
    ),
    (
        "Convergence",
        "convergence",
        "KL(policy || optimum at the method's beta): over the number of comparisons, and over training.",
    ),
    ("Settings", "sweep", "Reward and KL of each run's last checkpoint over what the study varies."),
    ("Settings against each other", "heatmap", "Reward and KL of each run's last checkpoint."),
    (
        "Seeds",
        "seeds",
        "Reward over training, all seeds together; bands are 95% intervals over seeds and prompts, which are resampled \
         independently.",
    ),
    (
        "Over-optimisation",
        "overoptimisation",
        "True and learned reward against KL: where the learned one rises and the true one falls, a policy exploits its reward model.",
    ),
    ("Training", "training", "Every run's training, step by step."),
    ("Reinforcement", "ppo", "Rollouts and updates of the methods that learn from their own completions."),
    (
        "Likelihood displacement",
        "displacement",
        "Log-probs of chosen and rejected completions over training, against the reference's: the chosen ones may fall, too.",
    ),
    ("Length", "lengths", "Mean length of completions over training."),
    ("Health", "health", "Entropy, variety and length: where a policy degenerates, it shows here."),
];

/// The rows that the page shows.
pub struct Tables<'a> {
    /// frontier.csv
    pub frontier: &'a [FrontierRow],
    /// best_of_n.csv
    pub best_of_n: &'a [BestOfNRow],
    /// summary.csv
    pub summary: &'a [SummaryRow],
    /// winrate.csv
    pub win_rates: &'a [WinRateRow],
    /// published.csv
    pub published: &'a [PublishedRow],
    /// human.csv, as it is: names of columns, then rows
    pub human: &'a [Vec<String>],
}

/// report.html
pub fn page(collection: &Collection<'_>, tables: &Tables<'_>, figures: &[PathBuf], status: &dyn Fn(&str) -> String) -> String {
    let study = collection.study;
    let Tables { frontier, best_of_n, summary, .. } = *tables;
    let mut sections = vec![drawn(
        "Reward and KL",
        figures,
        "frontier",
        "Mean true reward against KL(policy || reference) for every evaluated checkpoint; bars are 95% intervals over prompts. Up and \
         to the left is better. Best-of-N has no KL of its own: it is drawn at its upper bound.",
    )];
    sections.extend(judged::sections(collection, tables, figures));
    sections.push(Section { heading: "Runs".into(), table: Some(runs(collection, frontier, status)), ..Section::default() });
    sections.push(Section {
        heading: "At equal KL".into(),
        paragraphs: vec![
            "Reward within a KL budget is read off the upper concave envelope of a method's checkpoints, the reference included: a mixture \
             of two policies reaches every point of it. Differences are paired by prompt; intervals are 95% percentiles of 1,000 resamples \
             of the prompts, conditional on the trained policies."
                .into(),
        ],
        table: Some(budgets(summary)),
        ..Section::default()
    });
    sections.push(drawn(
        "Best-of-N",
        figures,
        "best_of_n",
        "Of N completions of the reference, the one that the learned reward prefers.",
    ));
    if let Some(section) = sections.last_mut() {
        section.table = Some(best_of_n_table(best_of_n));
    }
    sections.push(Section {
        figure: drawn("", figures, "preferences", "Held-out comparisons under every checkpoint's implicit reward.").figure,
        ..held_out(collection, summary)
    });
    for (heading, name, caption) in FURTHER {
        sections.extend(Some(drawn(heading, figures, name, caption)).filter(|section| section.figure.is_some()));
    }
    sections.extend(classifier(collection));
    sections.push(samples(collection));
    let deviations = study.deviations.iter().map(|d| format!("{}: {} here; paper: {}", d.key, d.value, d.paper)).collect();
    sections.push(Section { heading: "Departures from the paper".into(), list: deviations, ..Section::default() });
    let heading = "Choices that the paper does not fix".to_owned();
    sections.push(Section { heading, list: open_choices(study), ..Section::default() });
    let lead =
        format!("{} runs on the {} task, made by dpo-lab {}.", study.runs.len(), study.task.name(), env!("CARGO_PKG_VERSION"));
    html::page(&Page { title: format!("Study: {}", study.name), lead: vec![lead], sections })
}

pub(super) fn drawn(heading: &str, figures: &[PathBuf], name: &str, caption: &str) -> Section {
    let is_it = |path: &&PathBuf| path.file_name().is_some_and(|file| file == Path::new(&format!("{name}.svg")));
    let svg = figures.iter().find(is_it).and_then(|path| std::fs::read_to_string(path).ok());
    let figure = svg.map(|svg| Figure { svg, caption: caption.to_owned() });
    let paragraphs = if figure.is_none() { vec!["Nothing to draw yet.".to_owned()] } else { Vec::new() };
    Section { heading: heading.to_owned(), figure, paragraphs, ..Section::default() }
}

pub(super) fn table(header: &[&str], rows: Vec<Vec<String>>) -> Table {
    Table { header: header.iter().map(|cell| (*cell).to_owned()).collect(), rows }
}

fn runs(collection: &Collection<'_>, frontier: &[FrontierRow], status: &dyn Fn(&str) -> String) -> Table {
    let row = |collected: &super::collect::Collected<'_>| {
        let run = collected.run;
        let last = frontier.iter().rfind(|row| row.run == run.name);
        let cell = |of: &dyn Fn(&FrontierRow) -> String| last.map(of).unwrap_or_default();
        let displaced = displacement(run, &collected.training).map(|nats| format!("{nats:+.1}")).unwrap_or_default();
        vec![
            run.name.clone(),
            status(&run.name),
            cell(&|row| row.step.to_string()),
            cell(&|row| {
                if row.reward_mean.is_nan() { String::new() } else { format!("{:.3} ± {:.3}", row.reward_mean, row.reward_se) }
            }),
            cell(&|row| format!("{:.2} ± {:.2}", row.kl_mean, row.kl_se)),
            cell(&|row| row.proxy_reward_mean.map(|reward| format!("{reward:.2}")).unwrap_or_default()),
            cell(&|row| format!("{:.1}", row.completion_tokens_mean)),
            cell(&|row| format!("{:.2}", row.entropy_mean)),
            displaced,
        ]
    };
    let header =
        ["run", "status", "step", "true reward", "KL (nats)", "learned reward", "tokens", "entropy", "log π/π_ref of chosen"];
    table(&header, collection.runs.iter().map(row).collect())
}

/// Likelihood displacement: mean log(pi / ref) of the chosen completions over the last tenth of training, in nats. Below 0 the
/// chosen completions themselves have become less likely. The batches differ from step to step, so it is taken against the
/// reference on the same completions; methods without a reference have none.
fn displacement(run: &Run, rows: &[TrainRow]) -> Option<f64> {
    let Role::Train(objective) = run.method.role() else { return None };
    let last = &rows[rows.len() - rows.len().div_ceil(10)..];
    let rewards: Vec<f64> = last.iter().filter_map(|row| row.rewards_chosen).collect();
    (!rewards.is_empty()).then(|| rewards.iter().sum::<f64>() / rewards.len() as f64 / objective.beta())
}

fn budgets(summary: &[SummaryRow]) -> Table {
    let wanted = ["reward_at_kl", "frontier_area", "reward_difference_at_kl", "frontier_area_difference"];
    let shown = summary.iter().filter(|row| wanted.contains(&row.metric.as_str()));
    // Each difference appears in both directions in the CSV; the page shows DPO's, or all without DPO.
    let has_dpo = summary.iter().any(|row| row.method == "dpo");
    let shown = shown.filter(|row| row.versus.is_none() || !has_dpo || row.method == "dpo");
    let cells = |row: &SummaryRow| {
        vec![
            row.metric.replace('_', " "),
            row.method.clone(),
            row.versus.clone().unwrap_or_default(),
            row.kl_budget.map(|budget| budget.to_string()).unwrap_or_default(),
            format!("{:+.3}", row.value).replace('+', if row.versus.is_some() { "+" } else { "" }),
            format!("{:.3}", row.se),
            format!("[{:.3}, {:.3}]", row.ci_low, row.ci_high),
        ]
    };
    table(&["number", "method", "versus", "KL budget", "value", "error", "95% interval"], shown.map(cells).collect())
}

fn best_of_n_table(rows: &[BestOfNRow]) -> Table {
    let cells = |row: &BestOfNRow| {
        vec![
            row.n.to_string(),
            format!("{:.3} ± {:.3}", row.reward_mean, row.reward_se),
            row.proxy_reward_mean.map(|reward| format!("{reward:.2}")).unwrap_or_default(),
            format!("{:.2}", row.kl_bound),
        ]
    };
    table(&["N", "true reward", "learned reward", "KL bound (nats)"], rows.iter().map(cells).collect())
}

fn held_out(collection: &Collection<'_>, summary: &[SummaryRow]) -> Section {
    let wanted = ["preference_accuracy", "preference_loss", "judge_nll"];
    let cells = |row: &SummaryRow| {
        vec![
            row.metric.replace('_', " "),
            row.run.clone().unwrap_or_else(|| row.method.clone()),
            format!("{:.3}", row.value),
            format!("{:.3}", row.se),
            row.n.to_string(),
        ]
    };
    let rows = summary.iter().filter(|row| wanted.contains(&row.metric.as_str())).map(cells).collect();
    let mut paragraphs = vec![
        "Preference accuracy: share of held-out comparisons that a policy's implicit reward, or the learned reward, ranks as their label \
         does. Judge nll: nats a token of a policy's completions under a language model that was trained on held-out text only; the \
         reference's own stands first. A policy far below it repeats what is common, one far above it is no longer fluent."
            .to_owned(),
    ];
    if let Some(report) = &collection.reward_model {
        let accuracies: Vec<String> = report.validation_accuracy.iter().map(|accuracy| format!("{accuracy:.3}")).collect();
        paragraphs.push(format!("Validation accuracy of the learned reward after each epoch: {}.", accuracies.join(", ")));
    }
    Section {
        heading: "Held-out comparisons and fluency".into(),
        paragraphs,
        table: Some(table(&["number", "of", "value", "error", "n"], rows)),
        ..Section::default()
    }
}

fn classifier(collection: &Collection<'_>) -> Option<Section> {
    let report = collection.classifier.as_ref()?;
    let mut rows = vec![vec!["whole reviews".to_owned(), format!("{:.4}", report.accuracy), String::new()]];
    rows.extend(report.windows.iter().map(|(words, accuracy, error)| {
        vec![format!("windows of {words} words"), format!("{accuracy:.4}"), format!("{error:.3}")]
    }));
    Some(Section {
        heading: "The true reward".into(),
        paragraphs: vec![format!(
            "A logistic regression on word n-grams, fitted on {} labelled reviews and measured on {} others ({} rows left out as \
             duplicates, {} because training has their text). It sees words, not meaning: a policy can raise it without writing a better \
             review, and KL is what holds that in check.",
            report.train, report.test, report.dropped_duplicates, report.dropped_leaked
        )],
        table: Some(table(&["texts", "accuracy", "calibration error"], rows)),
        ..Section::default()
    })
}

/// Two completions of each run, for the eye; real corpora's prompts are other people's text and stay out of the page.
fn samples(collection: &Collection<'_>) -> Section {
    let heading = "Samples".to_owned();
    if !matches!(collection.study.task.reward(), Some(Reward::Builtin(_))) {
        let text = "Completions begin with other people's text: see samples.csv beside this page.".to_owned();
        return Section { heading, paragraphs: vec![text], ..Section::default() };
    }
    let mut rows = Vec::new();
    for collected in collection.runs.iter().filter(|collected| collected.run.method.trains()) {
        let Some((_, _, evaluation)) = collected.evaluations.last() else { continue };
        for sample in evaluation.samples.iter().take(2) {
            rows.push(vec![collected.run.name.clone(), sample.text.clone(), format!("{:.2}", sample.reward)]);
        }
    }
    Section { heading, table: Some(table(&["run", "text", "reward"], rows)), ..Section::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn displacement_is_against_the_reference_over_the_last_tenth() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("study.toml");
        let text = "name = \"small\"\n[task.sentiment]\n[method.dpo]\nbeta = 0.5\n[method.preferred_ft]\n";
        std::fs::write(&file, text).expect("written");
        let runs = crate::spec::load(&file, &[]).expect("a study").study.runs;
        // The first 18 of 20 steps, and what the batches happen to hold, have no part in it.
        let row = |step: u64| TrainRow {
            step,
            logps_chosen: Some(-(step as f64)),
            rewards_chosen: Some(if step <= 18 { 9.0 } else { -1.0 }),
            ..TrainRow::default()
        };
        let rows: Vec<TrainRow> = (1..=20).map(row).collect();
        assert_eq!(displacement(&runs[0], &rows), Some(-2.0));
        let without: Vec<TrainRow> = rows.into_iter().map(|row| TrainRow { rewards_chosen: None, ..row }).collect();
        assert_eq!(displacement(&runs[1], &without), None);
        assert_eq!(displacement(&runs[0], &[]), None);
    }
}
