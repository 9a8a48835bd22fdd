//! provenance.json: how a run came about. What names a machine's user, its folders or itself is left out.

use super::public::{public_overrides, public_text, public_value};
use crate::build_info;
use crate::error::{Doing, Error, Result};
use crate::plan::{Plan, RunPlan, Saved, Stage};
use crate::resolve::Corpus;
use crate::spec::{self, Run, Study};
use crate::store::{Key, Record, Store, write_atomically};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::Path;

/// The file's name in a run's folder.
pub const FILE: &str = "provenance.json";

/// How one run came about.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// Name of the study.
    pub study: String,
    /// Name of the run.
    pub run: String,
    /// Name of the method.
    pub method: String,
    /// Name of the experiment file, without its folder.
    pub experiment: String,
    /// `--set` overrides, as typed.
    pub overrides: Vec<String>,
    /// Every value, after defaults, `extends`, overrides and sweeps, in the layout of an experiment file.
    pub settings: Value,
    /// Those of the method's values that the study varies.
    pub swept: Vec<String>,
    /// The study's seed and the run's.
    pub seeds: [u64; 2],
    /// What was read: data files and the files of models, with their digests.
    pub data: Vec<Datum>,
    /// Names and revisions of what came from the hub.
    pub sources: Vec<String>,
    /// The versions of dpo-lab that made the run's artifacts.
    pub builds: Vec<Build>,
    /// Every stage that the run needs, inputs first.
    pub stages: Vec<StageRecord>,
}

/// A file that was read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Datum {
    /// Its name without its folder; for what dpo-lab brings along, that name.
    pub name: String,
    /// BLAKE3 digest, hexadecimal; nothing for what dpo-lab brings along.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blake3: Option<String>,
}

/// A version of dpo-lab.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// Its version.
    pub version: String,
    /// Its commit, with `+` where files had been changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Digest of its Cargo.lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<String>,
    /// Name and version of every package in that; empty where the file is not known.
    #[serde(default)]
    pub packages: BTreeMap<String, String>,
}

/// A stage that a run needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageRecord {
    /// What people call it.
    pub label: String,
    /// Stage kind.
    pub kind: String,
    /// Content key.
    pub key: Key,
    /// Whether it is the run's own; other runs share the rest.
    pub own: bool,
    /// How it was made; nothing where it was not made yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<Record>,
}

/// Writes provenance.json of every run, and returns what they say.
pub fn write(study: &Study, plan: &Plan, saved: &Saved, store: &Store, folder: &Path) -> Result<Vec<Provenance>> {
    let places = plan.stages.iter().enumerate().map(|(place, stage)| (&stage.key, place)).collect();
    let mut owners: HashMap<&Key, usize> = HashMap::new();
    for run in &plan.runs {
        // A run may name a stage more than once.
        run.own.iter().collect::<HashSet<_>>().into_iter().for_each(|key| *owners.entry(key).or_default() += 1);
    }
    let mut known = Known { store, plan, places, owners, records: HashMap::new(), packages: HashMap::new() };
    let mut written = Vec::new();
    for (run, run_plan) in study.runs.iter().zip(&plan.runs) {
        let provenance = known.provenance(study, run, run_plan, saved);
        let folder = folder.join("runs").join(&run.name);
        fs::create_dir_all(&folder).doing("create", &folder)?;
        let json = serde_json::to_string_pretty(&provenance).map_err(Error::other)?;
        write_atomically(&folder.join(FILE), format!("{json}\n").as_bytes())?;
        written.push(provenance);
    }
    Ok(written)
}

/// What runs share is read once.
struct Known<'a> {
    store: &'a Store,
    plan: &'a Plan,
    places: HashMap<&'a Key, usize>,
    owners: HashMap<&'a Key, usize>,
    records: HashMap<Key, Option<Record>>,
    packages: HashMap<String, BTreeMap<String, String>>,
}

