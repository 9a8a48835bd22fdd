//! The words and tables of report.html and deviations.md.

use super::choices::open_choices;
use super::collect::Collection;
use super::html::{self, Figure, Page, Section, Table};
use super::judged_rows::{PublishedRow, WinRateRow};
use super::provenance::Provenance;
use super::rows::{BestOfNRow, FrontierRow, OracleRow, SummaryRow};
use super::{headline, judged, origins, sections};
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

/// Rows beyond which a table is folded.
const LONG: usize = 16;

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
    /// oracle.csv
    pub oracle: &'a [OracleRow],
    /// human.csv, as it is: names of columns, then rows
    pub human: &'a [Vec<String>],
    /// provenance.json of every run
    pub provenance: &'a [Provenance],
}

/// report.html
pub fn page(collection: &Collection<'_>, tables: &Tables<'_>, figures: &[PathBuf], status: &dyn Fn(&str) -> String) -> String {
    let study = collection.study;
    let Tables { frontier, best_of_n, summary, .. } = *tables;
    let mut parts = vec![drawn(
        "Reward and KL",
        figures,
        "frontier",
        "Mean true reward against KL(policy || reference) for every evaluated checkpoint; bars are 95% intervals over prompts. Up and \
         to the left is better. Best-of-N has no KL of its own: it is drawn at its upper bound.",
    )];
    parts.extend(judged::sections(collection, tables, figures));
    parts.push(Section {
        heading: "Runs".into(),
        tables: vec![sections::runs(collection, frontier, status)],
        ..Section::default()
    });
    parts.push(Section {
        heading: "At equal KL".into(),
        paragraphs: vec![
            "Reward within a KL budget is read off the upper concave envelope of a method's checkpoints, the reference included: a mixture \
             of two policies reaches every point of it. Differences are paired by prompt; intervals are 95% percentiles of 1,000 resamples \
             of the prompts, conditional on the trained policies."
                .into(),
        ],
        tables: sections::budgets(summary),
        ..Section::default()
    });
    parts.push(drawn(
        "Best-of-N",
        figures,
        "best_of_n",
        "Of N completions of the reference, the one that the learned reward prefers.",
    ));
    if let Some(section) = parts.last_mut() {
        section.tables = vec![sections::best_of_n(best_of_n)];
    }
    parts.push(Section {
        figure: drawn("", figures, "preferences", "Held-out comparisons under every checkpoint's implicit reward.").figure,
        ..sections::held_out(collection, summary)
    });
    for (heading, name, caption) in FURTHER {
        parts.extend(Some(drawn(heading, figures, name, caption)).filter(|section| section.figure.is_some()));
    }
    parts.extend(sections::classifier(collection));
    parts.extend(sections::samples(collection));
    let deviations = study.deviations.iter().map(|d| format!("{}: {} here; paper: {}", d.key, d.value, d.paper)).collect();
    parts.push(Section { heading: "Departures from the paper".into(), list: deviations, ..Section::default() });
    let heading = "Choices that the paper does not fix".to_owned();
    parts.push(Section { heading, list: open_choices(study), ..Section::default() });
    parts.push(origins::section(tables.provenance));
    let about = format!(
        "A study of preference optimisation on the {} task; drawn by dpo-lab {}.",
        study.task.name(),
        crate::build_info::VERSION
    );
    let asked = vec![headline::asked(collection, tables)];
    let found = headline::found(collection, tables, status);
    html::page(&Page { title: format!("Study: {}", study.name), about, asked, found, sections: parts })
}

pub(super) fn drawn(heading: &str, figures: &[PathBuf], name: &str, caption: &str) -> Section {
    let is_it = |path: &&PathBuf| path.file_name().is_some_and(|file| file == Path::new(&format!("{name}.svg")));
    let svg = figures.iter().find(is_it).and_then(|path| std::fs::read_to_string(path).ok());
    let figure = svg.map(|svg| Figure { svg, caption: caption.to_owned() });
    let paragraphs = if figure.is_none() { vec!["Nothing to draw yet.".to_owned()] } else { Vec::new() };
    Section { heading: heading.to_owned(), figure, paragraphs, ..Section::default() }
}

pub(super) fn table(header: &[&str], rows: Vec<Vec<String>>) -> Table {
    let title = String::new();
    Table { title, folded: rows.len() > LONG, header: header.iter().map(|cell| (*cell).to_owned()).collect(), rows }
}
