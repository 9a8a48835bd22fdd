//! `dpo-lab report`

use super::StudyArguments;
use super::status::studies;
use super::study::prepare;
use crate::error::{Error, Exit, Result};
use crate::store::{State, Store};
use clap::Args;

#[derive(Debug, Args)]
pub(super) struct Report {
    /// Studies; all of them unless given
    names: Vec<String>,
    #[command(flatten)]
    study: StudyArguments,
}

impl Report {
    pub(super) fn run(self) -> Result<Exit> {
        let store = Store::open(&self.study.results.results)?;
        for saved in studies(&self.study.results, &self.names)? {
            let mut arguments = self.study.clone();
            arguments.set = saved.overrides.iter().cloned().chain(arguments.set).collect();
            let file = arguments.results.results.join(&saved.study).join(&saved.experiment);
            let prepared = prepare(&file, &arguments)?;
            let there = |key| store.state(key) == State::Present;
            if !prepared.plan.stages.iter().any(|stage| there(&stage.key)) {
                return Err(Error::Usage(format!(
                    "error: the store has nothing of `{0}`, so its tables and figures stay as they are\nhelp: dpo-lab run {1}",
                    saved.study,
                    file.display()
                )));
            }
            let status = |name: &str| {
                let needs = prepared.plan.runs.iter().find(|run| run.name == name).map(|run| &run.needs);
                let complete = needs.is_some_and(|needs| needs.iter().all(there));
                if complete { "cached".to_owned() } else { "cancelled".to_owned() }
            };
            let written = crate::report::write(&prepared.study, &prepared.plan, &store, &prepared.folder, &status)?;
            say!("{}", written.page.display());
        }
        Ok(Exit::Done)
    }
}
