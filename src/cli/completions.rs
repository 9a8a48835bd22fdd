//! `dpo-lab completions`

use crate::error::{Exit, Result};
use clap::{Args, CommandFactory};

#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell
    shell: clap_complete::Shell,
}

impl Completions {
    pub(super) fn run(self) -> Result<Exit> {
        clap_complete::generate(self.shell, &mut super::Cli::command(), "dpo-lab", &mut std::io::stdout());
        Ok(Exit::Done)
    }
}
