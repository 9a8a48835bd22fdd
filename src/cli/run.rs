//! `dpo-lab run`

use super::bill;
use super::cluster::{Cluster, Slurm};
use super::estimate;
use super::keep;
use super::model::downloads;
use super::study::{Prepared, Redo, prepare, redo, save_plan};
use super::{Execution, StudyArguments, Voice};
use crate::error::{Error, Exit, Result};
use crate::exec::slurm::Ended;
use crate::exec::{self, Interrupts, Local, Outcome, Progress, Schedule, Slots, Verbosity};
use crate::judges::Subject;
use crate::machine;
use crate::plan::cost::Ahead;
use crate::plan::{RunPlan, Stage};
use crate::report::{self, Written};
use crate::resolve::Fetch;
use crate::spec::Judge;
use crate::store::{Key, State, Store};
use crate::tracking::{Follower, Standing, Trackers};
use clap::Args;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::time::Instant;

#[derive(Debug, Args)]
pub(super) struct Run {
    /// Experiment files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    study: StudyArguments,
    #[command(flatten)]
    execution: Execution,
    #[command(flatten)]
    cluster: Cluster,
    #[command(flatten)]
    voice: Voice,
}

impl Run {
    pub(super) fn run(self) -> Result<Exit> {
        let slurm = self.cluster.slurm(self.execution)?;
        // All files are checked before the first of them starts.
        let mut bars = downloads();
        let mut prepared = Vec::new();
        for file in &self.files {
            let fetch = if self.study.offline { Fetch::No } else { Fetch::Yes(&mut bars) };
            prepared.push(prepare(file, &self.study, fetch)?);
        }
        for study in &prepared {
            if let Some(why) = study.resolved.unresolved() {
                return Err(Error::Usage(format!("error: {why}")));
            }
        }
        let interrupts = Interrupts::listen()?;
        let store = Store::open(&self.study.results.results)?;
        let mut worst = Exit::Done;
        for study in &prepared {
            let wanted = self.wanted(study);
            let mut executor = Executor::new(&self.study, self.execution, self.voice, &interrupts);
            executor.slurm = slurm.as_ref();
            match executor.run(study, &store, &wanted)? {
                Exit::StagesFailed => worst = Exit::StagesFailed,
                Exit::Interrupted => return Ok(Exit::Interrupted),
                _ => {}
            }
        }
        Ok(worst)
    }

    /// Stages of the selected runs, up to `--until`; they come in an order in which inputs stand before what reads them.
    fn wanted<'a>(&self, prepared: &'a Prepared) -> Vec<&'a Stage> {
        let selected = prepared.wanted();
        let stages: Vec<&Stage> = prepared.plan.stages.iter().filter(|stage| selected.contains(&stage.key)).collect();
        let Some(until) = self.study.until else { return stages };
        let mut wanted: HashSet<&Key> =
            stages.iter().filter(|stage| stage.work.kind() == until).map(|stage| &stage.key).collect();
        for stage in stages.iter().rev() {
            if wanted.contains(&stage.key) {
                wanted.extend(stage.inputs.values());
            }
        }
        stages.into_iter().filter(|stage| wanted.contains(&stage.key)).collect()
    }
}

/// How stages are run.
pub(super) struct Executor<'a> {
    study: &'a StudyArguments,
    execution: Execution,
    verbosity: Verbosity,
    interrupts: &'a Interrupts,
    /// Where stages are handed over instead.
    slurm: Option<&'a Slurm>,
}

impl<'a> Executor<'a> {
    /// As somebody typed it.
    pub fn new(study: &'a StudyArguments, execution: Execution, voice: Voice, interrupts: &'a Interrupts) -> Self {
        Executor { study, execution, verbosity: voice.verbosity(), interrupts, slurm: None }
    }

