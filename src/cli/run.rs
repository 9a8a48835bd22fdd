//! `dpo-lab run`

use super::cluster::Cluster;
use super::executor::Executor;
use super::model::downloads;
use super::study::prepare;
use super::{Execution, StudyArguments, Voice};
use crate::error::{Error, Exit, Result};
use crate::exec::Interrupts;
use crate::resolve::Fetch;
use crate::store::Store;
use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(super) struct Run {
    /// Experiment files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    study: StudyArguments,
    #[command(flatten)]
    execution: Execution,
    #[command(flatten)]
    cluster: Cluster,
    #[command(flatten)]
    voice: Voice,
}

impl Run {
    pub(super) fn run(self) -> Result<Exit> {
        let slurm = self.cluster.slurm(self.execution)?;
        // All files are checked before the first of them starts.
        let mut bars = downloads();
        let mut prepared = Vec::new();
        for file in &self.files {
            let fetch = if self.study.offline { Fetch::No } else { Fetch::Yes(&mut bars) };
            prepared.push(prepare(file, &self.study, fetch)?);
        }
        for study in &prepared {
            if let Some(why) = study.resolved.unresolved() {
                return Err(Error::Usage(format!("error: {why}")));
            }
        }
        let interrupts = Interrupts::listen()?;
        let store = Store::open(&self.study.results.results)?;
        let mut worst = Exit::Done;
        for study in &prepared {
            let executor = Executor::new(&self.study, self.execution, self.voice, &interrupts).on(slurm.as_ref());
            match executor.run(study, &store, &study.wanted())? {
                Exit::StagesFailed => worst = Exit::StagesFailed,
                Exit::Interrupted => return Ok(Exit::Interrupted),
                _ => {}
            }
        }
        Ok(worst)
    }
}
