//! From a prepared study to its finished stages and its report.

use super::bill;
use super::cluster::Slurm;
use super::drawn::{draw, is_drawn, keeps_old_tables, standing, statuses};
use super::estimate;
use super::keep;
use super::study::{Prepared, Redo, redo, save_plan};
use super::{Execution, StudyArguments, Voice};
use crate::error::{Exit, Result};
use crate::exec::slurm::Ended;
use crate::exec::{self, Interrupts, Local, Memory, Outcome, Progress, Schedule, Slots, Verbosity};
use crate::machine::{self, device};
use crate::plan::Stage;
use crate::plan::cost::Ahead;
use crate::report;
use crate::store::{Key, State, Store};
use crate::tracking::{Follower, Trackers};
use std::collections::HashSet;
use std::time::Instant;

/// How stages are run.
pub(super) struct Executor<'a> {
    study: &'a StudyArguments,
    execution: Execution,
    verbosity: Verbosity,
    interrupts: &'a Interrupts,
    /// Where stages are handed over instead.
    slurm: Option<&'a Slurm>,
}

/// How the stages of a study ended.
enum Ran {
    /// Everything that could run has, or this error ended it.
    Here(Result<()>),
    /// Others go on with it, and draw its tables.
    Elsewhere(Exit),
}

impl<'a> Executor<'a> {
    /// As somebody typed it.
    pub fn new(study: &'a StudyArguments, execution: Execution, voice: Voice, interrupts: &'a Interrupts) -> Self {
        Executor { study, execution, verbosity: voice.verbosity(), interrupts, slurm: None }
    }

    /// The same, with stages handed over to a cluster where there is one.
    pub fn on(self, slurm: Option<&'a Slurm>) -> Self {
        Executor { slurm, ..self }
    }

    /// Runs the wanted stages of a study that are not in the store, and draws its report.
    pub fn run(&self, prepared: &Prepared, store: &Store, wanted: &[&Stage]) -> Result<Exit> {
        let began = Instant::now();
        if self.slurm.is_none() {
            // A cluster's nodes have what the machine that people log in to may lack.
            prepared.devices.iter().try_for_each(|name| device::check(name))?;
        }
        bill::check(prepared, store, wanted)?;
        save_plan(prepared)?;
        let slots = Slots::new(&prepared.devices, self.execution.jobs.map(|jobs| jobs as usize), exec::cores());
        let mut schedule = self.schedule(prepared, store, wanted, slots.count())?;
        let pending = schedule.count(|outcome| *outcome == Outcome::Pending);
        let up_to_date = pending == 0 && is_drawn(prepared, &schedule, store);
        let (name, stages) = (&prepared.study.name, schedule.stages().len());
        if let Some(why) = prepared.no_gpu.as_ref().filter(|_| pending > 0) {
            self.tell(&format!("on the CPU: {why}"));
        }
        if up_to_date {
            self.tell(&format!("{name}: nothing to do, all {stages} stages are in the store"));
        } else if pending > 0 {
            self.tell(&format!("{name}: {pending} of {stages} stages to run"));
            // `show` can tell of a run before it is finished.
            report::write_provenance(&prepared.study, &prepared.plan, &prepared.to_save(), store, &prepared.folder)?;
        }
        let mut progress = Progress::new(name, pending, self.verbosity);
        let say = Box::new(progress.speaker());
        let follower = Trackers::new(&prepared.study, &prepared.plan, store, prepared.folder.clone(), say).map(Follower::start);
        let ran = match self.stages(prepared, store, slots, &mut schedule, &mut progress, follower.as_ref())? {
            Ran::Here(ran) => ran,
            Ran::Elsewhere(exit) => return Ok(exit),
        };
        let trackers = follower.and_then(Follower::stop);
        let drawn = if up_to_date {
            Ok(())
        } else if ran.is_err() && keeps_old_tables(prepared, store) {
            tell!("{name}: no result yet; tables and figures are those of before");
            Ok(())
        } else {
            let quiet = self.verbosity == Verbosity::Quiet;
            draw(prepared, &schedule, store, quiet).and_then(|written| keep::thin(prepared, store, &written.best, quiet))
        };
        if let Some(trackers) = trackers {
            let statuses = statuses(prepared, &schedule);
            trackers.finish(|run| statuses.get(run).map(|status| standing(status)));
        }
        ran?;
        let failed = tell_failures(&schedule);
        if pending > 0 {
            self.tell(&format!("{name}: {:.1} s", began.elapsed().as_secs_f64()));
        }
        match drawn {
            Ok(()) => Ok(if failed { Exit::StagesFailed } else { Exit::Done }),
            // What stops the stages, a full disk for one, often stops the report too; the stages are what counts.
            Err(error) if failed => {
                tell!("error: {error}");
                Ok(Exit::StagesFailed)
            }
            Err(error) => Err(error),
        }
    }