    /// Runs the wanted stages of a study that are not in the store, and draws its report.
    pub fn run(&self, prepared: &Prepared, store: &Store, wanted: &[&Stage]) -> Result<Exit> {
        let began = Instant::now();
        bill::check(prepared, store, wanted)?;
        save_plan(prepared)?;
        let name = &prepared.study.name;
        let verbosity = self.verbosity;
        let quiet = verbosity == Verbosity::Quiet;
        let there = self.clear_the_way(wanted, store, quiet)?;
        let selected: HashSet<&Key> = wanted.iter().map(|stage| &stage.key).collect();
        let cached = |key: &Key| there.contains(key) || !selected.contains(key) && store.state(key) == State::Present;
        let mut schedule = Schedule::new(prepared.plan.stages.clone(), cached);
        schedule.leave_out(|stage| !selected.contains(&stage.key));
        let pending = schedule.count(|outcome| *outcome == Outcome::Pending);
        let slots = Slots::new(&prepared.devices, self.execution.jobs.map(|jobs| jobs as usize), exec::cores());
        if pending > 0 {
            let ahead = Ahead { jobs: slots.count(), cores: exec::cores() };
            schedule = schedule.with_costs(estimate::of(prepared, store, ahead));
        }
        let up_to_date = pending == 0 && prepared.folder.join("report.html").exists() && is_drawn(prepared, &schedule, store);
        if up_to_date {
            if !quiet {
                tell!("{name}: nothing to do, all {} stages are in the store", schedule.stages().len());
            }
        } else if pending > 0 && !quiet {
            tell!("{name}: {} of {} stages to run", pending, schedule.stages().len());
        }
        if pending > 0 {
            // `show` can tell of a run before it is finished.
            report::write_provenance(&prepared.study, &prepared.plan, &prepared.to_save(), store, &prepared.folder)?;
        }
        let mut progress = Progress::new(name, pending, verbosity);
        let say = Box::new(progress.speaker());
        let trackers = Trackers::new(&prepared.study, &prepared.plan, store, prepared.folder.clone(), say);
        let follower = trackers.map(Follower::start);
        let local = Local {
            store,
            results: &self.study.results.results,
            memory: machine::available_memory(),
            slots,
            checkpoint_every: self.execution.checkpoint_minutes,
            interrupts: self.interrupts,
            finished: &mut |stage| follower.iter().for_each(|follower| follower.finished(&stage.key)),
        };
        let ran = match self.slurm {
            None => exec::run(local, &mut schedule, &mut progress),
            Some(slurm) => {
                let results = &self.study.results.results;
                let ended = slurm.run(prepared, results, &mut schedule, store, &mut progress, self.interrupts);
                match ended.inspect_err(|_| progress.end())? {
                    Ended::Finished => Ok(()),
                    Ended::Detached => return Ok(Exit::Done),
                    Ended::Interrupted => return Ok(Exit::Interrupted),
                }
            }
        };
        progress.end();
        let trackers = follower.and_then(Follower::stop);
        let drawn = if up_to_date {
            Ok(())
        } else if ran.is_err() && keeps_old_tables(prepared, store) {
            tell!("{name}: no result yet; tables and figures are those of before");
            Ok(())
        } else {
            draw(prepared, &schedule, store, quiet).and_then(|written| keep::thin(prepared, store, &written.best, quiet))
        };
        if let Some(trackers) = trackers {
            let statuses = statuses(prepared, &schedule);
            trackers.finish(|run| statuses.get(run).map(|status| standing(status)));
        }
        ran?;
        let failed: Vec<(&Stage, &Outcome)> = schedule
            .stages()
            .iter()
            .map(|stage| (stage, schedule.outcome(&stage.key)))
            .filter(|(_, outcome)| matches!(outcome, Outcome::Failed(_)))
            .collect();
        for (_, outcome) in &failed {
            if let Outcome::Failed(message) = outcome {
                tell!("failed: {message}");
            }
        }
        if !quiet && pending > 0 {
            tell!("{name}: {:.1} s", began.elapsed().as_secs_f64());
        }
        match drawn {
            Ok(()) => Ok(if failed.is_empty() { Exit::Done } else { Exit::StagesFailed }),
            // What stops the stages, a full disk for one, often stops the report too; the stages are what counts.
            Err(error) if !failed.is_empty() => {
                tell!("error: {error}");
                Ok(Exit::StagesFailed)
            }
            Err(error) => Err(error),
        }
    }

    /// Moves aside what is corrupt, what `--force` names, and what lacks weights that are needed again. Returns what is there.
    fn clear_the_way<'b>(&self, stages: &[&'b Stage], store: &Store, quiet: bool) -> Result<HashSet<&'b Key>> {
        let force = |stage: &Stage| self.study.force.contains(&stage.work.kind());
        let mut there = HashSet::new();
        for (stage, redo) in stages.iter().zip(redo(stages, store, force)) {
            match redo {
                Redo::No => {
                    there.insert(&stage.key);
                }
                Redo::Absent => {}
                Redo::Forced | Redo::Thinned => {
                    store.set_aside(&stage.key)?;
                }
                Redo::Corrupt(why) => {
                    let aside = store.set_aside(&stage.key)?;
                    if !quiet {
                        tell!("{}: {why}; moved aside to {}, and it will be made again", stage.label, aside.display());
                    }
                }
            }
        }
        Ok(there)
    }
}

/// Whether the report was drawn from this very plan, and from as much of it as the store has now.
fn is_drawn(prepared: &Prepared, schedule: &Schedule, store: &Store) -> bool {
    std::fs::read_to_string(stamp_path(prepared)).is_ok_and(|stamp| stamp == plan_digest(prepared, schedule, store))
}

/// Whether there are tables, and a report of this plan would have nothing to put in their place.
fn keeps_old_tables(prepared: &Prepared, store: &Store) -> bool {
    let mut evaluations = prepared.plan.runs.iter().flat_map(|run| &run.evaluations);
    let mut judged = prepared.plan.runs.iter().flat_map(|run| &run.judged);
    let nothing = evaluations.all(|(.., key)| store.state(key) != State::Present)
        && judged.all(|judged| store.state(&judged.key) != State::Present);
    prepared.folder.join("frontier.csv").exists() && nothing
}

