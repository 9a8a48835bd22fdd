//! Where `run` lets stages run: on this machine, or on a cluster.

use super::Execution;
use super::study::Prepared;
use crate::error::Result;
use crate::exec::slurm::{Client, Ended, Request};
use crate::exec::{Interrupts, Progress, Schedule};
use crate::store::Store;
use clap::{Args, ValueEnum};
use std::path::Path;

/// The place, and whether to stay.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Cluster {
    /// Where stages run
    #[arg(long, value_enum, default_value_t = Place::Local, value_name = "WHERE")]
    executor: Place,
    /// With --executor slurm, stay until the study has ended; later runs of the same study stay anyway
    #[arg(long)]
    wait: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Place {
    /// On this machine
    Local,
    /// As jobs of a Slurm cluster, which goes on when this command has ended
    Slurm,
}

impl Cluster {
    /// The cluster, if that is the place; an error where this machine belongs to none.
    pub(super) fn slurm(self, execution: Execution) -> Result<Option<Slurm>> {
        match self.executor {
            Place::Local => Ok(None),
            Place::Slurm => Client::find().map(|_| Some(Slurm { wait: self.wait, execution })),
        }
    }
}

/// How stages are handed to Slurm.
pub(super) struct Slurm {
    /// Whether to stay until all have ended.
    wait: bool,
    /// How they are spread and kept.
    execution: Execution,
}

impl Slurm {
    /// Runs what is pending as jobs, or leaves it to them.
    pub(super) fn run(
        &self,
        prepared: &Prepared,
        results: &Path,
        schedule: &mut Schedule,
        store: &Store,
        progress: &mut Progress,
        interrupts: &Interrupts,
    ) -> Result<Ended> {
        let request = Request {
            study: &prepared.study.name,
            folder: &prepared.folder,
            results,
            settings: &prepared.study.executors.slurm,
            // A job has its devices to itself: to it they begin with the first.
            device: prepared.devices.first().map_or("cpu", String::as_str),
            checkpoint_every: self.execution.checkpoint_minutes,
            jobs: self.execution.jobs.map(|jobs| jobs as usize),
            wait: self.wait,
        };
        request.run(schedule, store, progress, interrupts)
    }
}
