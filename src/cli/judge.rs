//! `dpo-lab judge`

use super::calibrate;
use super::executor::Executor;
use super::model::downloads;
use super::status::studies;
use super::study::{Prepared, prepare};
use super::{Execution, StudyArguments, Voice};
use crate::error::{Error, Exit, Result};
use crate::exec::Interrupts;
use crate::plan::{Kind, Stage, Work};
use crate::resolve::Fetch;
use crate::spec;
use crate::store::{Key, State, Store};
use clap::Args;
use std::collections::HashSet;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(super) struct Judge {
    /// Study whose completions are judged again; nothing is trained
    #[arg(required_unless_present = "calibrate", conflicts_with = "calibrate")]
    name: Option<String>,
    /// File with [judge.*] tables
    #[arg(long, value_name = "FILE")]
    with: PathBuf,
    /// Instead, measure the judges on labelled pairs: files of comparisons, as HH, or builtin:questions
    #[arg(long, value_name = "DATA", num_args = 1..)]
    calibrate: Vec<String>,
    /// Labelled pairs that are used, at most
    #[arg(long, value_name = "N", default_value_t = 500, requires = "calibrate")]
    pairs: usize,
    #[command(flatten)]
    study: StudyArguments,
    #[command(flatten)]
    execution: Execution,
    #[command(flatten)]
    voice: Voice,
}

impl Judge {
    pub(super) fn run(self) -> Result<Exit> {
        let judges = spec::load_judges(&self.with)?;
        let Some(name) = &self.name else {
            let results = &self.study.results.results;
            return calibrate::run(&judges, &self.with, &self.calibrate, self.pairs, results, self.study.offline);
        };
        let store = Store::open(&self.study.results.results)?;
        let mut found = studies(&self.study.results, std::slice::from_ref(name))?;
        let Some(saved) = found.pop() else { return Ok(Exit::Done) };
        let mut arguments = self.study.clone();
        arguments.set = judges.overrides(&saved.overrides).into_iter().chain(self.study.set.iter().cloned()).collect();
        let file = arguments.results.results.join(&saved.study).join(&saved.experiment);
        let mut bars = downloads();
        let fetch = if self.study.offline { Fetch::No } else { Fetch::Yes(&mut bars) };
        let prepared = prepare(&file, &arguments, fetch)?;
        if let Some(why) = prepared.resolved.unresolved() {
            return Err(Error::Usage(format!("error: {why}")));
        }
        let wanted = judgeable(&prepared, &store)?;
        let interrupts = Interrupts::listen()?;
        Executor::new(&self.study, self.execution, self.voice, &interrupts).run(&prepared, &store, &wanted)
    }
}

/// Stages of judges whose completions are in the store, with the judges' own models and baselines that are not drawn yet; nothing that
/// would train.
fn judgeable<'a>(prepared: &'a Prepared, store: &Store) -> Result<Vec<&'a Stage>> {
    let stages = &prepared.plan.stages;
    let there = |stage: &&Stage| store.state(&stage.key) == State::Present;
    let taken_in = |stage: &&Stage| matches!(stage.work, Work::Pretrained {} | Work::PretrainedClassifier {});
    let present = |key: &Key| store.state(key) == State::Present;
    let drawn = |stage: &&Stage| matches!(stage.work, Work::Generate { rival: true, .. }) && stage.inputs.values().all(present);
    let ready: Vec<&Stage> = stages.iter().filter(|stage| there(stage) || taken_in(stage) || drawn(stage)).collect();
    let has_inputs = |stage: &&Stage| stage.inputs.values().all(|key| ready.iter().any(|one| one.key == *key));
    let selected: HashSet<&Key> = prepared.wanted().into_iter().map(|stage| &stage.key).collect();
    let judged: Vec<&Stage> =
        stages.iter().filter(|stage| stage.work.kind() == Kind::Judge && selected.contains(&stage.key)).collect();
    let (can, cannot): (Vec<&Stage>, Vec<&Stage>) = judged.into_iter().partition(has_inputs);
    if can.is_empty() {
        let what = "has no completions in the store that these judges could compare";
        let file = &prepared.experiment;
        return Err(Error::Usage(format!("error: {} {what}\nhelp: dpo-lab run {file} makes them", prepared.study.name)));
    }
    if !cannot.is_empty() {
        tell!("{} checkpoints have no completions in the store, and are left out", cannot.len());
    }
    let needed =
        |stage: &&Stage| can.iter().any(|judge| judge.key == stage.key || judge.inputs.values().any(|key| *key == stage.key));
    Ok(stages.iter().filter(needed).collect())
}