/// Writes tables, figures and the page from what the store has, and prints the table of runs.
fn draw(prepared: &Prepared, schedule: &Schedule, store: &Store, quiet: bool) -> Result<Written> {
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

/// What the report depends on: keys of all stages and whether they are there, names of runs and judges, what is known of judges, and this version's drawing.
fn plan_digest(prepared: &Prepared, schedule: &Schedule, store: &Store) -> String {
    let is_there = |key: &Key| matches!(schedule.outcome(key), Outcome::Cached | Outcome::Done);
    let keys: Vec<(&str, bool)> = prepared.plan.stages.iter().map(|stage| (stage.key.0.as_str(), is_there(&stage.key))).collect();
    let runs: Vec<&str> = prepared.study.runs.iter().map(|run| run.name.as_str()).collect();
    let calibration = |judge: &Judge| {
        Subject::ALL.map(|subject| std::fs::read(store.judges().join(report::calibration_file(&judge.kind, subject))).ok())
    };
    let judges: Vec<_> = prepared.study.judges.iter().map(|judge| (&judge.name, calibration(judge))).collect();
    let values = format!(
        "{keys:?} {runs:?} {judges:?} {:?} {:?} {}",
        prepared.study.evaluation,
        prepared.study.deviations,
        env!("CARGO_PKG_VERSION")
    );
    blake3::hash(values.as_bytes()).to_hex().to_string()
}

fn stamp(prepared: &Prepared, schedule: &Schedule, store: &Store) -> Result<()> {
    crate::store::write_atomically(&stamp_path(prepared), plan_digest(prepared, schedule, store).as_bytes())
}

/// Every run's status in runs.csv.
fn statuses<'a>(prepared: &'a Prepared, schedule: &Schedule) -> HashMap<&'a str, &'static str> {
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
fn standing(status: &str) -> Standing {
    match status {
        "done" | "cached" => Standing::Finished,
        "failed" | "skipped" => Standing::Failed,
        _ => Standing::Killed,
    }
}

fn print_table(prepared: &Prepared, written: &Written, status: &dyn Fn(&str) -> String) {
    let width = prepared.study.runs.iter().map(|run| run.name.len()).max().unwrap_or(3);
    say!("{:width$}  {:9}  {:>6}  {:>13}  {:>12}", "run", "status", "step", "true reward", "KL (nats)");
    for run in &prepared.study.runs {
        let row = written.last.iter().find(|row| row.run == run.name);
        let (step, reward, kl) = row.map_or_else(Default::default, |row| {
            let with_error =
                |mean: f64, se: f64| if mean.is_nan() { "unknown".to_owned() } else { format!("{mean:.3} ± {se:.3}") };
            (row.step.to_string(), with_error(row.reward_mean, row.reward_se), format!("{:.2} ± {:.2}", row.kl_mean, row.kl_se))
        });
        say!("{:width$}  {:9}  {step:>6}  {reward:>13}  {kl:>12}", run.name, status(&run.name));
    }
    print_win_rates(written, width);
    say!();
    for path in written.figures.iter().filter(|path| path.extension().is_some_and(|extension| extension == "png")) {
        say!("{}", path.display());
    }
    say!("{}", written.page.display());
}

/// Win rates of every run's last checkpoint over temperature, by the first judge against the first baseline; winrate.csv has all.
fn print_win_rates(written: &Written, width: usize) {
    let Some(first) = written.win_rates.first() else { return };
    let (judge, baseline, task) = (&first.judge, &first.baseline, &first.task);
    let rows: Vec<_> =
        written.win_rates.iter().filter(|row| (&row.judge, &row.baseline, &row.task) == (judge, baseline, task)).collect();
    let mut temperatures: Vec<f64> = rows.iter().map(|row| row.temperature).collect();
    temperatures.sort_by(f64::total_cmp);
    temperatures.dedup();
    say!("\nwin rate against {baseline}, judged by {judge}, at temperature:");
    let header: String = temperatures.iter().map(|temperature| format!("  {temperature:>11}")).collect();
    say!("{:width$}{header}", "run");
    let mut runs: Vec<&str> = rows.iter().map(|row| row.run.as_str()).collect();
    runs.dedup();
    for run in runs {
        let last = rows.iter().filter(|row| row.run == run).map(|row| row.step).max();
        let cell = |temperature: &f64| {
            let at = rows.iter().find(|row| row.run == run && row.temperature == *temperature && Some(row.step) == last);
            let text = at.map(|row| format!("{:.2} ± {:.2}", row.win_rate, (row.ci_high - row.ci_low) / 2.0)).unwrap_or_default();
            format!("  {text:>11}")
        };
        say!("{run:width$}{}", temperatures.iter().map(cell).collect::<String>());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
