//! What the verbs share: from a file's path to a study, its plan, and its folder.

use super::StudyArguments;
use crate::error::{Doing, Error, Result};
use crate::machine::device;
use crate::models::BUILTIN_SIZES;
use crate::models::chat::ChatTemplate;
use crate::models::hf;
use crate::models::lora::Module;
use crate::plan::{self, Kind, Plan, Saved, SavedStage, Stage};
use crate::resolve::{self, BaseModel, Fetch, Resolved};
use crate::spec::{self, Loaded, Run, Study, Task};
use crate::store::{Key, State, Store, write_atomically};
use rayon::prelude::*;
use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};

/// A study that is ready to be planned or run.
pub struct Prepared {
    /// The study.
    pub study: Study,
    /// Names of the runs that `--only` leaves to do; tables and figures are always of the whole study.
    pub selected: BTreeSet<String>,
    /// The kind of stage that ends what is to do.
    pub until: Option<Kind>,
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
    /// Why these are no GPUs, where nobody named a device and that is worth a word.
    pub no_gpu: Option<String>,
    /// The experiment file as seen from that folder.
    pub experiment: String,
    /// `--set` overrides.
    pub overrides: Vec<String>,
}

/// Reads, resolves and plans.
pub fn prepare(file: &Path, arguments: &StudyArguments, fetch: Fetch<'_>) -> Result<Prepared> {
    let (devices, no_gpu) = devices(arguments.device.as_deref())?;
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
    if let BaseModel::Folder(model) = &resolved.model {
        check_length(&loaded, &model.path)?;
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
    let (saved, until) = (read_saved(&folder), arguments.until);
    Ok(Prepared { saved, study, selected, until, resolved, plan, folder, devices, no_gpu, experiment, overrides })
}

/// Fails where the longest texts that a study allows have more positions than its pretrained model knows.
fn check_length(loaded: &Loaded, model: &Path) -> Result<()> {
    let (study, config) = (&loaded.study, hf::config(model)?);
    let [prompt, completion] = study.task.longest();
    let most = prompt + completion.max(study.evaluation.max_new_tokens);
    let lengths = [(format!("task.{}", study.task.name()), most), ("sft.max_tokens".to_owned(), study.sft.size.max_tokens)];
    for (key, tokens) in lengths {
        if config.check_length(tokens).is_err() {
            let what = format!("texts may have {tokens} tokens, and the model knows {} positions", config.context);
            return Err(loaded.mistake(&key, what, "lower the longest prompt or completion, or take a model that reads more"));
        }
    }
    Ok(())
}

/// `file` as seen from a study's folder, so that both can move together and no path says whose machine this was.
fn from_folder(file: &Path, folder: &Path) -> PathBuf {
    let relative = || pathdiff::diff_paths(std::path::absolute(file).ok()?, std::path::absolute(folder).ok()?);
    relative().unwrap_or_else(|| file.to_owned())
}

/// The devices that somebody named, or what is best here, and why that is no GPU.
fn devices(named: Option<&str>) -> Result<(Vec<String>, Option<String>)> {
    let Some(named) = named else {
        let (best, no_gpu) = device::default();
        return Ok((vec![best], no_gpu));
    };
    let devices = crate::exec::devices(named).ok_or_else(|| device::unknown(named))?;
    Ok((devices, None))
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

    /// Stages that the selected runs need, and where these are all, that the report has beside them; up to `until`. They are in the
    /// plan's order.
    pub fn wanted(&self) -> Vec<&Stage> {
        let selected = |run: &&plan::RunPlan| self.selected.contains(&run.name);
        let all = self.plan.runs.iter().all(|run| selected(&run));
        let beside = self.plan.beside_runs.iter().filter(|_| all);
        let needed: HashSet<&Key> = self.plan.runs.iter().filter(selected).flat_map(|run| &run.needs).chain(beside).collect();
        let stages: Vec<&Stage> = self.plan.stages.iter().filter(|stage| needed.contains(&stage.key)).collect();
        let Some(until) = self.until else { return stages };
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

/// Every wanted stage, and why it would run if it would, in the plan's order.
pub fn reasons<'a>(prepared: &'a Prepared, store: &Store, force: &[Kind]) -> Vec<(&'a Stage, Option<String>)> {
    let stages = prepared.wanted();
    let redo = redo(&stages, store, |stage| force.contains(&stage.work.kind()));
    let before = prepared.saved.as_ref().map(Saved::by_label).unwrap_or_default();
    let why = |stage: &Stage, redo: &Redo| match redo {
        Redo::No => None,
        Redo::Absent => Some(plan::changes(stage, before.get(stage.label.as_str()).copied())),
        Redo::Corrupt(reason) => Some(format!("redone: {reason}")),
        Redo::Forced => Some("forced".to_owned()),
        Redo::Thinned => Some("its weights were not kept, and are needed again".to_owned()),
    };
    stages.into_iter().zip(redo).map(|(stage, redo)| (stage, why(stage, &redo))).collect()
}
