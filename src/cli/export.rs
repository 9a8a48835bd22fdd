//! `dpo-lab export`

use super::Results;
use super::status::studies;
use crate::error::{Doing, Error, Exit, Result};
use crate::store::{State, Store};
use clap::Args;
use std::path::{Path, PathBuf};

/// A run's last model as a folder that `transformers` opens.
#[derive(Debug, Args)]
pub(super) struct Export {
    /// A run's name, or as much of its start as no other run has
    run: String,
    /// Folder to make
    folder: PathBuf,
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
            let last = segments.rfind(|stage| store.state(&stage.key) == State::Present);
            // What trains nothing is the reference itself.
            let last = last.or_else(|| saved.stages.iter().find(|stage| stage.label == "sft"));
            let Some(stage) = last.filter(|stage| store.state(&stage.key) == State::Present) else {
                return Err(Error::Usage(format!("error: {run} has no model yet\nhelp: `dpo-lab run` it first")));
            };
            let (artifact, _) = store.open_artifact(&stage.key)?;
            copy(&artifact.join("model"), &self.folder)?;
            say!("{}: {run}, {}", self.folder.display(), stage.label);
            return Ok(Exit::Done);
        }
        Err(Error::Usage(format!("error: no study has a run `{}`\nhelp: runs.csv in a study's folder lists them", self.run)))
    }
}

impl Export {
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

/// Copies a folder's files beside the target first, so that it appears whole or not at all.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent).doing("create", parent)?;
    let draft = tempfile::Builder::new().prefix(".export-").tempdir_in(parent).doing("write into", parent)?;
    for entry in std::fs::read_dir(from).doing("read", from)? {
        let entry = entry.doing("read", from)?;
        let target = draft.path().join(entry.file_name());
        std::fs::copy(entry.path(), &target).doing("write", &target)?;
    }
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
