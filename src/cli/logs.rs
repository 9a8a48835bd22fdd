//! `dpo-lab logs`

use super::Results;
use super::status::studies;
use crate::error::{Error, Exit, Result};
use crate::store::Store;
use clap::Args;

#[derive(Debug, Args)]
pub(super) struct Logs {
    /// A run's name, or part of a stage's
    name: String,
    #[command(flatten)]
    results: Results,
}

impl Logs {
    pub(super) fn run(self) -> Result<Exit> {
        let store = Store::open(&self.results.results)?;
        // A run's name ends with a digest that its stages' labels do not have.
        let label = self.name.rsplit_once('-').map_or(self.name.as_str(), |(label, _)| label);
        let mut found = false;
        for saved in studies(&self.results, &[])? {
            for stage in saved.stages.iter().filter(|stage| stage.label.contains(&self.name) || stage.label.contains(label)) {
                let path = store.work(&stage.key).log();
                if let Ok(text) = std::fs::read_to_string(&path) {
                    found = true;
                    say!("==> {} ({})", stage.label, path.display());
                    say!("{}", text.trim_end());
                }
            }
        }
        if found { Ok(Exit::Done) } else { Err(Error::Usage(format!("error: nothing that ran is called `{}`", self.name))) }
    }
}
