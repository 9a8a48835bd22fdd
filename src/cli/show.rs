//! `dpo-lab show`

use super::Results;
use super::find::{Found, find};
use super::table::{number, print, with_error};
use crate::error::{Error, Exit, Result};
use crate::report::{PastRun, Provenance, StageRecord};
use crate::spec::flat;
use crate::store::{Standing, State, Store};
use clap::Args;
use serde_json::json;

#[derive(Debug, Args)]
pub(super) struct Show {
    /// A run's name, the start of it, STUDY/RUN, or a path that ends so
    run: String,
    #[command(flatten)]
    results: Results,
    /// Everything as JSON
    #[arg(long)]
    json: bool,
}

impl Show {
    pub(super) fn run(self) -> Result<Exit> {
        let found = find(&self.results.results, &self.run)?;
        let store = found.store()?;
        let mut past = PastRun::read(&found.study_folder(), &found.study, &found.run);
        if let (Some(provenance), Some(store)) = (&mut past.provenance, &store) {
            refresh(provenance, store);
        }
        let state = state(&past, store.as_ref());
        if self.json {
            let mut all = json!(past);
            all["state"] = json!(state);
            let text = serde_json::to_string_pretty(&all).map_err(Error::other)?;
            say!("{text}");
            return Ok(Exit::Done);
        }
        say!("{}", past.run);
        let folder = past.folder.display().to_string();
        let mut head = vec![["study", &past.study], ["state", &state], ["folder", &folder]];
        let model = model(&past, &found);
        head.extend(model.iter().map(|model| ["model", model.as_str()]));
        print(2, &head);
        let Some(provenance) = &past.provenance else {
            results(&past);
            say!("\nmore is known once its report is drawn: dpo-lab report {}", past.study);
            return Ok(Exit::Done);
        };
        settings(provenance);
        results(&past);
        artifacts(provenance, store.as_ref());
        origins(provenance);
        Ok(Exit::Done)
    }
}

/// The report knows what there was when it was drawn; a run that goes on has more by now, or less where something was removed.
fn refresh(provenance: &mut Provenance, store: &Store) {
    for stage in &mut provenance.stages {
        let there = store.state(&stage.key) == State::Present;
        stage.record = store.manifest(&stage.key).filter(|_| there).map(|manifest| manifest.record);
    }
}

/// How far the run is, in a few words.
fn state(past: &PastRun, store: Option<&Store>) -> String {
    let Some(provenance) = &past.provenance else {
        return past.status.clone().unwrap_or_else(|| "no report yet".to_owned());
    };
    let missing = provenance.missing().count();
    if missing == 0 {
        return "finished".to_owned();
    }
    let failed = provenance.missing().filter(|stage| standing(stage, store) == "failed").count();
    let failed = if failed > 0 { format!(", {failed} of them failed") } else { String::new() };
    let (stages, what) = (provenance.stages.len(), if store.is_some() { "missing" } else { "missing when its report was drawn" });
    format!("not finished: {missing} of {stages} stages {what}{failed}")
}

/// How a stage that is not there stands.
fn standing(stage: &StageRecord, store: Option<&Store>) -> &'static str {
    let status = store.and_then(|store| store.work(&stage.key).status());
    match status.map(|status| status.standing) {
        Some(Standing::Failed) => "failed",
        Some(Standing::Running | Standing::Stopped) => "begun",
        // What is not there any more was removed.
        Some(Standing::Done) | None => "missing",
    }
}

/// Where the trained model is, if its weights were kept.
fn model(past: &PastRun, found: &Found) -> Option<String> {
    let folder = found.results.join(past.artifacts.as_ref()?.policy.as_ref()?);
    folder.is_dir().then(|| folder.display().to_string())
}

fn settings(provenance: &Provenance) {
    let prefix = format!("method.{}.", provenance.method);
    let swept = |key: &str| key.strip_prefix(&prefix).is_some_and(|own| provenance.swept.iter().any(|name| name == own));
    let mut rows: Vec<(u8, [String; 3])> = flat(&provenance.settings)
        .into_iter()
        .map(|(key, value)| {
            let rank = if swept(&key) { 0 } else { 2 - u8::from(key.starts_with(&prefix)) };
            let note = if rank == 0 { "swept" } else { "" };
            (rank, [key, value.to_string(), note.to_owned()])
        })
        .collect();
    rows.sort_by_key(|(rank, _)| *rank);
    say!("\nsettings, from {} and defaults", provenance.experiment);
    let overrides = provenance.overrides.iter().map(|text| format!(" --set '{text}'")).collect::<String>();
    if !overrides.is_empty() {
        say!("  overrides{overrides}");
    }
    print(2, &rows.into_iter().map(|(_, row)| row).collect::<Vec<_>>());
}

