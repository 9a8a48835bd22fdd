//! The stages: one file a kind. Each reads artifacts, writes files into a draft, and knows nothing of the others.

mod base;
mod classifier;
mod comparisons;
mod context;
mod evaluate;
mod exact;
#[cfg(test)]
mod exact_tests;
mod few_shot;
mod files;
mod generate;
mod given;
mod judge;
mod population;
mod pretrained;
mod prompts;
mod rankings;
mod reference_logprobs;
mod reinforce;
mod reward_model;
mod samples;
mod sft;
mod sft_on_chosen;
mod tokenizer;
mod train;

pub use classifier::ClassifierReport;
pub use context::Context;
pub use evaluate::{EvaluatedSample, PreferenceRow};
pub use exact::{ExactReport, OptimalPoint};
pub use files::{Completions, Labelled, csv_bytes, read_csv, read_json};
pub use judge::{Compared, JudgedRow, Pair, ShownRow, compared};
pub use reward_model::RewardModelReport;

use crate::build_info;
use crate::error::Result;
use crate::machine::{self, EnergyMeter, Machine};
use crate::plan::{Stage, Work};
use crate::store::{Manifest, Record, State, Store};
use crate::tasks::given::Reading;
use burn::tensor::Device;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// How a worker is told to do a stage; nothing here changes what comes out but for rounding.
#[derive(Clone, Debug)]
pub struct Control {
    /// Name of the device, for the record.
    pub device: String,
    /// How often a training stage keeps a checkpoint.
    pub checkpoint_every: Duration,
    /// Set when the worker is asked to stop: training keeps a checkpoint and ends, other stages finish.
    pub stop: Arc<AtomicBool>,
    /// A batch is trained on in so many times more parts than the study says, where memory does not suffice: the gradient is
    /// that of the same batch.
    pub parts: usize,
    /// Floating-point operations that were planned, for the record.
    pub flops: Option<f64>,
}

impl Default for Control {
    fn default() -> Self {
        Control {
            device: "cpu".to_owned(),
            checkpoint_every: Duration::from_secs(600),
            stop: Arc::default(),
            parts: 1,
            flops: None,
        }
    }
}

/// Runs one stage and publishes its artifact; does nothing where another process has done it.
pub fn run(store: &Store, stage: &Stage, device: &Device, control: &Control) -> Result<()> {
    stage.work.precision().check(device)?;
    let work = store.work(&stage.key);
    work.create()?;
    let _lock = work.lock(&control.stop, || tell!("another process is working on this stage; waiting for it"))?;
    if store.state(&stage.key) == State::Present {
        tell!("another process has made this stage");
        return Ok(());
    }
    let (began, meter) = (Instant::now(), EnergyMeter::start());
    let draft = store.draft(&stage.key)?;
    let mut context = Context::new(store, stage, device, control.clone(), draft.folder())?;
    let in_parts = stage.work.in_parts(control.parts);
    match &in_parts {
        Work::Tokenizer { vocabulary, seed } => tokenizer::run(&mut context, *vocabulary, *seed)?,
        Work::Base { role, model, training, seed } => base::run(&mut context, *role, model, training, *seed)?,
        Work::Pretrained {} => pretrained::run(&mut context)?,
        Work::PretrainedClassifier {} => pretrained::classifier(&mut context)?,
        Work::Sft { training, seed } => sft::run(&mut context, training, *seed)?,
        Work::SftOnChosen { training, seed } => sft_on_chosen::run(&mut context, training, *seed)?,
        Work::Given { split, count, multi_turn, chat, max_tokens, labelling, seed } => {
            let (max_tokens, labelling) = (*max_tokens, labelling.clone());
            // The stage knows its model's context.
            let reading = Reading { multi_turn: *multi_turn, chat: *chat, max_tokens, context: 0, labelling };
            given::run(&mut context, *split, *count, &reading, *seed)?;
        }
        Work::Classifier { seed } => classifier::run(&mut context, *seed)?,
        Work::Prompts { split, prefix_tokens, count, seed } => {
            prompts::run(&mut context, *split, *prefix_tokens, *count, *seed)?;
        }
        Work::Samples { completions, temperature, max_new_tokens, seed } => {
            samples::run(&mut context, *completions, *temperature, *max_new_tokens, *seed)?;
        }
        Work::Comparisons { reward, labelling, seed } => comparisons::run(&mut context, reward, labelling, *seed)?,
        Work::Rankings { labelling, seed } => rankings::run(&mut context, labelling, *seed)?,
        Work::Population { world, labelling } => population::run(&mut context, world, labelling)?,
        Work::ReferenceLogprobs { mismatched } => reference_logprobs::run(&mut context, *mismatched)?,
        Work::RewardModel { training, seed } => reward_model::run(&mut context, training, *seed)?,
        Work::Train { .. } => train::run(&mut context, &in_parts)?,
        Work::Reinforce { .. } => reinforce::run(&mut context, &in_parts)?,
        Work::Generate { sampling, rival, seed } => {
            generate::run(&mut context, *sampling, *rival, *seed)?;
        }
        Work::FewShot { shots, max_new_tokens, reward, seed } => {
            few_shot::run(&mut context, *shots, *max_new_tokens, reward.as_ref(), *seed)?;
        }
        Work::Judge { judge, subject, best_of_n, truth } => {
            judge::run(&mut context, judge, *subject, *best_of_n, truth.as_ref())?;
        }
        Work::Evaluate { reward } => evaluate::run(&mut context, reward.as_ref())?,
        Work::Exact { world, beta, best_of_n } => exact::run(&mut context, world, *beta, *best_of_n)?,
    }
    let record = Record {
        seconds: context.seconds_before + began.elapsed().as_secs_f64(),
        tokens: context.tokens,
        device: control.device.clone(),
        version: build_info::VERSION.to_owned(),
        commit: build_info::commit().map(str::to_owned),
        lock: Some(store.keep_lock()),
        machine: Some(Machine::with(&control.device)),
        threads: Some(rayon::current_num_threads()),
        finished: Some(crate::store::now()),
        peak_memory: machine::peak_memory(),
        // What earlier attempts took is not known.
        energy: meter.joules().filter(|_| context.seconds_before == 0.0),
        flops: control.flops,
    };
    draft.publish(Manifest {
        kind: stage.work.kind().name().to_owned(),
        label: stage.label.clone(),
        parameters: stage.parameters(),
        inputs: stage.inputs.clone(),
        files: BTreeMap::new(),
        thinned: false,
        record,
    })?;
    work.forget_checkpoints();
    Ok(())
}
