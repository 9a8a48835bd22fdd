//! `dpo-lab report`

use super::StudyArguments;
use super::status::studies;
use super::study::prepare;
use crate::error::{Exit, Result};
use crate::resolve::Fetch;
use crate::store::{Key, State, Store};
use crate::tracking::{Standing, Trackers};
use clap::Args;
use std::collections::BTreeSet;

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
        let mut worst = Exit::Done;
        for saved in studies(&self.study.results, &self.names)? {
            let mut arguments = self.study.clone();
            arguments.set = saved.overrides.iter().cloned().chain(arguments.set).collect();
            let file = arguments.results.results.join(&saved.study).join(&saved.experiment);
            let prepared = prepare(&file, &arguments, Fetch::No)?;
            let there = |key| store.state(key) == State::Present;
            // A table that lost rows because a value was edited would look like a finished one.
            let planned: BTreeSet<&Key> = prepared.plan.stages.iter().map(|stage| &stage.key).collect();
            let before: BTreeSet<&Key> = saved.stages.iter().map(|stage| &stage.key).collect();
            let problem = if planned != before {
                "its experiment file, its data or this dpo-lab are not those of its last run"
            } else if !prepared.plan.stages.iter().any(|stage| there(&stage.key)) {
                "the store has nothing of it"
            } else {
                ""
            };
            if !problem.is_empty() {
                let (study, file) = (&saved.study, file.display());
                tell!("error: {study}: {problem}, so tables and figures stay as they are\nhelp: dpo-lab run {file}");
                worst = Exit::Usage;
                continue;
            }
            let status = |name: &str| {
                let needs = prepared.plan.runs.iter().find(|run| run.name == name).map(|run| &run.needs);
                let complete = needs.is_some_and(|needs| needs.iter().all(there));
                if complete { "cached".to_owned() } else { "cancelled".to_owned() }
            };
            let written =
                crate::report::write(&prepared.study, &prepared.plan, &prepared.to_save(), &store, &prepared.folder, &status)?;
            say!("{}", written.page.display());
            let warn = Box::new(|text: &str| tell!("{text}"));
            if let Some(trackers) = Trackers::new(&prepared.study, &prepared.plan, &store, prepared.folder.clone(), warn) {
                trackers.finish(|run| (status(run) == "cached").then_some(Standing::Finished));
            }
        }
        Ok(worst)
    }
}
