//! What stages cost before they are done: tokens, operations, memory and disk, from their frozen values and from what is known of
//! what they read. Pure, and linear in the number of stages.

mod contents;
mod disk;
mod passes;
mod rates;
mod schedule;
mod shape;
mod texts;
mod training;
mod worker;

pub use contents::{Contents, Known};
pub use rates::{Made, Rates, Thing};
pub use schedule::{Ahead, Timetable, timetable};
pub use shape::Shape;
pub use texts::Texts;
pub use worker::Worker;

use super::stage::Stage;
use super::work::Work;
use crate::store::Key;
use contents::Reading;
use passes::{Load, Read, score, write};

use serde::{Deserialize, Serialize};
use shape::FLOAT;
use std::collections::HashMap;
use texts::Pieces;
use training::Labelled;

/// Bytes of a worker that runs no model: its program, and what it keeps of its work.
const PROCESS: f64 = 20e6;
/// Bytes that every thread adds once it runs models, and where it trains them: its heap keeps blocks that it may need again.
const THREAD: [f64; 2] = [20e6, 40e6];
/// Data in memory, with what its file is parsed through, against the file.
const PARSED: f64 = 3.0;

/// What one stage costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Tokens that are trained on, read or written by models.
    pub tokens: f64,
    /// Floating-point operations of models.
    pub flops: f64,
    /// Weights of its main model; 0 without one.
    pub weights: f64,
    /// The greatest memory of its worker, or that its worker has on its GPU, in bytes.
    pub peak_memory: u64,
    /// Bytes of it that a training batch in twice as many parts takes half of.
    #[serde(default)]
    pub batch_memory: u64,
    /// Its artifact, in bytes.
    pub disk: u64,
}

/// Parts of a training batch, at most, for every one that the study says.
pub const MOST_PARTS: usize = 16;

impl Cost {
    /// Parts for every one that the study says, a power of two, so that a stage fits so many bytes, as far as parts can make it fit.
    pub fn parts_within(&self, bytes: u64) -> usize {
        let rest = self.peak_memory.saturating_sub(self.batch_memory);
        let fits = |parts: &usize| rest + self.batch_memory / *parts as u64 <= bytes;
        let powers = || std::iter::successors(Some(1), |parts| Some(2 * parts)).take_while(|parts| *parts <= MOST_PARTS);
        let least = if self.batch_memory == 0 { 1 } else { MOST_PARTS };
        powers().find(fits).unwrap_or(least)
    }
}

/// A stage as its worker reads it, with what it was planned to cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Frozen {
    /// The stage; its fields stand beside `cost`.
    #[serde(flatten)]
    pub stage: Stage,
    /// Its cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
}

/// The costs of stages, inputs before what reads them, by such workers.
pub fn costs(stages: &[Stage], known: &Known, worker: Worker) -> Vec<Cost> {
    let mut contents: HashMap<&Key, Contents> = HashMap::with_capacity(stages.len());
    let mut on_disk: HashMap<&Key, f64> = HashMap::with_capacity(stages.len());
    let mut all = Vec::with_capacity(stages.len());
    for stage in stages {
        let reading = Reading::new(stage, &contents, known);
        let made = reading.contents();
        let load = load(&reading, &made, worker);
        let disk = disk::bytes(&reading, &made);
        let texts: f64 = TEXTS.iter().filter_map(|role| on_disk.get(stage.inputs.get(*role)?)).sum();
        let own = if made.model.is_some() { 0.0 } else { disk };
        let held = FLOAT * resident(&reading, &made) + load.memory;
        let memory = if worker.is_gpu {
            held
        } else {
            let engine = if load.flops > 0.0 { worker.threads as f64 * THREAD[usize::from(made.model.is_some())] } else { 0.0 };
            PROCESS + engine + held + PARSED * (texts + own)
        };
        let main = made.model.or_else(|| reading.model(&MAIN));
        all.push(Cost {
            tokens: load.tokens,
            flops: load.flops,
            weights: main.map_or(0.0, |shape| shape.weights),
            peak_memory: memory as u64,
            batch_memory: load.batch as u64,
            disk: disk as u64,
        });
        contents.insert(&stage.key, made);
        on_disk.insert(&stage.key, disk);
    }
    all
}

