//! Checkpoints within a stage: what a training loop goes on from after its process was killed, to the same bit.
//!
//! Batches and random numbers follow from the seeds and the step, so weights, the optimiser's state, the rows so far and the
//! number of steps are all there is. A checkpoint appears whole under the number of its steps, and then the one before goes.

use super::optimizer::OptimizerState;
use super::step::Trainer;
use crate::error::{Doing, Error, Result};
use crate::models::{Decoder, Parameter, Parameters};
use crate::report::rows::TrainRow;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Where a loop keeps its checkpoints, how often, and whether it has been asked to stop.
pub struct Checkpoints {
    place: Option<Place>,
    /// Seconds that processes before spent on the steps that are not done again.
    before: f64,
    began: Instant,
}

struct Place {
    folder: PathBuf,
    every: Duration,
    stop: Arc<AtomicBool>,
    kept: Instant,
}

/// What a process before left.
pub struct Left<T> {
    /// One row a step.
    pub rows: Vec<TrainRow>,
    /// What the loop carries from step to step beside the trainer.
    pub carried: T,
    /// Another state of the same model, where the loop keeps one.
    pub beside: Option<Decoder>,
}

#[derive(Serialize, Deserialize)]
struct State<T> {
    seconds: f64,
    carried: T,
}

impl Checkpoints {
    /// Keeps none and never stops: for loops that are short, and tests.
    pub fn none() -> Self {
        Checkpoints { place: None, before: 0.0, began: Instant::now() }
    }

    /// Keeps one below `folder` every so often, and one more, after which the loop ends, once `stop` is set.
    pub fn new(folder: PathBuf, every: Duration, stop: Arc<AtomicBool>) -> Self {
        let place = Some(Place { folder, every, stop, kept: Instant::now() });
        Checkpoints { place, ..Checkpoints::none() }
    }

    /// Seconds that processes before this one spent on what it goes on from.
    pub fn seconds_before(&self) -> f64 {
        self.before
    }

    /// Puts the trainer where a process before left it. A checkpoint that cannot be read is passed over with a line that says so.
    pub fn resume<T: DeserializeOwned>(&mut self, trainer: &mut Trainer) -> Option<Left<T>> {
        let place = self.place.as_ref()?;
        for step in steps(&place.folder).into_iter().rev() {
            match read(&place.folder.join(name(step)), trainer) {
                Ok((state, left)) => {
                    tell!("goes on from the checkpoint after step {step}");
                    self.before = state;
                    return Some(left);
                }
                Err(error) => tell!("a checkpoint is not used: {error}"),
            }
        }
        None
    }

    /// To be called after every step but the last: keeps a checkpoint where it is time for one. Fails with
    /// [`Error::Interrupted`] once the loop is asked to stop; what could not be written is only then a failure.
    pub fn after(
        &mut self,
        trainer: &Trainer,
        rows: &[TrainRow],
        carried: &impl Serialize,
        beside: Option<&Decoder>,
    ) -> Result<()> {
        let Some(place) = &mut self.place else { return Ok(()) };
        let stop = place.stop.load(Ordering::SeqCst);
        if !stop && place.kept.elapsed() < place.every {
            return Ok(());
        }
        let state = State { seconds: self.before + self.began.elapsed().as_secs_f64(), carried };
        let written = write(&place.folder, trainer, rows, &state, beside);
        place.kept = Instant::now();
        match (written, stop) {
            (Ok(()), true) => Err(Error::Interrupted),
            (Err(error), true) => Err(error),
            (Ok(()), false) => Ok(()),
            (Err(error), false) => {
                tell!("training goes on without a new checkpoint: {error}");
                Ok(())
            }
        }
    }
}

/// Folders below `folder` that hold a whole checkpoint, by the number of their steps.
fn steps(folder: &Path) -> Vec<u64> {
    let names = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let mut steps: Vec<u64> = names.filter_map(|name| name.to_str()?.parse().ok()).collect();
    steps.sort_unstable();
    steps
}

fn name(step: u64) -> String {
    format!("{step:08}")
}