impl Known<'_> {
    fn provenance(&mut self, study: &Study, run: &Run, run_plan: &RunPlan, saved: &Saved) -> Provenance {
        let mut needed: Vec<usize> = run_plan.needs.iter().filter_map(|key| self.places.get(key).copied()).collect();
        needed.sort_unstable();
        needed.dedup();
        let needed: Vec<&Stage> = needed.into_iter().map(|place| &self.plan.stages[place]).collect();
        let mut data: Vec<Datum> = needed.iter().flat_map(|stage| data(stage)).collect();
        data.sort();
        data.dedup();
        let stages: Vec<StageRecord> = needed
            .iter()
            .map(|stage| StageRecord {
                label: stage.label.clone(),
                kind: stage.work.kind().name().to_owned(),
                key: stage.key,
                own: run_plan.own.contains(&stage.key) && self.owners.get(&stage.key) == Some(&1),
                record: self.record(&stage.key),
            })
            .collect();
        let mut builds: Vec<Build> = Vec::new();
        for record in stages.iter().filter_map(|stage| stage.record.as_ref()) {
            let same =
                |build: &Build| (&build.version, &build.commit, &build.lock) == (&record.version, &record.commit, &record.lock);
            if !builds.iter().any(same) {
                let packages = record.lock.as_ref().map(|lock| self.packages(lock)).unwrap_or_default();
                let Record { version, commit, lock, .. } = record.clone();
                builds.push(Build { version, commit, lock, packages });
            }
        }
        Provenance {
            study: study.name.clone(),
            run: run.name.clone(),
            method: run.method.name().to_owned(),
            experiment: file_name(&saved.experiment),
            overrides: saved.overrides.iter().map(|text| public_overrides(text)).collect(),
            settings: public_value(&spec::settings(study, run)),
            swept: run.swept.iter().map(|(key, _)| key.clone()).collect(),
            seeds: [study.seed, run.seed],
            data,
            sources: saved.sources.iter().map(|source| public_text(source)).collect(),
            builds,
            stages,
        }
    }

    fn record(&mut self, key: &Key) -> Option<Record> {
        let store = self.store;
        self.records.entry(*key).or_insert_with(|| store.manifest(key).map(|manifest| manifest.record)).clone()
    }

    fn packages(&mut self, lock: &str) -> BTreeMap<String, String> {
        let path = self.store.lock_file(lock);
        let read = || {
            let kept = || fs::read_to_string(path).unwrap_or_default();
            build_info::packages(&if lock == build_info::lock_digest() { build_info::LOCK.to_owned() } else { kept() })
        };
        self.packages.entry(lock.to_owned()).or_insert_with(read).clone()
    }
}

/// What a stage reads that no stage made.
fn data(stage: &Stage) -> Vec<Datum> {
    let named = |name: &str| Datum { name: public_text(name), blake3: None };
    let mut found = match &stage.corpus {
        Some(Corpus::Builtin(name)) => vec![named(&format!("builtin:{name}"))],
        Some(Corpus::Files(files)) => {
            let datum = |file: &crate::resolve::DataFile| Datum {
                name: file_name(&file.path.display().to_string()),
                blake3: Some(file.blake3.clone()),
            };
            files.iter().map(datum).collect()
        }
        Some(Corpus::Hub(names)) => names.iter().map(|name| named(name)).collect(),
        Some(Corpus::Oracle(_)) => vec![named("builtin:oracle")],
        None => Vec::new(),
    };
    if let Some(model) = &stage.model {
        let folder = model.source.clone().unwrap_or_else(|| file_name(&model.path.display().to_string()));
        let datum = |(name, digest): &(String, String)| Datum { name: format!("{folder}/{name}"), blake3: Some(digest.clone()) };
        found.extend(model.files.iter().map(datum));
    }
    found
}

fn file_name(path: &str) -> String {
    Path::new(path).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

impl Provenance {
    /// provenance.json of a run's folder.
    pub fn read(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(folder.join(FILE)).ok()?).ok()
    }

    /// Wall-clock seconds of the stages, the run's own or all.
    pub fn seconds(&self, own: bool) -> f64 {
        self.records(own).map(|record| record.seconds).sum()
    }

    /// The greatest memory of any of its stages, in bytes.
    pub fn peak_memory(&self) -> Option<u64> {
        self.records(false).filter_map(|record| record.peak_memory).max()
    }

    /// Joules of the stages, the run's own or all; nothing unless every one of them was measured.
    pub fn energy(&self, own: bool) -> Option<f64> {
        self.records(own).map(|record| record.energy).sum::<Option<f64>>().filter(|energy| *energy > 0.0)
    }

    /// The machines that its stages ran on, with what they used of them; the words of older versions where these say no more.
    pub fn devices(&self) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        for record in self.records(false) {
            let device = match &record.machine {
                Some(machine) => format!("{}: {machine}", record.device),
                None => record.device.clone(),
            };
            if !found.contains(&device) {
                found.push(device);
            }
        }
        found
    }

    /// Stages that were not made yet.
    pub fn missing(&self) -> impl Iterator<Item = &StageRecord> {
        self.stages.iter().filter(|stage| stage.record.is_none())
    }

    fn records(&self, own: bool) -> impl Iterator<Item = &Record> {
        self.stages.iter().filter(move |stage| stage.own || !own).filter_map(|stage| stage.record.as_ref())
    }
}

impl Build {
    /// `0.1.0, commit 3f9c1a2b`
    pub fn name(&self) -> String {
        match &self.commit {
            Some(commit) => {
                let changed = if commit.ends_with('+') { " with changes" } else { "" };
                format!("{}, commit {}{changed}", self.version, commit.get(..12).unwrap_or(commit))
            }
            None => self.version.clone(),
        }
    }

    /// Name and version of the packages that dpo-lab itself asks for.
    pub fn direct(&self) -> Vec<(String, String)> {
        let version = |name: String| self.packages.get(&name).cloned().map(|version| (name, version));
        build_info::direct().into_iter().filter_map(version).collect()
    }
}
