//! How a study came about, as a section of report.html: versions, machines, data, values, and what it cost.

use super::html::{Section, Table};
use super::page::table;
use super::provenance::{Build, Provenance, StageRecord};
use crate::spec::flat;
use crate::store::Key;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The section.
pub fn section(runs: &[Provenance]) -> Section {
    let folded = |title: &str, header: &[&str], rows| Table { title: title.to_owned(), folded: true, ..table(header, rows) };
    let mut packages: BTreeSet<(String, String)> = BTreeSet::new();
    packages.extend(builds(runs).iter().flat_map(|build| build.direct()));
    let packages = packages.into_iter().map(|(name, version)| vec![name, version]).collect();
    let tables = vec![
        Table { folded: false, ..table(&["what", "value"], facts(runs)) },
        folded("What each run took", &["run", "stages", "seconds", "with shared stages", "peak MiB", "energy (J)"], costs(runs)),
        folded("Values that all runs share, after defaults, extends and overrides", &["key", "value"], shared(runs)),
        folded("Packages that dpo-lab was built with", &["package", "version"], packages),
    ];
    Section {
        heading: "Provenance".to_owned(),
        paragraphs: vec![
            "How the numbers came about. provenance.json in each run's folder has all of it: every value after defaults, extends, \
             overrides and sweeps, every stage, every package."
                .to_owned(),
        ],
        tables: tables.into_iter().filter(|table| !table.rows.is_empty()).collect(),
        ..Section::default()
    }
}

fn facts(runs: &[Provenance]) -> Vec<Vec<String>> {
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut row = |name: &str, value: String| rows.push(vec![name.to_owned(), value]);
    for build in builds(runs) {
        row("made by dpo-lab", build.name());
    }
    for device in runs.iter().flat_map(Provenance::devices).collect::<BTreeSet<_>>() {
        row("device", device);
    }
    if let Some(first) = runs.first() {
        row("experiment", [vec![first.experiment.clone()], first.overrides.clone()].concat().join(" --set "));
        let seeds: BTreeSet<String> = runs.iter().map(|run| run.seeds[1].to_string()).collect();
        let seeds = seeds.into_iter().collect::<Vec<_>>().join(", ");
        row("seeds", format!("study {}, runs {seeds}", first.seeds[0]));
    }
    for datum in runs.iter().flat_map(|run| &run.data).collect::<BTreeSet<_>>() {
        let digest = datum.blake3.as_ref().map(|digest| format!(" (BLAKE3 {digest})")).unwrap_or_default();
        row("data", format!("{}{digest}", datum.name));
    }
    for source in runs.iter().flat_map(|run| &run.sources).collect::<BTreeSet<_>>() {
        row("source", source.clone());
    }
    let stages = stages(runs);
    let made: Vec<_> = stages.values().filter_map(|stage| stage.record.as_ref()).collect();
    let seconds: f64 = made.iter().map(|record| record.seconds).sum();
    row("stages", format!("{} of {} made, {} of processes' time", made.len(), stages.len(), duration(seconds)));
    if let Some(peak) = made.iter().filter_map(|record| record.peak_memory).max() {
        row("peak memory", format!("{:.0} MiB in one process", peak as f64 / f64::from(1 << 20)));
    }
    let measured: Vec<f64> = made.iter().filter_map(|record| record.energy).collect();
    if !measured.is_empty() {
        let joules: f64 = measured.iter().sum();
        row("energy", format!("{:.1} kJ of the whole machine, over {} of the stages", joules / 1e3, measured.len()));
    }
    rows
}

fn costs(runs: &[Provenance]) -> Vec<Vec<String>> {
    let row = |run: &Provenance| {
        vec![
            run.run.clone(),
            run.stages.len().to_string(),
            format!("{:.1}", run.seconds(true)),
            format!("{:.1}", run.seconds(false)),
            run.peak_memory().map(|bytes| format!("{:.0}", bytes as f64 / f64::from(1 << 20))).unwrap_or_default(),
            run.energy(false).map(|joules| format!("{joules:.0}")).unwrap_or_default(),
        ]
    };
    runs.iter().map(row).collect()
}

/// Key and value of what is the same in every run.
fn shared(runs: &[Provenance]) -> Vec<Vec<String>> {
    let all: Vec<BTreeMap<String, Value>> = runs.iter().map(|run| flat(&run.settings)).collect();
    let Some(first) = all.first() else { return Vec::new() };
    let same = first.iter().filter(|(key, value)| all.iter().all(|other| other.get(*key) == Some(*value)));
    same.map(|(key, value)| vec![key.clone(), value.to_string()]).collect()
}

/// Every version of dpo-lab that made something here.
fn builds(runs: &[Provenance]) -> Vec<&Build> {
    let mut found: Vec<&Build> = Vec::new();
    for build in runs.iter().flat_map(|run| &run.builds) {
        if !found.contains(&build) {
            found.push(build);
        }
    }
    found
}

/// Every stage once, by its key.
pub fn stages(runs: &[Provenance]) -> BTreeMap<&Key, &StageRecord> {
    runs.iter().flat_map(|run| &run.stages).map(|stage| (&stage.key, stage)).collect()
}

/// A time as people say it.
pub fn duration(seconds: f64) -> String {
    match seconds {
        short if short < 100.0 => format!("{short:.0} s"),
        medium if medium < 6000.0 => format!("{:.1} minutes", medium / 60.0),
        long => format!("{:.1} hours", long / 3600.0),
    }
}
