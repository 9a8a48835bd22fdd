//! What the verbs share: from a file's path to a study, its plan, and its folder.

use super::StudyArguments;
use crate::error::{Doing, Error, Result};
use crate::models::BUILTIN_SIZES;
use crate::models::chat::ChatTemplate;
use crate::models::lora::Module;
use crate::plan::{self, Kind, Plan, Saved, SavedStage, Stage};
use crate::resolve::{self, BaseModel, Fetch, Resolved};
use crate::spec::{self, Run, Study, Task};
use crate::store::{Key, State, Store, write_atomically};
use burn::tensor::Device;
use rayon::prelude::*;
use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};

/// A study that is ready to be planned or run.
pub struct Prepared {
    /// The study.
    pub study: Study,
    /// Names of the runs that `--only` leaves to do; tables and figures are always of the whole study.
    pub selected: BTreeSet<String>,
    /// Its data and its model.
    pub resolved: Resolved,
    /// Its graph.
    pub plan: Plan,
    /// results/NAME
    pub folder: PathBuf,
    /// The plan of the last run, if any.
    pub saved: Option<Saved>,
    /// Devices that stages are spread over.
    pub devices: Vec<String>,
    /// The experiment file as seen from that folder.
    pub experiment: String,
    /// `--set` overrides.
    pub overrides: Vec<String>,
}

/// Reads, resolves and plans.
pub fn prepare(file: &Path, arguments: &StudyArguments, fetch: Fetch<'_>) -> Result<Prepared> {
    let devices = crate::exec::devices(&arguments.device).ok_or_else(|| no_device(&arguments.device))?;
    devices.iter().try_for_each(|name| device(name).map(|_| ())).map_err(|_| no_device(&arguments.device))?;
    let loaded = spec::load(file, &arguments.set)?;
    // Paths in a file are relative to the file, paths in --set to the working folder.
    let base = |key: &str| {
        let keys = arguments.set.iter().filter_map(|text| Some(text.split_once('=')?.0.trim()));
        let from_set = keys.into_iter().any(|set| key == set || key.strip_prefix(set).is_some_and(|rest| rest.starts_with('.')));
        if from_set { PathBuf::from(".") } else { loaded.folder.clone() }
    };
    let resolved = resolve::resolve(&loaded.study, &base, fetch).map_err(|(key, error)| match error {
        Error::Data(what) | Error::Usage(what) => {
            loaded.mistake(&key, what, "paths in a file are relative to it, paths in --set to here")
        }
        other => other,
    })?;
    if let (Task::Dialogue(task), BaseModel::Folder(model)) = (&loaded.study.task, &resolved.model)
        && task.chat
        && ChatTemplate::open(&model.path)?.is_none()
    {
        let what = format!("{} has no chat template", model.path.display());
        return Err(loaded.mistake("task.dialogue.chat", what, "set it to false: prompts are transcripts then"));
    }
    if let Some(lora) = &loaded.study.model.lora {
        let modules = match &resolved.model {
            BaseModel::Builtin(name) => {
                let size = BUILTIN_SIZES.iter().find(|size| name.strip_prefix("builtin:") == Some(size.name));
                size.map(Module::of_builtin)
            }
            BaseModel::Folder(model) => Some(Module::of_folder(&model.path)?),
            BaseModel::Hub(_) => None,
        };
        let chosen = modules.map(|modules| lora.choose(modules)).transpose();
        chosen.map_err(|mistake| loaded.mistake(&format!("model.lora.{}", mistake.key), mistake.what, &mistake.hint))?;
    }
    let mut study = loaded.study;
    // A judge is what its question says, wherever that was written.
    for judge in &mut study.judges {
        if let Some(text) = resolved.templates.get(&judge.name) {
            judge.kind.set_template(text.clone());
        }
    }
    let selected = select(&study, &arguments.only)?;
    let plan = plan::build(&study, &resolved);
    let folder = arguments.results.results.join(&study.name);
    let (experiment, overrides) = (from_folder(file, &folder).display().to_string(), loaded.overrides);
    Ok(Prepared { saved: read_saved(&folder), study, selected, resolved, plan, folder, devices, experiment, overrides })
}

/// `file` as seen from a study's folder, so that both can move together and no path says whose machine this was.
fn from_folder(file: &Path, folder: &Path) -> PathBuf {
    let relative = || pathdiff::diff_paths(std::path::absolute(file).ok()?, std::path::absolute(folder).ok()?);
    relative().unwrap_or_else(|| file.to_owned())
}

/// The device of this name.
pub fn device(device: &str) -> Result<Device> {
    if device == "cpu" { Ok(Device::flex()) } else { Err(no_device(device)) }
}

fn no_device(device: &str) -> Error {
    let hint = if cfg!(feature = "cuda") { "this version trains on the CPU only: use --device cpu" } else { "use --device cpu" };
    Error::Usage(format!("error: this build of dpo-lab has no device `{device}`\nhelp: {hint}"))
}

impl Prepared {
    /// plan.json as a run would write it.
    pub fn to_save(&self) -> Saved {
        Saved {
            study: self.study.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            overrides: self.overrides.clone(),
            experiment: self.experiment.clone(),
            stages: self.plan.stages.iter().map(SavedStage::of).collect(),
            runs: self.study.runs.iter().map(|run| run.name.clone()).collect(),
            sources: self.resolved.sources.clone(),
        }
    }

