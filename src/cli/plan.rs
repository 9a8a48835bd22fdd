//! `dpo-lab plan`

use super::StudyArguments;
use super::bill::{Bill, bills};
use super::estimate;
use super::forecast::{Forecast, Row, Totals};
use super::study::{Prepared, prepare, reasons};
use super::units::{bytes, fitted, short, time};
use crate::error::{Exit, Result};
use crate::exec::{self, Slots};
use crate::machine::{Machine, device};
use crate::plan::cost::Ahead;
use crate::resolve::Fetch;
use crate::store::{Key, Store};
use clap::Args;
use std::path::PathBuf;

/// Columns of a terminal that every line fits.
const WIDTH: usize = 120;
/// Columns of a stage's name.
const NAME: usize = 46;

#[derive(Debug, Args)]
pub(super) struct Plan {
    /// Experiment file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    study: StudyArguments,
    /// Stages at once, as for `run`; one for each core, or each GPU, unless given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    jobs: Option<u32>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

impl Plan {
    pub(super) fn run(self) -> Result<Exit> {
        let prepared = prepare(&self.file, &self.study, Fetch::No)?;
        let store = Store::open(&self.study.results.results)?;
        let slots = Slots::new(&prepared.devices, self.jobs.map(|jobs| jobs as usize), exec::cores());
        let ahead = Ahead { jobs: slots.count(), cores: exec::cores() };
        let costs = estimate::of(&prepared, &store, ahead);
        let rates = estimate::rates(&prepared, &store, &costs);
        let reasons = reasons(&prepared, &store, &self.study.force);
        let left = estimate::left(&store);
        let share = |key: &Key| left.get(key).copied().unwrap_or(1.0);
        let forecast = Forecast::of(&prepared, reasons, &costs, &rates, ahead, share);
        let bills = bills(&prepared, &store, &prepared.wanted())?;
        // Each GPU runs one stage; on the CPU all share what the machine has.
        let gpu = prepared.devices.iter().filter_map(|device| device::memory(device)).map(|[all, _]| all).min();
        let memory = gpu.or_else(|| Machine::this().memory).map(|bytes| bytes as f64);
        if self.json {
            let plan = serde_json::json!({
                "study": prepared.study.name, "runs": prepared.selected, "stages": forecast.rows.iter().map(Row::json).collect::<Vec<_>>(),
                "to_run": forecast.totals.stages, "worker_seconds": forecast.totals.complete.then_some(forecast.totals.work),
                "totals": forecast.totals.json(memory), "unresolved": prepared.resolved.unresolved(),
                "judges": bills.iter().map(Bill::json).collect::<Vec<_>>(), "resolvable_win_rate_difference": resolvable(&prepared),
            });
            say!("{plan:#}");
            return Ok(Exit::Done);
        }
        print_rows(&forecast.rows);
        let (stages, totals) = (forecast.rows.len(), &forecast.totals);
        say!(
            "\n{}: {} runs, {stages} stages, {} cached, {} to run",
            prepared.study.name,
            prepared.selected.len(),
            stages - totals.stages,
            totals.stages
        );
        if totals.stages > 0 {
            print_totals(totals, memory, gpu.is_some());
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

/// One line a stage; a reason that is too long for it stands below.
fn print_rows(rows: &[Row]) {
    let name = rows.iter().map(|row| row.label.chars().count()).max().unwrap_or(0).clamp("stage".len(), NAME);
    let header = ["tokens", "FLOPs", "time", "memory", "disk"];
    let line = |key: &str, label: &str, cells: [String; 5]| {
        let [tokens, flops, time, memory, disk] = cells;
        format!("{key:<8}  {:<name$}  {tokens:>6}  {flops:>6}  {time:>7}  {memory:>7}  {disk:>7}", fitted(label, name))
    };
    say!("{}", line("key", "stage", header.map(str::to_owned)));
    for row in rows {
        let none = |number: f64| if number > 0.0 { short(number) } else { String::new() };
        let takes = match (&row.why, row.seconds) {
            (None, _) => String::new(),
            (Some(_), Some(seconds)) => time(seconds),
            (Some(_), None) => "unknown".to_owned(),
        };
        let cost = &row.cost;
        let cells = [none(cost.tokens), none(cost.flops), takes, bytes(cost.peak_memory as f64), bytes(cost.disk as f64)];
        let line = line(&row.key, &row.label, cells);
        let rest = if row.left < 1.0 { format!("{:.0}% left; ", 100.0 * row.left) } else { String::new() };
        let state = row.why.as_ref().map_or("cached".to_owned(), |why| format!("will run: {rest}{why}"));
        if line.chars().count() + 2 + state.chars().count() <= WIDTH {
            say!("{line}  {state}");
        } else {
            say!("{line}");
            wrapped(&state, WIDTH - 10).iter().for_each(|part| say!("{:10}{part}", ""));
        }
    }
}

/// Lines of whole words, where these are no longer than a line.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn print_totals(totals: &Totals, memory: Option<f64>, on_gpu: bool) {
    say!("{} tokens, {} floating-point operations", short(totals.tokens), short(totals.flops));
    let (wall, work) = (time(totals.wall), time(totals.work));
    let jobs = totals.jobs;
    if totals.complete {
        say!("about {wall} with --jobs {jobs}, {work} of work in all, by what such stages took here before");
    } else if totals.work > 0.0 {
        say!("at least {wall} with --jobs {jobs}, {work} of work in all: some kinds of stages were never run here");
    } else {
        say!("time unknown: some kinds of stages were never run here");
    }
    say!("{} of disk", bytes(totals.disk));
    let largest = format!("{} of memory for the largest stage", bytes(totals.peak_memory));
    let (needs, has) = match on_gpu {
        true => (largest, "the GPU has"),
        false => (format!("{largest}, {} for {jobs} at once", bytes(totals.at_once)), "this machine has"),
    };
    match memory {
        Some(all) if totals.peak_memory > all => {
            let all = bytes(all);
            say!(
                "warning: {needs}, and {has} {all}: lower batches, raise gradient_accumulation_steps, or set gradient_checkpointing"
            );
        }
        Some(all) if totals.at_once > all && !on_gpu => {
            say!("warning: {needs}, and this machine has {}: lower --jobs", bytes(all))
        }
        Some(all) => say!("{needs}, of {}", bytes(all)),
        None => say!("{needs}"),
    }
}

/// The difference of a win rate from 1/2 that the study's prompts can resolve; nothing without judges.
fn resolvable(prepared: &Prepared) -> Option<f64> {
    // A score of 0 or 1 deviates by 1/2, and one with ties by less.
    (!prepared.study.judges.is_empty()).then(|| crate::stats::resolvable(prepared.study.evaluation.prompts, 0.5))
}