/// Inputs that are a stage's main model, where it makes none.
pub const MAIN: [&str; 3] = ["policy", "reference", "base"];
/// Inputs that are read as text.
const TEXTS: [&str; 9] = [
    "prompts",
    "samples",
    "comparisons",
    "generations",
    "baseline",
    "references",
    "held_out_samples",
    "held_out_comparisons",
    "rankings",
];

/// Weights of all models that the worker holds at once.
fn resident(reading: &Reading<'_>, made: &Contents) -> f64 {
    let weights = |role: &str| reading.input(role).model.map_or(0.0, |shape| shape.weights);
    match &reading.stage.work {
        // While one is read or written its file is in memory, too, and training takes more than that.
        Work::Base { .. } | Work::Sft { .. } | Work::SftOnChosen { .. } | Work::Train { .. } => {
            made.model.map_or(0.0, |shape| shape.weights)
        }
        // The best epoch's beside the last.
        Work::RewardModel { training, .. } => {
            made.model.map_or(0.0, |shape| shape.weights) * if training.size.epochs > 1 { 2.0 } else { 1.0 }
        }
        Work::Reinforce { .. } => {
            // A policy of adapters has its reference in it.
            let adapted = made.model.is_some_and(|shape| shape.trained < shape.weights);
            let reference = if adapted { 0.0 } else { weights("reference") };
            made.model.map_or(0.0, |shape| shape.weights) + reference + weights("reward_model")
        }
        Work::Samples { .. } | Work::Generate { .. } => 2.0 * weights("policy").max(weights("reference")),
        Work::Evaluate { .. } => {
            // A policy of adapters without them is its reference. The other models come one after another.
            let adapted = reading.input("policy").model.is_some_and(|shape| shape.trained < shape.weights);
            let judge = weights("reward_model").max(weights("fluency")).max(weights("classifier"));
            weights("policy") + if adapted { judge } else { weights("reference").max(judge) }
        }
        Work::Exact { .. } => weights("policy") + weights("reference") + weights("reward_model"),
        Work::Judge { .. } => {
            let roles = reading.stage.inputs.keys().filter(|role| role.starts_with("judge_"));
            roles.map(|role| weights(role)).sum::<f64>() + weights("classifier")
        }
        _ => 2.0 * weights("reference").max(weights("base")).max(weights("classifier")),
    }
}

/// What a stage's models do.
fn load(reading: &Reading<'_>, made: &Contents, worker: Worker) -> Load {
    let corpus = reading.stage.corpus.as_ref();
    let labelled = || Labelled::of(reading);
    match (&reading.stage.work, made.model) {
        (Work::Base { training, role, .. }, Some(shape)) => {
            training::language_model(&shape, &training::general(corpus, *role, training.size.max_tokens), training, worker)
        }
        (Work::Sft { training, .. }, Some(shape)) => {
            training::language_model(&shape, &training::reviews(corpus, training.size.max_tokens), training, worker)
        }
        (Work::SftOnChosen { training, .. }, Some(shape)) => {
            let Pieces { prompts, completions } = labelled().all();
            let each = completions.count / prompts.count.max(1.0);
            let alone = Pieces { prompts: prompts.times(prompts.count * each), completions };
            training::language_model(&shape, &alone.part(1.0), training, worker)
        }
        (Work::RewardModel { training, .. }, Some(shape)) => training::reward_model(&shape, &labelled(), training, worker),
        (Work::Train { method, optimisation, size, examples, .. }, Some(shape)) => match method.objective() {
            Some(objective) => {
                training::preference(&shape, &labelled(), (objective, optimisation, size), *examples, reading, worker)
            }
            None => Load::default(),
        },
        (Work::Reinforce { .. }, Some(shape)) => training::reinforce(&shape, reading, worker),
        (work, _) => inference(work, reading, made, worker),
    }
}

