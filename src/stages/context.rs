//! What every stage has: its inputs, its device, a folder to write into, and a way to say how far it is.

use super::Control;
use super::files::{Completions, Labelled, read_json};
use super::reward_model::RewardModelReport;
use crate::error::{Error, Result};
use crate::models::hf::peft;
use crate::models::linear::LinearClassifier;
use crate::models::{Beside, Decoder, Policy, Tokenizer};
use crate::plan::Stage;
use crate::report::rows::TrainRow;
use crate::resolve::{Corpus, ModelFolder};
use crate::spec::Reward;
use crate::store::{Key, Status, Store, WorkFolder, now};
use crate::tasks::reward::TrueReward;
use crate::train::Checkpoints;
use burn::tensor::Device;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// How often a worker says how far it is.
const REPORT_EVERY: Duration = Duration::from_millis(200);

/// A reward model, and what is subtracted from its scores.
pub struct LearnedReward {
    /// The model.
    pub model: Decoder,
    /// Its mean score of the training completions.
    pub mean: f64,
}

/// A stage while it runs.
pub struct Context<'a> {
    /// Where tensors live.
    pub device: &'a Device,
    /// Where the artifact's files go.
    pub folder: &'a Path,
    /// Tokens trained on, for the record.
    pub tokens: Option<u64>,
    /// Seconds that processes before spent on a checkpoint that this one went on from.
    pub seconds_before: f64,
    control: Control,
    /// Whether this only looks: nothing is moved or written.
    looks: bool,
    stage: &'a Stage,
    store: &'a Store,
    work: WorkFolder,
    reported: Instant,
    began: f64,
}

impl<'a> Context<'a> {
    pub(super) fn new(
        store: &'a Store,
        stage: &'a Stage,
        device: &'a Device,
        control: Control,
        folder: &'a Path,
    ) -> Result<Self> {
        let context = Context { control, looks: false, ..Context::reading(store, stage, device, folder) };
        context.work.report(&Status { doing: "starting".into(), began: context.began, ..Status::default() });
        Ok(context)
    }

    /// For a look at a stage's inputs: nothing is written.
    pub(super) fn reading(store: &'a Store, stage: &'a Stage, device: &'a Device, folder: &'a Path) -> Self {
        let work = store.work(&stage.key);
        let control = Control::default();
        Context {
            device,
            folder,
            tokens: None,
            seconds_before: 0.0,
            control,
            looks: true,
            stage,
            store,
            work,
            reported: Instant::now(),
            began: now(),
        }
    }

    /// Whether the stage has this input.
    pub fn has(&self, role: &str) -> bool {
        self.stage.inputs.contains_key(role)
    }

    /// Whether two inputs are the same artifact.
    pub fn same(&self, one: &str, other: &str) -> bool {
        self.stage.inputs.get(one) == self.stage.inputs.get(other)
    }

    fn key(&self, role: &str) -> Result<&Key> {
        self.stage.inputs.get(role).ok_or_else(|| Error::Other(format!("the plan gave this stage no {role}")))
    }

    /// The folder of an input, its digests checked. A stage that runs moves a corrupt one aside, so that it is made again.
    pub fn input(&self, role: &str) -> Result<PathBuf> {
        let key = self.key(role)?;
        self.store.open_artifact(key).map(|(folder, _)| folder).map_err(|error| match error {
            Error::Corrupt(why) if !self.looks => {
                let aside =
                    self.store.set_aside(key).map(|path| path.display().to_string()).unwrap_or_else(|error| error.to_string());
                Error::Corrupt(format!("{why}; moved aside to {aside}, and it will be made again"))
            }
            other => other,
        })
    }

    /// The model of an input; adapters are attached to the reference, which is an input then, too.
    pub fn policy(&self, role: &str) -> Result<Policy> {
        let folder = self.model_folder(role)?;
        if !peft::is_adapter(&folder) {
            return Policy::load(&folder, self.device);
        }
        let reference = Policy::load(&self.model_folder("reference")?, self.device)?;
        Ok(reference.with(reference.decoder.load_adapters(&folder, self.device)?))
    }

    /// Writes the stage's policy: adapters alone where it has some, and otherwise the whole model beside the files of `like`.
    pub fn save_policy(&self, beside: Beside, decoder: Decoder) -> Result<()> {
        let folder = self.folder.join("model");
        match decoder.adapters() {
            Some(_) => decoder.save_adapters(&folder, &self.relative_model_folder("reference")?),
            None => beside.with(decoder).save(&folder),
        }
    }

