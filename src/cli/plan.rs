//! `dpo-lab plan`

use super::StudyArguments;
use super::bill::{Bill, bills};
use super::study::{Prepared, prepare, reasons};
use crate::error::{Exit, Result};
use crate::plan::Kind;
use crate::resolve::Fetch;
use crate::store::Store;
use clap::Args;
use std::collections::BTreeMap;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(super) struct Plan {
    /// Experiment file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    study: StudyArguments,
    /// As JSON
    #[arg(long)]
    json: bool,
}

impl Plan {
    pub(super) fn run(self) -> Result<Exit> {
        let prepared = prepare(&self.file, &self.study, Fetch::No)?;
        let store = Store::open(&self.study.results.results)?;
        let seconds = measured(&store);
        let rows: Vec<(String, Kind, String, Option<String>)> = reasons(&prepared, &store, &self.study.force)
            .into_iter()
            .map(|(index, _, why)| {
                let stage = &prepared.plan.stages[index];
                (stage.label.clone(), stage.work.kind(), stage.key.short().to_owned(), why)
            })
            .collect();
        let selected = prepared.wanted();
        let wanted: Vec<_> = prepared.plan.stages.iter().filter(|stage| selected.contains(&stage.key)).collect();
        let bills = bills(&prepared, &store, &wanted)?;
        let to_run = rows.iter().filter(|(.., why)| why.is_some()).count();
        let time: Option<f64> = rows.iter().filter(|(.., why)| why.is_some()).map(|(_, kind, ..)| seconds.get(kind)).sum();
        if self.json {
            let stages: Vec<serde_json::Value> = rows
                .iter()
                .map(|(label, kind, key, why)| serde_json::json!({ "stage": label, "kind": kind, "key": key, "cached": why.is_none(), "why": why }))
                .collect();
            let plan = serde_json::json!({
                "study": prepared.study.name, "runs": prepared.selected, "stages": stages, "to_run": to_run,
                "worker_seconds": time, "unresolved": prepared.resolved.unresolved(), "judges": bills.iter().map(Bill::json).collect::<Vec<_>>(),
                "resolvable_win_rate_difference": resolvable(&prepared),
            });
            say!("{plan:#}");
            return Ok(Exit::Done);
        }
        for (label, _, key, why) in &rows {
            say!("{key}  {label:<52} {}", why.as_deref().map_or("cached".to_owned(), |why| format!("will run: {why}")));
        }
        say!(
            "\n{}: {} runs, {} stages, {} cached, {to_run} to run",
            prepared.study.name,
            prepared.selected.len(),
            rows.len(),
            rows.len() - to_run
        );
        match time {
            _ if to_run == 0 => {}
            Some(time) => {
                say!("about {time:.0} s of work in all, by what such stages took here before, shared among the workers")
            }
            None => say!("time unknown: some kinds of stages were never run here"),
        }
        bills.iter().for_each(|bill| say!("{}", bill.line()));
        if let Some(least) = resolvable(&prepared) {
            let prompts = prepared.study.evaluation.prompts;
            say!("{prompts} prompts resolve a win rate that differs from 1/2 by about {least:.2} (80% power at 95%)");
        }
        if let Some(why) = prepared.resolved.unresolved() {
            say!("unresolved: {why}");
        }
        Ok(Exit::Done)
    }
}

/// The difference of a win rate from 1/2 that the study's prompts can resolve; nothing without judges.
fn resolvable(prepared: &Prepared) -> Option<f64> {
    // A score of 0 or 1 deviates by 1/2, and one with ties by less.
    (!prepared.study.judges.is_empty()).then(|| crate::stats::resolvable(prepared.study.evaluation.prompts, 0.5))
}

/// Mean seconds of each kind of stage in the store.
fn measured(store: &Store) -> BTreeMap<Kind, f64> {
    let mut sums: BTreeMap<Kind, (f64, f64)> = BTreeMap::new();
    for manifest in store.keys().iter().filter_map(|key| store.manifest(key)) {
        if let Ok(kind) = serde_json::from_value::<Kind>(serde_json::Value::String(manifest.kind)) {
            let entry = sums.entry(kind).or_default();
            *entry = (entry.0 + manifest.record.seconds, entry.1 + 1.0);
        }
    }
    sums.into_iter().map(|(kind, (seconds, count))| (kind, seconds / count)).collect()
}