/// The same for stages that train nothing.
fn inference(work: &Work, reading: &Reading<'_>, made: &Contents, worker: Worker) -> Load {
    match (work, reading.model(&["policy", "reference"])) {
        (Work::Samples { .. } | Work::Generate { .. }, Some(shape)) => {
            write(&shape, reading.input("prompts").prompts(), made.completions(), worker)
        }
        (Work::ReferenceLogprobs { mismatched }, Some(shape)) => {
            let (prompts, samples) = (reading.input("prompts").prompts(), reading.input("samples").completions());
            let completions = if *mismatched { samples.times(prompts.count) } else { samples };
            score(&shape, &Pieces::shared(prompts, completions), Read::LogProbs, worker)
        }
        (Work::Evaluate { .. }, Some(shape)) => evaluate(&shape, reading, worker),
        (Work::Judge { best_of_n, .. }, _) => judge(reading, best_of_n.is_some(), worker),
        (Work::Exact { world, best_of_n, .. }, Some(shape)) => {
            let pieces = texts::oracle(world, world.prompts as f64);
            let all = Pieces::shared(pieces.prompts, pieces.completions.times((world.prompts * world.completions()) as f64));
            let reference = score(&shape, &all, Read::LogProbs, worker);
            let own = if best_of_n.is_some() { Read::Scores } else { Read::LogProbs };
            reference.then(score(&shape, &all, own, worker))
        }
        (Work::Population { .. }, Some(shape)) => {
            score(&shape, &Pieces::shared(made.prompts(), made.completions()), Read::LogProbs, worker)
        }
        (Work::Comparisons { .. }, _) => {
            let classifier = reading.model(&["classifier"]);
            let pieces = Pieces::shared(reading.input("prompts").prompts(), reading.input("samples").completions());
            classifier.map(|shape| score(&shape, &pieces, Read::Scores, worker)).unwrap_or_default()
        }
        _ => Load::default(),
    }
}

/// Divergence from the reference, learned and true rewards, fluency, and held-out comparisons.
fn evaluate(policy: &Shape, reading: &Reading<'_>, worker: Worker) -> Load {
    let pieces = |prompts: &str, completions: &str| {
        Pieces::shared(reading.input(prompts).prompts(), reading.input(completions).completions())
    };
    let (written, held_out) = (pieces("prompts", "generations"), {
        let prompts = if reading.has("held_out_prompts") { "held_out_prompts" } else { "prompts" };
        pieces(prompts, "held_out_samples")
    });
    let mut load = Load::default();
    let mut add = |model: Option<Shape>, pieces: &Pieces, read: Read| {
        load = load.then(model.map(|shape| score(&shape, pieces, read, worker)).unwrap_or_default());
    };
    let is_reference = reading.same("policy", "reference");
    if !is_reference || reading.has("held_out_samples") {
        add(Some(*policy), &written, Read::LogProbs);
        add(reading.input("reference").model, &written, Read::LogProbs);
    }
    add(reading.input("reward_model").model, &written, Read::Scores);
    add(reading.input("fluency").model, &written, Read::LogProbs);
    add(reading.input("classifier").model, &written, Read::Scores);
    if reading.has("held_out_samples") {
        add(Some(*policy), &held_out, Read::LogProbs);
        add(reading.input("reward_model").model.filter(|_| is_reference), &held_out, Read::Scores);
    }
    load
}

/// Both completions of every pair, by every model of the judge.
fn judge(reading: &Reading<'_>, one_each: bool, worker: Worker) -> Load {
    let (prompts, drawn) = (reading.input("prompts").prompts(), reading.input("generations").completions());
    let drawn = if one_each { drawn.times(prompts.count) } else { drawn };
    let both = Pieces { prompts: prompts.times(2.0 * drawn.count), completions: drawn.times(2.0 * drawn.count) };
    let roles = reading.stage.inputs.keys().filter(|role| role.starts_with("judge_") || *role == "classifier");
    let models = roles.filter_map(|role| reading.input(role).model);
    models.fold(Load::default(), |load, shape| load.then(score(&shape, &both, Read::LogProbs, worker)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_cut_until_it_fits_as_far_as_that_helps() {
        let cost = |peak_memory, batch_memory| Cost { peak_memory, batch_memory, ..Cost::default() };
        assert_eq!(cost(100, 80).parts_within(100), 1);
        assert_eq!(cost(100, 80).parts_within(60), 2);
        assert_eq!(cost(100, 80).parts_within(59), 4);
        // 20 of it are there however small the parts are.
        assert_eq!(cost(100, 80).parts_within(10), MOST_PARTS);
        assert_eq!(cost(100, 0).parts_within(10), 1);
    }
}
