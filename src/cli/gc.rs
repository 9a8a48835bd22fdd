//! `dpo-lab gc`

use super::Results;
use super::status::studies;
use super::study::read_saved;
use crate::error::{Error, Exit, Result};
use crate::store::{Key, Store};
use clap::Args;
use indicatif::HumanBytes;
use std::collections::HashSet;
use std::io::{BufRead, IsTerminal, Write};

/// Removes what no study's last plan refers to: artifacts, what is left of work on them, and what was set aside. On a terminal it
/// shows what and asks first.
#[derive(Debug, Args)]
pub(super) struct Gc {
    #[command(flatten)]
    results: Results,
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
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
        let garbage = store.garbage(&used);
        for one in &garbage {
            say!("{:>10}  {}", HumanBytes(one.bytes).to_string(), one.what);
        }
        let total = HumanBytes(garbage.iter().map(|one| one.bytes).sum());
        if garbage.is_empty() || self.dry_run {
            say!("{} things would be removed, {total} in all", garbage.len());
            return Ok(Exit::Done);
        }
        if !self.yes && std::io::stdin().is_terminal() && !agreed(&format!("remove these {total}? [y/N] ")) {
            say!("nothing was removed");
            return Ok(Exit::Done);
        }
        garbage.iter().try_for_each(|one| store.remove(one))?;
        say!("{} things removed, {total} in all", garbage.len());
        Ok(Exit::Done)
    }
}

fn agreed(question: &str) -> bool {
    let _ = write!(std::io::stderr(), "{question}");
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}
