//! `dpo-lab cancel`

use super::Results;
use super::status::studies;
use crate::error::{Exit, Result};
use crate::exec::slurm;
use clap::Args;

#[derive(Debug, Args)]
pub(super) struct Cancel {
    /// Study whose jobs are ended; finished stages are kept
    #[arg(value_name = "STUDY")]
    name: String,
    #[command(flatten)]
    results: Results,
}

impl Cancel {
    pub(super) fn run(self) -> Result<Exit> {
        for saved in studies(&self.results, std::slice::from_ref(&self.name))? {
            let name = &saved.study;
            match slurm::cancel(&self.results.results.join(name))? {
                None => say!("{name} has no Slurm jobs; a run on this machine is stopped with Ctrl-C where it was started"),
                Some(0) => say!("{name}: none of its jobs was left"),
                Some(stages) => say!("{name}: the jobs of {stages} stages are cancelled; finished stages are kept"),
            }
        }
        Ok(Exit::Done)
    }
}
