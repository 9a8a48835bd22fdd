//! `dpo-lab stage`: the hidden verb that every worker runs.

use super::Results;
use crate::error::{Doing, Error, Exit, Result};
use crate::exec::CORRUPT_INPUT;
use crate::plan::Stage;
use crate::stages;
use crate::store::{Key, Store};
use burn::tensor::Device;
use clap::Args;

#[derive(Debug, Args)]
pub(super) struct RunStage {
    /// Keys of frozen stages, in order
    #[arg(required = true)]
    keys: Vec<String>,
    #[command(flatten)]
    results: Results,
}

impl RunStage {
    pub(super) fn run(self) -> Result<Exit> {
        let store = Store::open(&self.results.results)?;
        for key in &self.keys {
            let path = store.work(&Key::parse(key)?).stage();
            let json = std::fs::read(&path).doing("read", &path)?;
            let stage: Stage = serde_json::from_slice(&json).map_err(|error| {
                Error::Other(format!("{} is not a stage of this version of dpo-lab: {error}", path.display()))
            })?;
            let outcome = stages::run(&store, &stage, &Device::flex());
            store.work(&stage.key).finish(outcome.as_ref().err().map(ToString::to_string));
            match outcome {
                Err(error @ Error::Corrupt(_)) => {
                    tell!("error: {error}");
                    std::process::exit(CORRUPT_INPUT);
                }
                other => other?,
            }
        }
        Ok(Exit::Done)
    }
}