fn results(past: &PastRun) {
    say!("\nresults");
    let reward = |mean: f64, se: f64| if mean.is_nan() { "unknown".to_owned() } else { with_error(mean, Some(se)) };
    let mut rows = vec![];
    for row in &past.frontier {
        let accuracy = past.preferences.iter().find(|other| other.step == row.step);
        rows.push([
            row.step.to_string(),
            row.temperature.to_string(),
            reward(row.reward_mean, row.reward_se),
            with_error(row.kl_mean, Some(row.kl_se)),
            accuracy.map(|row| with_error(row.accuracy, Some(row.accuracy_se))).unwrap_or_default(),
        ]);
    }
    let none = rows.is_empty() && past.best_of_n.is_empty() && past.oracle.is_empty() && past.win_rates.is_empty();
    if none {
        say!("  none yet");
    }
    table(["step", "temperature", "true reward", "KL (nats)", "held-out accuracy"], rows);
    let exact = |row: &crate::report::rows::OracleRow| {
        [row.step.to_string(), number(row.reward), number(row.kl), number(row.optimal_reward), number(row.regret)]
    };
    table(["step", "exact reward", "exact KL (nats)", "optimal reward", "regret"], past.oracle.iter().map(exact).collect());
    let best = |row: &crate::report::rows::BestOfNRow| {
        let learned = row.proxy_reward_mean.map(number).unwrap_or_default();
        [row.n.to_string(), row.temperature.to_string(), reward(row.reward_mean, row.reward_se), learned, number(row.kl_bound)]
    };
    let mut rows: Vec<_> = past.best_of_n.iter().map(best).collect();
    rows.dedup();
    table(["N", "temperature", "true reward", "learned reward", "KL bound (nats)"], rows);
    let judged = |row: &crate::report::judged_rows::WinRateRow| {
        let rate = format!("{} [{}, {}]", number(row.win_rate), number(row.ci_low), number(row.ci_high));
        let task = format!("{} against {}", row.task, row.baseline);
        [row.step.to_string(), row.temperature.to_string(), task, row.judge.clone(), rate]
    };
    table(["step", "temperature", "task", "judge", "win rate"], past.win_rates.iter().map(judged).collect());
}

/// A table with names of columns; nothing without rows.
fn table(header: [&str; 5], rows: Vec<[String; 5]>) {
    if !rows.is_empty() {
        let rows: Vec<[String; 5]> = std::iter::once(header.map(str::to_owned)).chain(rows).collect();
        print(2, &rows);
    }
}

fn artifacts(provenance: &Provenance, store: Option<&Store>) {
    say!("\nartifacts");
    let row = |stage: &StageRecord| {
        let state = match &stage.record {
            Some(record) => format!("{:.1} s", record.seconds),
            None => standing(stage, store).to_owned(),
        };
        let whose = if stage.own { "" } else { "shared" };
        [stage.label.clone(), stage.key.short(), state, whose.to_owned()]
    };
    print(2, &provenance.stages.iter().map(row).collect::<Vec<_>>());
    for stage in provenance.missing() {
        let message = store.and_then(|store| store.work(&stage.key).status()).and_then(|status| status.message);
        if let Some(message) = message {
            say!("  {} failed: {message}", stage.label);
        }
    }
}

fn origins(provenance: &Provenance) {
    say!("\nprovenance");
    let mut rows: Vec<[String; 2]> = Vec::new();
    let mut row = |name: &str, value: String| rows.push([name.to_owned(), value]);
    for build in &provenance.builds {
        row("dpo-lab", build.name());
    }
    for device in provenance.devices() {
        row("device", device);
    }
    row("seeds", format!("study {}, run {}", provenance.seeds[0], provenance.seeds[1]));
    for datum in &provenance.data {
        row("data", format!("{} {}", datum.name, datum.blake3.as_deref().unwrap_or("(part of dpo-lab)")));
    }
    for source in &provenance.sources {
        row("source", source.clone());
    }
    row(
        "time",
        format!("{:.1} s its own stages, {:.1} s with those it shares", provenance.seconds(true), provenance.seconds(false)),
    );
    let memory = provenance.peak_memory().map(|bytes| format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20)));
    row("peak memory", memory.unwrap_or_else(|| "unknown".to_owned()));
    let energy = provenance.energy(false).map(|joules| format!("{joules:.0} J of the whole machine, all stages"));
    row("energy", energy.unwrap_or_else(|| "unknown".to_owned()));
    for build in &provenance.builds {
        let direct: Vec<String> = build.direct().iter().map(|(name, version)| format!("{name} {version}")).collect();
        if !direct.is_empty() {
            row("packages", format!("{}; {} in all: --json", direct.join(", "), build.packages.len()));
        }
    }
    print(2, &rows);
}
