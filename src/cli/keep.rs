//! `training.keep`: removes the weights of checkpoints that a study does not want, once their run is complete.

use super::study::{Prepared, read_saved};
use crate::error::Result;
use crate::spec::Keep;
use crate::store::{Key, State, Store};
use indicatif::HumanBytes;
use std::collections::{BTreeMap, HashSet};

/// Thins the checkpoints of runs whose stages are all there, but for what another study's plan names.
pub(super) fn thin(prepared: &Prepared, store: &Store, best: &BTreeMap<String, u64>, quiet: bool) -> Result<()> {
    if prepared.study.keep == Keep::All {
        return Ok(());
    }
    let elsewhere = keys_of_other_studies(prepared);
    let mut freed = 0;
    for run in &prepared.plan.runs {
        if run.needs.iter().all(|key| store.state(key) == State::Present) {
            let kept = prepared.plan.kept(run, prepared.study.keep, best.get(&run.name).copied());
            for key in run.segments.iter().filter(|key| Some(*key) != kept && !elsewhere.contains(*key)) {
                freed += store.thin(key, is_weight)?;
            }
        }
    }
    if freed > 0 && !quiet {
        tell!("{}: {} of weights removed, by training.keep", prepared.study.name, HumanBytes(freed));
    }
    Ok(())
}

fn is_weight(name: &str) -> bool {
    name.starts_with("model/") || name.ends_with(".safetensors")
}

fn keys_of_other_studies(prepared: &Prepared) -> HashSet<Key> {
    let folders = prepared.folder.parent().map(std::fs::read_dir).into_iter().flatten().flatten().flatten();
    let others = folders.map(|entry| entry.path()).filter(|folder| *folder != prepared.folder);
    others.filter_map(|folder| read_saved(&folder)).flat_map(|saved| saved.stages).map(|stage| stage.key).collect()
}