    /// The model of an input as seen from where this stage's own will be, so that no file says whose machine this was.
    pub fn relative_model_folder(&self, role: &str) -> Result<String> {
        let (there, here) = (self.store.path(self.key(role)?), self.store.path(&self.stage.key));
        let relative = pathdiff::diff_paths(there.join("model"), here.join("model"));
        relative.map(|path| path.display().to_string()).ok_or_else(|| Error::Other("the store is in two places".into()))
    }

    /// Where the model of an input lies; a pretrained one must still be what it was when the study was planned.
    pub fn model_folder(&self, role: &str) -> Result<PathBuf> {
        let artifact = self.input(role)?;
        let source = artifact.join("source.json");
        if !source.is_file() {
            return Ok(artifact.join("model"));
        }
        let planned: ModelFolder = read_json(&source)?;
        let now = ModelFolder::of(&planned.path, planned.source.clone())?;
        if now.files != planned.files {
            let what = "is no longer what the study was planned with; run the study again";
            return Err(Error::Data(format!("{} {what}", planned.path.display())));
        }
        Ok(planned.path)
    }

    /// The pretrained model that the plan resolved.
    pub fn pretrained(&self) -> Result<&ModelFolder> {
        self.stage.model.as_ref().ok_or_else(|| Error::Other("the plan gave this stage no model".into()))
    }

    /// The study's tokenizer.
    pub fn tokenizer(&self) -> Result<Tokenizer> {
        Tokenizer::load(&self.input("tokenizer")?.join("tokenizer.json"))
    }

    /// The prompts of an input, each with its start token.
    pub fn prompts(&self, role: &str) -> Result<Vec<Vec<u32>>> {
        read_json(&self.input(role)?.join("prompts.json"))
    }

    /// The completions of an input.
    pub fn completions(&self, role: &str) -> Result<Completions> {
        Completions::read(&self.input(role)?)
    }

    /// The labelled pairs of an input.
    pub fn labelled(&self, role: &str) -> Result<Labelled> {
        read_json(&self.input(role)?.join("comparisons.json"))
    }

    /// The learned reward.
    pub fn learned_reward(&self) -> Result<LearnedReward> {
        let report: RewardModelReport = read_json(&self.input("reward_model")?.join("report.json"))?;
        Ok(LearnedReward { model: self.policy("reward_model")?.decoder, mean: report.mean })
    }

    /// Where judges keep the answers that cost money.
    pub fn ledger(&self) -> PathBuf {
        self.store.judges()
    }

    /// The corpus that the plan resolved.
    pub fn corpus(&self) -> Result<&Corpus> {
        self.stage.corpus.as_ref().ok_or_else(|| Error::Other("the plan gave this stage no corpus".into()))
    }

    /// The true reward.
    pub fn true_reward(&self, reward: &Reward) -> Result<TrueReward> {
        match reward {
            Reward::Builtin(name) => TrueReward::builtin(name),
            Reward::Oracle(world) => Ok(TrueReward::Oracle(Box::new(crate::tasks::oracle::open(world)?))),
            Reward::Classifier(_) => TrueReward::classifier(&self.model_folder("classifier")?, self.device),
            Reward::Fit(_) => {
                let path = self.input("classifier")?.join("classifier.bin");
                let bytes = crate::error::Doing::doing(std::fs::read(&path), "read", &path)?;
                Ok(TrueReward::Linear(Box::new(LinearClassifier::from_bytes(&bytes)?)))
            }
        }
    }

    /// Where a training loop of this stage keeps its checkpoints.
    pub fn checkpoints(&self) -> Checkpoints {
        Checkpoints::new(self.work.checkpoints(), self.control.checkpoint_every, Arc::clone(&self.control.stop))
    }

    /// Set when the stage is asked to stop.
    pub fn stop(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.control.stop)
    }

    /// Says that the stage does `doing` and is at `done` of `total`.
    pub fn progress(&mut self, doing: &str, done: usize, total: usize) {
        self.report(Status { done: done as u64, total: total as u64, doing: doing.to_owned(), ..Status::default() });
    }

    /// Says how a training step went.
    pub fn trained(&mut self, row: &TrainRow, total: u64) {
        self.report(Status {
            done: row.step,
            total,
            loss: Some(row.loss),
            tokens_per_s: Some(row.tokens_per_s),
            doing: "training".into(),
            ..Status::default()
        });
    }

    fn report(&mut self, status: Status) {
        if self.reported.elapsed() >= REPORT_EVERY || status.done == status.total {
            self.reported = Instant::now();
            let began = self.began;
            self.work.report(&Status { began, ..status });
        }
    }
}