    /// Keys of the stages that the selected runs need, and where these are all, of what the report has beside them.
    pub fn wanted(&self) -> HashSet<&Key> {
        let selected = |run: &&plan::RunPlan| self.selected.contains(&run.name);
        let all = self.plan.runs.iter().all(|run| selected(&run));
        let beside = self.plan.beside_runs.iter().filter(|_| all);
        self.plan.runs.iter().filter(selected).flat_map(|run| &run.needs).chain(beside).collect()
    }
}

/// Names of the runs that one of the patterns matches, or of all; each pattern has to match one.
fn select(study: &Study, patterns: &[String]) -> Result<BTreeSet<String>> {
    let names = || study.runs.iter().map(|run| run.name.clone());
    if patterns.is_empty() {
        return Ok(names().collect());
    }
    let mut selected = BTreeSet::new();
    for pattern in patterns {
        let glob = glob::Pattern::new(pattern).map_err(|error| Error::Usage(format!("error: --only {pattern}: {error}")))?;
        let matches = |run: &&Run| [&run.name, run.label(), run.method.name()].iter().any(|name| glob.matches(name));
        let matching: Vec<String> = study.runs.iter().filter(matches).map(|run| run.name.clone()).collect();
        if matching.is_empty() {
            let names: Vec<String> = names().collect();
            return Err(Error::Usage(format!("error: --only {pattern} matches no run\nhelp: the runs are {}", names.join(", "))));
        }
        selected.extend(matching);
    }
    Ok(selected)
}

/// plan.json of a study's folder.
pub fn read_saved(folder: &Path) -> Option<Saved> {
    serde_json::from_slice(&std::fs::read(folder.join("plan.json")).ok()?).ok()
}

/// Writes plan.json, and finds out whether the folder can be written before anything runs.
pub fn save_plan(prepared: &Prepared) -> Result<()> {
    let unusable =
        |error: Error| Error::Usage(format!("error: {error}\nhelp: give a folder that can be written with --results DIR"));
    std::fs::create_dir_all(&prepared.folder).doing("create", &prepared.folder).map_err(unusable)?;
    let json = serde_json::to_vec_pretty(&prepared.to_save()).map_err(Error::other)?;
    write_atomically(&prepared.folder.join("plan.json"), &json).map_err(unusable)
}

/// Whether and why a stage has to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redo {
    /// The store has it.
    No,
    /// The store does not have it.
    Absent,
    /// What the store has is not what was published; the reason.
    Corrupt(String),
    /// `--force` names it.
    Forced,
    /// Its weights were removed, and something that has to be done reads them.
    Thinned,
}

/// What has to be done of stages that come with inputs before what reads them, in the same order.
pub fn redo(stages: &[&Stage], store: &Store, force: impl Fn(&Stage) -> bool) -> Vec<Redo> {
    let mut read: HashSet<&Key> = HashSet::new();
    let states: Vec<State> = stages.par_iter().map(|stage| store.state(&stage.key)).collect();
    let of = |stage: &&Stage, state: State, read: &HashSet<&Key>| match state {
        State::Absent => Redo::Absent,
        State::Corrupt(why) => Redo::Corrupt(why),
        State::Present if force(stage) => Redo::Forced,
        // Only what trains is ever thinned, and only what is read again matters.
        State::Present if read.contains(&stage.key) && stage.work.trains() && store.is_thinned(&stage.key) => Redo::Thinned,
        State::Present => Redo::No,
    };
    let mut all = Vec::with_capacity(stages.len());
    for (stage, state) in stages.iter().zip(states).rev() {
        let redo = of(stage, state, &read);
        if redo != Redo::No {
            read.extend(stage.inputs.values());
        }
        all.push(redo);
    }
    all.reverse();
    all
}

/// Every wanted stage's place in the plan, whether it would run, and why, in the plan's order.
pub fn reasons(prepared: &Prepared, store: &Store, force: &[Kind]) -> Vec<(usize, Redo, Option<String>)> {
    let wanted = prepared.wanted();
    let places: Vec<usize> =
        (0..prepared.plan.stages.len()).filter(|index| wanted.contains(&prepared.plan.stages[*index].key)).collect();
    let stages: Vec<&Stage> = places.iter().map(|index| &prepared.plan.stages[*index]).collect();
    let redo = redo(&stages, store, |stage| force.contains(&stage.work.kind()));
    let before = prepared.saved.as_ref().map(Saved::by_label).unwrap_or_default();
    let why = |stage: &Stage, redo: &Redo| match redo {
        Redo::No => None,
        Redo::Absent => Some(plan::changes(stage, before.get(stage.label.as_str()).copied())),
        Redo::Corrupt(reason) => Some(format!("redone: {reason}")),
        Redo::Forced => Some("forced".to_owned()),
        Redo::Thinned => Some("its weights were not kept, and are needed again".to_owned()),
    };
    places.into_iter().zip(stages).zip(redo).map(|((place, stage), redo)| (place, redo.clone(), why(stage, &redo))).collect()
}
