//! Sections of report.html that are made of tables: runs, reward within KL budgets, held-out comparisons, samples.

use super::collect::{Collected, Collection};
use super::html::{Section, Table};
use super::page::table;
use super::rows::{BestOfNRow, FrontierRow, SummaryRow, TrainRow};
use crate::methods::Role;
use crate::spec::Run;

/// Runs beyond which the table of runs is folded.
const SHOWN_RUNS: usize = 40;
/// Prompts whose completions are shown.
const SHOWN_PROMPTS: usize = 3;

/// Every run with its last checkpoint.
pub fn runs(collection: &Collection<'_>, frontier: &[FrontierRow], status: &dyn Fn(&str) -> String) -> Table {
    let row = |collected: &Collected<'_>| {
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
    let rows: Vec<Vec<String>> = collection.runs.iter().map(row).collect();
    Table { title: "Last checkpoint of every run".to_owned(), folded: rows.len() > SHOWN_RUNS, ..table(&header, rows) }
}

/// Likelihood displacement: mean log(pi / ref) of the chosen completions over the last tenth of training, in nats. Below 0 the
/// chosen completions themselves have become less likely. The batches differ from step to step, so it is taken against the
/// reference on the same completions; methods without a reference have none.
pub fn displacement(run: &Run, rows: &[TrainRow]) -> Option<f64> {
    let Role::Train(objective) = run.method.role() else { return None };
    let last = &rows[rows.len() - rows.len().div_ceil(10)..];
    let rewards: Vec<f64> = last.iter().filter_map(|row| row.rewards_chosen).collect();
    (!rewards.is_empty()).then(|| rewards.iter().sum::<f64>() / rewards.len() as f64 / objective.beta())
}

/// Reward of every method within every KL budget, and how methods differ.
pub fn budgets(summary: &[SummaryRow]) -> Vec<Table> {
    let of = |metric: &str| summary.iter().filter(|row| row.metric == metric).collect::<Vec<_>>();
    let (rewards, areas) = (of("reward_at_kl"), of("frontier_area"));
    let mut methods: Vec<&str> = rewards.iter().map(|row| row.method.as_str()).collect();
    methods.dedup();
    let budgets: Vec<f64> = rewards
        .iter()
        .filter(|row| Some(row.method.as_str()) == methods.first().copied())
        .filter_map(|row| row.kl_budget)
        .collect();
    let cell = |row: Option<&&SummaryRow>| row.map(|row| format!("{:.3} ± {:.3}", row.value, row.se)).unwrap_or_default();
    let row = |method: &&str| {
        let at = |budget: &f64| cell(rewards.iter().find(|row| row.method == *method && row.kl_budget == Some(*budget)));
        let area = cell(areas.iter().find(|row| row.method == *method));
        [vec![(*method).to_owned()], budgets.iter().map(at).collect(), vec![area]].concat()
    };
    let names: Vec<String> = budgets.iter().map(|budget| format!("within {budget} nats")).collect();
    let header: Vec<&str> = [vec!["method"], names.iter().map(String::as_str).collect(), vec!["mean over all budgets"]].concat();
    let values = table(&header, methods.iter().map(row).collect());
    let wanted = ["reward_difference_at_kl", "frontier_area_difference"];
    let differences = summary.iter().filter(|row| wanted.contains(&row.metric.as_str()));
    // Each difference appears in both directions in the CSV; the page shows DPO's, or all without DPO.
    let has_dpo = methods.contains(&"dpo");
    let differences = differences.filter(|row| !has_dpo || row.method == "dpo");
    let cells = |row: &SummaryRow| {
        let what = if row.metric.starts_with("frontier") { "mean over budgets up to" } else { "within" };
        vec![
            row.method.clone(),
            row.versus.clone().unwrap_or_default(),
            row.kl_budget.map(|budget| format!("{what} {budget} nats")).unwrap_or_default(),
            format!("{:+.3} ± {:.3}", row.value, row.se),
            format!("[{:.3}, {:.3}]", row.ci_low, row.ci_high),
        ]
    };
    let header = ["method", "less", "reward", "difference", "95% interval"];
    let differences = Table {
        title: "Differences between methods, paired by prompt".to_owned(),
        folded: true,
        ..table(&header, differences.map(cells).collect())
    };
    [values, differences].into_iter().filter(|table| !table.rows.is_empty()).collect()
}

