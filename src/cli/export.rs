//! `dpo-lab export`

use super::Results;
use super::status::studies;
use crate::error::{Doing, Error, Exit, Result};
use crate::models::Policy;
use crate::models::hf::peft;
use crate::plan::SavedStage;
use crate::store::{Key, State, Store};
use burn::tensor::Device;
use clap::Args;
use std::path::{Path, PathBuf};

/// A run's last model as a folder that `transformers` opens; adapters are added to their weights, unless --adapter is given.
#[derive(Debug, Args)]
pub(super) struct Export {
    /// A run's name, or as much of its start as no other run has
    run: String,
    /// Folder to make
    folder: PathBuf,
    /// Write the adapters of a run with [model.lora] alone, as a folder that PEFT opens
    #[arg(long)]
    adapter: bool,
    /// What the adapters' folder calls the model that they belong to, for PEFT; the run's reference unless given
    #[arg(long, value_name = "NAME", requires = "adapter")]
    base: Option<String>,
    #[command(flatten)]
    results: Results,
}

impl Export {
    pub(super) fn run(self) -> Result<Exit> {
        let is_file = self.folder.is_file();
        if is_file || std::fs::read_dir(&self.folder).is_ok_and(|mut entries| entries.next().is_some()) {
            let what = if is_file { "is a file; name a new folder" } else { "is there and not empty; name a new folder" };
            return Err(Error::Usage(format!("error: {} {what}", self.folder.display())));
        }
        let store = Store::open(&self.results.results)?;
        for saved in studies(&self.results, &[])? {
            let Some(run) = self.one_of(&saved.runs)? else { continue };
            let label = run.rsplit_once('-').map_or(run.as_str(), |(label, _)| label);
            let mut segments = saved.stages.iter().filter(|stage| stage.label.starts_with(&format!("train {label} ")));
            let last = segments.rfind(|stage| store.state(&stage.key) == State::Present && !store.is_thinned(&stage.key));
            // What trains nothing is the reference itself.
            let last = last.or_else(|| saved.stages.iter().find(|stage| stage.label == "sft"));
            let Some(stage) = last.filter(|stage| store.state(&stage.key) == State::Present) else {
                return Err(Error::Usage(format!("error: {run} has no model yet\nhelp: `dpo-lab run` it first")));
            };
            self.write(&store, stage, run)?;
            say!("{}: {run}, {}", self.folder.display(), stage.label);
            return Ok(Exit::Done);
        }
        Err(Error::Usage(format!("error: no study has a run `{}`\nhelp: runs.csv in a study's folder lists them", self.run)))
    }
}

impl Export {
    /// Makes the folder from what a stage trained.
    fn write(&self, store: &Store, stage: &SavedStage, run: &str) -> Result<()> {
        let model = |key: &Key| store.open_artifact(key).map(|(artifact, _)| artifact.join("model"));
        let trained = model(&stage.key)?;
        let (true, Some(reference)) = (peft::is_adapter(&trained), stage.inputs.get("reference")) else {
            if self.adapter {
                let what = format!("{run} has no adapters: it trained all weights, or nothing");
                return Err(Error::Usage(format!("error: {what}\nhelp: leave out --adapter")));
            }
            return appear(&self.folder, |draft| copy(&trained, draft));
        };
        let (reference, device) = (model(reference)?, Device::flex());
        let policy = Policy::load(&reference, &device)?;
        let adapted = policy.decoder.load_adapters(&trained, &device)?;
        if !self.adapter {
            return appear(&self.folder, |draft| policy.with(adapted).save(draft));
        }
        let base = match &self.base {
            Some(base) => base.clone(),
            None => std::path::absolute(&reference).doing("find", &reference)?.display().to_string(),
        };
        appear(&self.folder, |draft| adapted.save_adapters(draft, &base))
    }

    /// The run that was meant: by its whole name, or by a start that only one has.
    fn one_of<'a>(&self, runs: &'a [String]) -> Result<Option<&'a String>> {
        let matching: Vec<&String> = runs.iter().filter(|run| run.starts_with(&self.run)).collect();
        match matching[..] {
            [] => Ok(None),
            [one] => Ok(Some(one)),
            _ => match matching.iter().find(|run| ***run == self.run) {
                Some(run) => Ok(Some(run)),
                None => {
                    let names: Vec<&str> = matching.iter().map(|run| run.as_str()).collect();
                    let what = format!("`{}` can be any of {}", self.run, names.join(", "));
                    Err(Error::Usage(format!("error: {what}\nhelp: write more of the name")))
                }
            },
        }
    }
}

/// Copies a folder's files.
fn copy(from: &Path, to: &Path) -> Result<()> {
    for entry in std::fs::read_dir(from).doing("read", from)? {
        let entry = entry.doing("read", from)?;
        let target = to.join(entry.file_name());
        std::fs::copy(entry.path(), &target).doing("write", &target)?;
    }
    Ok(())
}

/// Makes a folder beside the target first, so that it appears whole or not at all.
fn appear(to: &Path, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent).doing("create", parent)?;
    let draft = tempfile::Builder::new().prefix(".export-").tempdir_in(parent).doing("write into", parent)?;
    make(draft.path())?;
    if to.exists() {
        std::fs::remove_dir(to).doing("replace", to)?;
    }
    let draft = draft.keep();
    // A temporary folder is its owner's alone; an exported one is like any other.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&draft, std::fs::Permissions::from_mode(0o755)).doing("write", &draft)?;
    }
    std::fs::rename(&draft, to).doing("write", to)
}
