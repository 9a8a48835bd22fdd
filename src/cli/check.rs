//! `dpo-lab check`

use super::StudyArguments;
use super::study::prepare;
use crate::error::{Exit, Result};
use crate::resolve::Fetch;
use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(super) struct Check {
    /// Experiment files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    study: StudyArguments,
}

impl Check {
    pub(super) fn run(self) -> Result<Exit> {
        for file in &self.files {
            let prepared = prepare(file, &self.study, Fetch::No)?;
            let count = prepared.selected.len();
            say!("{}: fine, {count} run{}", file.display(), if count == 1 { "" } else { "s" });
            for run in prepared.study.runs.iter().filter(|run| prepared.selected.contains(&run.name)) {
                say!("  {}", run.name);
            }
            if let Some(why) = prepared.resolved.unresolved() {
                say!("unresolved: {why}");
            }
        }
        Ok(Exit::Done)
    }
}