/// Best-of-N with every N.
pub fn best_of_n(rows: &[BestOfNRow]) -> Table {
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

/// Held-out comparisons and fluency of every policy and of the learned reward.
pub fn held_out(collection: &Collection<'_>, summary: &[SummaryRow]) -> Section {
    let wanted = ["preference_accuracy", "preference_loss", "judge_nll"];
    let name = |row: &SummaryRow| row.run.clone().unwrap_or_else(|| row.method.replace('_', " "));
    let mut names: Vec<String> = Vec::new();
    for row in summary.iter().filter(|row| wanted.contains(&row.metric.as_str())) {
        if !names.contains(&name(row)) {
            names.push(name(row));
        }
    }
    let cells = |of: &String| {
        let cell = |metric: &&str| {
            let row = summary.iter().find(|row| row.metric == *metric && name(row) == *of);
            row.map(|row| format!("{:.3} ± {:.3}", row.value, row.se)).unwrap_or_default()
        };
        std::iter::once(of.clone()).chain(wanted.iter().map(cell)).collect()
    };
    let rows = names.iter().map(cells).collect();
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
        tables: vec![Table {
            title: "Last checkpoint of every run".to_owned(),
            ..table(&["of", "preference accuracy", "preference loss", "judge nll"], rows)
        }],
        ..Section::default()
    }
}

/// The fitted true reward, where there is one.
pub fn classifier(collection: &Collection<'_>) -> Option<Section> {
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
        tables: vec![table(&["texts", "accuracy", "calibration error"], rows)],
        ..Section::default()
    })
}

/// Completions of every run that trains after the same prompts, for the eye.
pub fn samples(collection: &Collection<'_>) -> Option<Section> {
    let last = |collected: &Collected<'_>| collected.evaluations.last().map(|(_, _, evaluation)| evaluation.clone());
    let trained = || collection.runs.iter().filter(|collected| collected.run.method.trains());
    let mut rows = Vec::new();
    for (collected, evaluation) in trained().filter_map(|collected| Some((collected, last(collected)?))) {
        let first = |prompt| evaluation.samples.iter().find(|sample| sample.prompt == prompt);
        for sample in (0..SHOWN_PROMPTS).filter_map(first) {
            let reward = if sample.reward.is_nan() { String::new() } else { format!("{:.2}", sample.reward) };
            rows.push((
                sample.prompt,
                vec![collected.run.name.clone(), sample.text.clone(), reward, format!("{:.1}", sample.kl)],
            ));
        }
    }
    // Runs below each other after the same prompt can be told apart.
    rows.sort_by_key(|(prompt, _)| *prompt);
    let tables = (0..SHOWN_PROMPTS).map(|wanted| {
        let rows = rows.iter().filter(|(prompt, _)| *prompt == wanted).map(|(_, cells)| cells.clone()).collect();
        let title = format!("Prompt {}", wanted + 1);
        Table { title, folded: wanted > 0, ..table(&["run", "text", "true reward", "KL (nats)"], rows) }
    });
    let mut paragraphs =
        vec!["Texts as they were drawn, prompt included, of each run's last checkpoint; samples.csv has more.".to_owned()];
    if !collection.study.task.corpus().iter().all(|name| name.starts_with("builtin:")) {
        let whose =
            "They begin with texts of the data, which may be somebody else's: mind its licence before this page is shared.";
        paragraphs.push(whose.to_owned());
    }
    let tables: Vec<Table> = tables.filter(|table| !table.rows.is_empty()).collect();
    (!tables.is_empty()).then(|| Section { heading: "Samples".to_owned(), paragraphs, tables, ..Section::default() })
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
