//! `dpo-lab gc`

use super::Results;
use super::status::studies;
use super::study::read_saved;
use crate::error::{Error, Exit, Result};
use crate::store::{Key, Store};
use clap::Args;
use std::collections::HashSet;

#[derive(Debug, Args)]
pub(super) struct Gc {
    #[command(flatten)]
    results: Results,
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
}

impl Gc {
    pub(super) fn run(self) -> Result<Exit> {
        let store = Store::open(&self.results.results)?;
        let folders = std::fs::read_dir(&self.results.results).into_iter().flatten().flatten().map(|entry| entry.path());
        if let Some(unknown) =
            folders.filter(|folder| folder.join("runs.csv").exists()).find(|folder| read_saved(folder).is_none())
        {
            return Err(Error::Usage(format!(
                "error: {} has no plan.json that can be read, so what it needs is not known\nhelp: dpo-lab run its experiment file \
                 again, or remove the folder",
                unknown.display()
            )));
        }
        let used: HashSet<Key> =
            studies(&self.results, &[])?.into_iter().flat_map(|saved| saved.stages).map(|stage| stage.key).collect();
        let unused: Vec<Key> = store.keys().into_iter().filter(|key| !used.contains(key)).collect();
        for key in &unused {
            let label = store.manifest(key).map(|manifest| manifest.label).unwrap_or_default();
            say!("{}  {label}", key.short());
            if !self.dry_run {
                store.remove(key)?;
            }
        }
        say!("{} artifacts {}", unused.len(), if self.dry_run { "would be removed" } else { "removed" });
        Ok(Exit::Done)
    }
}