fn write<T: Serialize>(
    folder: &Path,
    trainer: &Trainer,
    rows: &[TrainRow],
    state: &State<T>,
    beside: Option<&Decoder>,
) -> Result<()> {
    let steps_before = steps(folder);
    let Some(step) = rows.last().map(|row| row.step) else { return Ok(()) };
    let (draft, target) = (folder.join("draft"), folder.join(name(step)));
    for left in [&draft, &target] {
        if left.exists() {
            fs::remove_dir_all(left).doing("remove", left)?;
        }
    }
    fs::create_dir_all(&draft).doing("create", &draft)?;
    save(&trainer.model.parameters, &draft.join("weights.safetensors"))?;
    trainer.optimizer.save(&draft.join("optimizer.safetensors"))?;
    if let Some(beside) = beside {
        save(&beside.parameters, &draft.join("beside.safetensors"))?;
    }
    let mut csv = csv::Writer::from_writer(Vec::new());
    rows.iter().try_for_each(|row| csv.serialize(row)).map_err(Error::other)?;
    let path = draft.join("train.csv");
    fs::write(&path, csv.into_inner().map_err(Error::other)?).doing("write", &path)?;
    let path = draft.join("state.json");
    fs::write(&path, serde_json::to_vec(state).map_err(Error::other)?).doing("write", &path)?;
    for entry in fs::read_dir(&draft).doing("read", &draft)? {
        sync(&entry.doing("read", &draft)?.path())?;
    }
    sync(&draft)?;
    fs::rename(&draft, &target).doing("write", &target)?;
    sync(folder)?;
    for step in steps_before {
        let _ = fs::remove_dir_all(folder.join(name(step)));
    }
    Ok(())
}

fn sync(path: &Path) -> Result<()> {
    fs::File::open(path).and_then(|file| file.sync_all()).doing("sync", path)
}

/// Reads a whole checkpoint before the trainer is changed.
fn read<T: DeserializeOwned>(folder: &Path, trainer: &mut Trainer) -> Result<(f64, Left<T>)> {
    let damaged = |error: &dyn std::fmt::Display| Error::Corrupt(format!("{} is damaged: {error}", folder.display()));
    let path = folder.join("state.json");
    let state: State<T> = serde_json::from_slice(&fs::read(&path).doing("read", &path)?).map_err(|error| damaged(&error))?;
    let rows = csv::Reader::from_path(folder.join("train.csv")).map_err(|error| damaged(&error))?;
    let rows: Vec<TrainRow> = rows.into_deserialize().collect::<Result<_, _>>().map_err(|error| damaged(&error))?;
    let weights = load(&trainer.model, &folder.join("weights.safetensors"))?;
    let path = folder.join("beside.safetensors");
    let beside = if path.exists() { Some(load(&trainer.model, &path)?) } else { None };
    let device = trainer.model.parameters.vector(0).device();
    let optimizer = folder.join("optimizer.safetensors");
    trainer.optimizer = OptimizerState::load(trainer.settings(), &weights.parameters, &optimizer, &device)?;
    trainer.model = weights;
    Ok((state.seconds, Left { rows, carried: state.carried, beside }))
}

/// Writes the weights that are trained, in their order.
fn save(parameters: &Parameters, path: &Path) -> Result<()> {
    let numbered = |(index, parameter): (usize, &Parameter)| Parameter { name: format!("{index:04}"), ..parameter.clone() };
    Parameters(parameters.trainable().enumerate().map(numbered).collect()).save(path)
}

/// `like` with the weights that [`save`] wrote.
fn load(like: &Decoder, path: &Path) -> Result<Decoder> {
    let mut model = like.clone();
    let device = like.parameters.vector(0).device();
    let expected: Vec<(String, Vec<usize>)> =
        like.parameters.trainable().enumerate().map(|(index, p)| (format!("{index:04}"), p.shape.clone())).collect();
    let saved = Parameters::load(path, &expected, &device)?;
    for (parameter, saved) in model.parameters.trainable_mut().zip(saved.0) {
        parameter.value = saved.value;
    }
    Ok(model)
}