    /// What there is to do, in which order, and what each stage will need.
    fn schedule(&self, prepared: &Prepared, store: &Store, wanted: &[&Stage], jobs: usize) -> Result<Schedule> {
        let there = self.clear_the_way(wanted, store)?;
        let selected: HashSet<&Key> = wanted.iter().map(|stage| &stage.key).collect();
        let cached = |key: &Key| there.contains(key) || !selected.contains(key) && store.state(key) == State::Present;
        let mut schedule = Schedule::new(prepared.plan.stages.clone(), cached);
        schedule.leave_out(|stage| !selected.contains(&stage.key));
        if schedule.count(|outcome| *outcome == Outcome::Pending) > 0 {
            schedule = schedule.with_costs(estimate::of(prepared, store, Ahead { jobs, cores: exec::cores() }));
        }
        Ok(schedule)
    }

    /// Runs what is pending here, or hands it over.
    fn stages(
        &self,
        prepared: &Prepared,
        store: &Store,
        slots: Slots,
        schedule: &mut Schedule,
        progress: &mut Progress,
        follower: Option<&Follower>,
    ) -> Result<Ran> {
        let results = &self.study.results.results;
        let ran = match self.slurm {
            None => {
                let local = Local {
                    store,
                    results,
                    memory: memory(&prepared.devices),
                    slots,
                    checkpoint_every: self.execution.checkpoint_minutes,
                    interrupts: self.interrupts,
                    finished: &mut |stage| follower.iter().for_each(|follower| follower.finished(&stage.key)),
                };
                Ran::Here(exec::run(local, schedule, progress))
            }
            Some(slurm) => {
                let ended = slurm.run(prepared, results, schedule, store, progress, self.interrupts);
                match ended.inspect_err(|_| progress.end())? {
                    Ended::Finished => Ran::Here(Ok(())),
                    Ended::Detached => return Ok(Ran::Elsewhere(Exit::Done)),
                    Ended::Interrupted => return Ok(Ran::Elsewhere(Exit::Interrupted)),
                }
            }
        };
        progress.end();
        Ok(ran)
    }

    /// Moves aside what is corrupt, what `--force` names, and what lacks weights that are needed again. Returns what is there.
    fn clear_the_way<'b>(&self, stages: &[&'b Stage], store: &Store) -> Result<HashSet<&'b Key>> {
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
                    let aside = store.set_aside(&stage.key)?.display().to_string();
                    self.tell(&format!("{}: {why}; moved aside to {aside}, and it will be made again", stage.label));
                }
            }
        }
        Ok(there)
    }

    fn tell(&self, text: &str) {
        if self.verbosity > Verbosity::Quiet {
            tell!("{text}");
        }
    }
}

/// Says why stages failed; returns whether any did.
/// What workers may take: of the machine together, or each of its GPU, of which the fullest counts.
fn memory(devices: &[String]) -> Memory {
    if devices.iter().any(|device| device == "cpu") {
        return Memory::Together(machine::available_memory());
    }
    Memory::Each(devices.iter().filter_map(|device| device::memory(device)).map(|[_, free]| free).min())
}

fn tell_failures(schedule: &Schedule) -> bool {
    let mut any = false;
    for stage in schedule.stages() {
        if let Outcome::Failed(message) = schedule.outcome(&stage.key) {
            any = true;
            tell!("failed: {message}");
        }
    }
    any
}
