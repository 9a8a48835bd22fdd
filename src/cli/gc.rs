//! `dpo-lab gc`

use super::Results;
use super::status::studies;
use crate::error::{Exit, Result};
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
