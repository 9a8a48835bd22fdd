//! A study's report as the executor sees it: whether it is drawn, and what became of every run.

use super::study::Prepared;
use super::summary::print_table;
use crate::error::Result;
use crate::exec::{Outcome, Schedule};
use crate::judges::Subject;
use crate::plan::RunPlan;
use crate::report::{self, Written};
use crate::spec::Judge;
use crate::store::{Key, State, Store};
use crate::tracking::Standing;
use std::collections::HashMap;
use std::path::PathBuf;

/// Whether the report was drawn from this very plan, and from as much of it as the store has now.
pub(super) fn is_drawn(prepared: &Prepared, schedule: &Schedule, store: &Store) -> bool {
    let page = prepared.folder.join("report.html");
    page.exists()
        && std::fs::read_to_string(stamp_path(prepared)).is_ok_and(|stamp| stamp == plan_digest(prepared, schedule, store))
}

/// Whether there are tables, and a report of this plan would have nothing to put in their place.
pub(super) fn keeps_old_tables(prepared: &Prepared, store: &Store) -> bool {
    let mut evaluations = prepared.plan.runs.iter().flat_map(|run| &run.evaluations);
    let mut judged = prepared.plan.runs.iter().flat_map(|run| &run.judged);
    let nothing = evaluations.all(|(.., key)| store.state(key) != State::Present)
        && judged.all(|judged| store.state(&judged.key) != State::Present);
    prepared.folder.join("frontier.csv").exists() && nothing
}

/// Writes tables, figures and the page from what the store has, and prints the table of runs.
pub(super) fn draw(prepared: &Prepared, schedule: &Schedule, store: &Store, quiet: bool) -> Result<Written> {
    let statuses = statuses(prepared, schedule);
    let status = |run: &str| statuses.get(run).copied().unwrap_or("cancelled").to_owned();
    let written = report::write(&prepared.study, &prepared.plan, &prepared.to_save(), store, &prepared.folder, &status)?;
    if !quiet {
        print_table(prepared, &written, &status);
    }
    stamp(prepared, schedule, store)?;
    Ok(written)
}

fn stamp_path(prepared: &Prepared) -> PathBuf {
    prepared.folder.join(".drawn")
}

/// What the report and the weights beside it depend on: keys of all stages and whether they are there, names of runs and judges,
/// what is known of judges, which weights are kept, and this version's drawing.
fn plan_digest(prepared: &Prepared, schedule: &Schedule, store: &Store) -> String {
    let is_there = |key: &Key| matches!(schedule.outcome(key), Outcome::Cached | Outcome::Done);
    let keys: Vec<(&Key, bool)> = prepared.plan.stages.iter().map(|stage| (&stage.key, is_there(&stage.key))).collect();
    let runs: Vec<&str> = prepared.study.runs.iter().map(|run| run.name.as_str()).collect();
    let calibration = |judge: &Judge| {
        Subject::ALL.map(|subject| std::fs::read(store.judges().join(report::calibration_file(&judge.kind, subject))).ok())
    };
    let judges: Vec<_> = prepared.study.judges.iter().map(|judge| (&judge.name, calibration(judge))).collect();
    let values = format!(
        "{keys:?} {runs:?} {judges:?} {:?} {:?} {:?} {}",
        prepared.study.evaluation,
        prepared.study.keep,
        prepared.study.deviations,
        env!("CARGO_PKG_VERSION")
    );
    blake3::hash(values.as_bytes()).to_hex().to_string()
}

fn stamp(prepared: &Prepared, schedule: &Schedule, store: &Store) -> Result<()> {
    crate::store::write_atomically(&stamp_path(prepared), plan_digest(prepared, schedule, store).as_bytes())
}

/// Every run's status in runs.csv.
pub(super) fn statuses<'a>(prepared: &'a Prepared, schedule: &Schedule) -> HashMap<&'a str, &'static str> {
    prepared.plan.runs.iter().map(|run| (run.name.as_str(), of_run(run, schedule))).collect()
}

fn of_run(run: &RunPlan, schedule: &Schedule) -> &'static str {
    let any = |which: &dyn Fn(&Outcome) -> bool| run.needs.iter().any(|key| which(schedule.outcome(key)));
    if run.own.iter().any(|key| matches!(schedule.outcome(key), Outcome::Failed(_))) {
        "failed"
    } else if any(&|outcome| matches!(outcome, Outcome::Failed(_) | Outcome::Skipped)) {
        "skipped"
    } else if any(&|outcome| matches!(outcome, Outcome::Cancelled | Outcome::Pending | Outcome::Running)) {
        "cancelled"
    } else if run.own.iter().all(|key| *schedule.outcome(key) == Outcome::Cached) {
        "cached"
    } else {
        "done"
    }
}

/// A run's status as trackers say it.
pub(super) fn standing(status: &str) -> Standing {
    match status {
        "done" | "cached" => Standing::Finished,
        "failed" | "skipped" => Standing::Failed,
        _ => Standing::Killed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::Fetch;

    #[test]
    fn a_run_fails_with_its_own_stages_and_is_skipped_with_shared_ones() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("study.toml");
        std::fs::write(&file, "name = \"small\"\n[task.sentiment]\n[method.dpo]\nbeta = [0.1, 1.0]\n").expect("written");
        let study = crate::spec::load(&file, &[]).expect("a study").study;
        let here = |_: &str| folder.path().to_owned();
        let resolved = crate::resolve::resolve(&study, &here, Fetch::No).expect("a corpus");
        let plan = crate::plan::build(&study, &resolved);
        let statuses = |label: &str, outcome: Outcome| {
            let mut schedule = Schedule::new(plan.stages.clone(), |_| false);
            let stage = plan.stages.iter().find(|stage| stage.label.starts_with(label)).expect(label);
            schedule.set(&stage.key, outcome);
            plan.runs.iter().map(|run| of_run(run, &schedule)).collect::<Vec<_>>()
        };
        let failed = || Outcome::Failed("no".to_owned());
        assert_eq!(statuses("train dpo-beta0.1", failed()), ["failed", "cancelled"]);
        assert_eq!(statuses("generate dpo-beta0.1", failed()), ["failed", "cancelled"]);
        assert_eq!(statuses("evaluate dpo-beta1-", failed()), ["cancelled", "failed"]);
        assert_eq!(statuses("sft", failed()), ["skipped", "skipped"]);
        assert_eq!(statuses("sft", Outcome::Done), ["cancelled", "cancelled"]);
    }
}
