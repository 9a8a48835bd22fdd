//! `dpo-lab report`

use super::StudyArguments;
use super::status::studies;
use super::study::prepare;
use crate::error::{Exit, Result};
use crate::store::{State, Store};
use clap::Args;
use std::path::PathBuf;

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
            let prepared = prepare(&PathBuf::from(&saved.experiment), &arguments)?;
            let there = |key| store.state(key) == State::Present;
            let status = |name: &str| {
                let needs = prepared.plan.runs.iter().find(|run| run.name == name).map(|run| &run.needs);
                let complete = needs.is_some_and(|needs| needs.iter().all(there));
                if complete { "cached".to_owned() } else { "cancelled".to_owned() }
            };
            let written = crate::report::write(&prepared.study, &prepared.plan, &store, &prepared.folder, &status)?;
            println!("{}", written.page.display());
        }
        Ok(Exit::Done)
    }
}
