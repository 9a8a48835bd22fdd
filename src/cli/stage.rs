//! `dpo-lab stage`: the hidden verb that every worker runs.

use super::{CHECKPOINT_MINUTES, Results, minutes};
use crate::error::{Doing, Error, Exit, Result};
use crate::exec::{CORRUPT_INPUT, Interrupts};
use crate::machine::device;
use crate::ops;
use crate::plan::cost::Frozen;
use crate::stages::{self, Control};
use crate::store::{Key, Store};
use clap::Args;
use std::time::Duration;

#[derive(Debug, Args)]
pub(super) struct RunStage {
    /// Keys of frozen stages, in order
    #[arg(required = true)]
    keys: Vec<String>,
    #[command(flatten)]
    results: Results,
    /// Where tensors live
    #[arg(long, default_value = "cpu", value_name = "DEVICE")]
    device: String,
    /// How often a training stage keeps a checkpoint
    #[arg(long, value_name = "N", default_value = CHECKPOINT_MINUTES, value_parser = minutes)]
    checkpoint_minutes: Duration,
    /// Parts of a training batch for every one that the study says
    #[arg(long, value_name = "N", default_value_t = 1)]
    parts: usize,
}

impl RunStage {
    pub(super) fn run(self) -> Result<Exit> {
        let store = Store::open(&self.results.results)?;
        let device = device::open(&self.device)?;
        let interrupts = Interrupts::listen()?;

        for key in &self.keys {
            let path = store.work(&Key::parse(key)?).stage();
            let json = std::fs::read(&path).doing("read", &path)?;
            let Frozen { stage, cost } = serde_json::from_slice(&json).map_err(|error| {
                Error::Other(format!("{} is not a stage of this version of dpo-lab: {error}", path.display()))
            })?;
            let control = Control {
                device: self.device.clone(),
                checkpoint_every: self.checkpoint_minutes,
                stop: interrupts.flag(),
                parts: self.parts,
                flops: cost.map(|cost| cost.flops),
            };
            let run = || stages::run(&store, &stage, &device, &control);
            // A GPU is given its work by one thread.
            let outcome = if self.device == "cpu" { run() } else { ops::alone(run) };
            store.work(&stage.key).finish(outcome.as_ref().err());
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
