//! The stages of a study. What runs share appears once, because equal work has equal keys.

use super::data::Dataset;
use super::stage::Stage;
use super::work::{ModelRole, Work};
use crate::resolve::{BaseModel, Corpus, ModelFolder, Resolved};
use crate::spec::{Reward, Run, Study, Task};
use crate::store::Key;
use rayon::prelude::*;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Runs that are planned together.
const RUNS_AT_ONCE: usize = 64;

/// A study's graph, and where its runs find their evaluations.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Every stage once, inputs before what reads them.
    pub stages: Vec<Stage>,
    /// Place of every stage.
    places: HashMap<Key, usize>,
    /// One entry a run, in the study's order.
    pub runs: Vec<RunPlan>,
    /// The reward model, where there is one.
    pub reward_model: Option<Key>,
    /// The fitted true reward, where there is one.
    pub classifier: Option<Key>,
    /// (temperature, evaluation) of many completions of the reference: Best-of-N's pool, and what the optimal frontier is
    /// estimated from.
    pub pool: Vec<(f64, Key)>,
    /// The reference's exact evaluation, which holds the optimal frontier, in a world that can be enumerated.
    pub optimum: Option<Key>,
    /// Every stage that the optimal frontier needs, exact or estimated: no run's own.
    pub beside_runs: Vec<Key>,
}

/// The stages that belong to one run.
#[derive(Clone, Debug)]
pub struct RunPlan {
    /// The run's name.
    pub name: String,
    /// Its training segments, in order.
    pub segments: Vec<Key>,
    /// (step, temperature, evaluation), step 0 being the reference.
    pub evaluations: Vec<(u64, f64, Key)>,
    /// (step, exact evaluation), in a world that can be enumerated.
    pub exact: Vec<(u64, Key)>,
    /// What is drawn for judges: completions of each checkpoint, and of the last one on prompts of another kind.
    pub drawn: Vec<Drawn>,
    /// What judges say of it.
    pub judged: Vec<Judged>,
    /// Its training, drawing, scoring and judging: what fails with it alone. Step 0 is the reference's and shared.
    pub own: Vec<Key>,
    /// Every stage that it needs.
    pub needs: Vec<Key>,
}

/// Completions of one checkpoint.
#[derive(Clone, Debug)]
pub struct Drawn {
    /// Optimiser steps.
    pub step: u64,
    /// Sampling temperature.
    pub temperature: f64,
    /// Whether it is the run's last checkpoint.
    pub last: bool,
    /// Which prompts.
    pub set: PromptSet,
    /// The completions.
    pub generations: Key,
    /// The evaluation that knows their learned reward, and how many of them Best-of-N chooses from.
    pub pool: Option<(Key, usize)>,
}

/// One judge's comparison of one checkpoint with one baseline.
#[derive(Clone, Debug)]
pub struct Judged {
    /// Place in the run's `drawn`.
    pub drawn: usize,
    /// Place of the judge in the study's.
    pub judge: usize,
    /// The baseline's name.
    pub baseline: String,
    /// The verdicts.
    pub key: Key,
}

/// Prompts that policies are judged on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PromptSet {
    /// Held-out prompts of the task.
    HeldOut,
    /// Prompts of another kind than those of training.
    OutOfDistribution,
}

impl Plan {
    /// The stage with this key.
    pub fn stage(&self, key: &Key) -> Option<&Stage> {
        self.place(key).map(|place| &self.stages[place])
    }

    /// Its place among the stages.
    pub fn place(&self, key: &Key) -> Option<usize> {
        self.places.get(key).copied()
    }

    fn add(&mut self, stage: Stage) -> Key {
        let key = stage.key;
        if !self.places.contains_key(&key) {
            self.places.insert(key, self.stages.len());
            self.stages.push(stage);
        }
        key
    }

    /// A stage and everything below it.
    fn closure(&self, roots: impl IntoIterator<Item = Key>) -> Vec<Key> {
        let mut wanted: Vec<Key> = Vec::new();
        let mut seen: HashSet<Key> = HashSet::new();
        let mut want = |key: &Key, wanted: &mut Vec<Key>| {
            if seen.insert(*key) {
                wanted.push(*key);
            }
        };
        roots.into_iter().for_each(|root| want(&root, &mut wanted));
        let mut index = 0;
        while let Some(key) = wanted.get(index).cloned() {
            index += 1;
            for input in self.stage(&key).into_iter().flat_map(|stage| stage.inputs.values()) {
                want(input, &mut wanted);
            }
        }
        wanted
    }
}

/// Builds the graph of a study.
pub fn build(study: &Study, resolved: &Resolved) -> Plan {
    let mut graph = Graph { study, resolved, plan: Plan::default() };
    let shared = graph.shared();
    graph.optimum(&shared);
    // Keys of thousands of runs take a while: parts of them are planned side by side and put together in the study's order.
    let part = |runs: &[Run]| {
        let mut part = Graph { study, resolved, plan: graph.plan.clone() };
        let plans: Vec<RunPlan> = runs.iter().map(|run| part.run(run, &shared)).collect();
        (part.plan.stages.split_off(graph.plan.stages.len()), plans)
    };
    let parts: Vec<(Vec<Stage>, Vec<RunPlan>)> = study.runs.par_chunks(RUNS_AT_ONCE).map(part).collect();
    let count: usize = parts.iter().map(|(stages, _)| stages.len()).sum();
    graph.plan.stages.reserve(count);
    graph.plan.places.reserve(count);
    for (stages, runs) in parts {
        stages.into_iter().for_each(|stage| {
            graph.plan.add(stage);
        });
        graph.plan.runs.extend(runs);
    }
    graph.judge(&shared);
    let own_and_needs = |run: &RunPlan| {
        let evaluations = run.evaluations.iter().filter_map(|(.., key)| graph.plan.stage(key));
        let drawn_and_scored = evaluations.flat_map(|stage| stage.inputs.get("generations").into_iter().chain([&stage.key]));
        let exact = run.exact.iter().map(|(_, key)| key);
        let judged = run.judged.iter().map(|judged| &judged.key).chain(run.drawn.iter().map(|drawn| &drawn.generations));
        let own: Vec<Key> = run.segments.iter().chain(drawn_and_scored).chain(exact).chain(judged).cloned().collect();
        let needs = graph.plan.closure(own.clone());
        (own, needs)
    };
    let keys: Vec<(Vec<Key>, Vec<Key>)> = graph.plan.runs.par_iter().map(own_and_needs).collect();
    for (run, (own, needs)) in graph.plan.runs.iter_mut().zip(keys) {
        (run.own, run.needs) = (own, needs);
    }
    let estimated = graph.plan.pool.iter().filter(|(temperature, _)| study.evaluation.optimum_samples > 0 && *temperature == 1.0);
    let frontier: Vec<Key> = estimated.map(|(_, key)| key).chain(&graph.plan.optimum).cloned().collect();
    graph.plan.beside_runs = graph.plan.closure(frontier);
    graph.plan
}

/// Keys of what all runs share.
pub(super) struct Shared {
    /// The model before it is fine-tuned.
    pub(super) base: Key,
    /// The policy that runs start from, and to which every KL is measured.
    pub(super) reference: Key,
    /// The tokenizer that the study made itself.
    pub(super) tokenizer: Option<Key>,
    pub(super) fluency: Option<Key>,
    pub(super) train: Dataset,
    pub(super) held_out: Dataset,
    /// Prompts that policies are evaluated on; most tasks take those of the held-out comparisons.
    pub(super) prompts: Key,
    /// What people wrote after them, and after training prompts.
    pub(super) references: Option<References>,
    /// Prompts of another kind, with what people wrote after them.
    pub(super) out_of_distribution: Option<Key>,
    pub(super) reward_model: Option<Key>,
    pub(super) classifier: Option<Key>,
}

/// Artifacts of prompts with the data's own completions.
#[derive(Clone)]
pub(super) struct References {
    pub(super) train: Key,
    pub(super) held_out: Key,
}

/// A reward as keys know it: what a pretrained classifier is stands in its own stage's key, and where it lies in none.
pub(super) fn without_place(reward: &Reward) -> Reward {
    match reward {
        Reward::Classifier(_) => Reward::Classifier(String::new()),
        other => other.clone(),
    }
}

pub(super) struct Graph<'a> {
    pub(super) study: &'a Study,
    pub(super) resolved: &'a Resolved,
    pub(super) plan: Plan,
}

impl Graph<'_> {
    /// Adds a stage that reads neither data nor a pretrained model.
    pub(super) fn add(&mut self, label: impl Into<String>, work: Work, inputs: &[(&str, &Key)]) -> Key {
        self.add_reading(label, work, inputs, None, None)
    }

    /// Adds a stage that reads the task's data.
    pub(super) fn add_on_corpus(&mut self, label: impl Into<String>, work: Work, inputs: &[(&str, &Key)]) -> Key {
        let corpus = self.resolved.corpus.clone();
        self.add_reading(label, work, inputs, Some(corpus), None)
    }

    /// Adds the stage that takes a pretrained model in.
    pub(super) fn add_model(&mut self, label: impl Into<String>, work: Work, model: Option<&BaseModel>) -> Key {
        let folder = match model {
            Some(BaseModel::Folder(folder)) => Some(folder.clone()),
            Some(BaseModel::Builtin(_) | BaseModel::Hub(_)) | None => None,
        };
        self.add_reading(label, work, &[], None, folder)
    }

    pub(super) fn add_reading(
        &mut self,
        label: impl Into<String>,
        work: Work,
        inputs: &[(&str, &Key)],
        corpus: Option<Corpus>,
        model: Option<ModelFolder>,
    ) -> Key {
        let inputs = inputs.iter().map(|(role, key)| ((*role).to_owned(), *(*key))).collect::<BTreeMap<_, _>>();
        self.plan.add(Stage::new(label, work, inputs, corpus, model))
    }

    fn shared(&mut self) -> Shared {
        let study = self.study;
        let mut shared = match &study.task {
            Task::Sentiment(task) => self.sentiment(task),
            Task::Summarisation(task) => self.summarisation(task),
            Task::Dialogue(task) => self.dialogue(task),
            Task::Oracle(task) => self.oracle(task),
        };
        let seed = study.seed;
        shared.reward_model = study.reward_model.as_ref().map(|training| {
            let work = Work::RewardModel { training: training.clone(), seed };
            let inputs = [
                ("reference", &shared.reference),
                ("prompts", &shared.train.prompts),
                ("samples", &shared.train.samples),
                ("comparisons", &shared.train.comparisons),
            ];
            self.add("reward model", work, &inputs)
        });
        // The judge shares the tokenizer, so that its log-probs are of the same tokens.
        if let Some(tokenizer) = shared.tokenizer.take() {
            let work = self.language_model(ModelRole::HeldOutJudge);
            shared.fluency = Some(self.add_on_corpus("fluency judge", work, &[("tokenizer", &tokenizer)]));
        }
        self.plan.reward_model = shared.reward_model;
        self.plan.classifier = shared.classifier;
        shared
    }

    fn language_model(&self, role: ModelRole) -> Work {
        Work::Base { role, model: self.study.model.base.clone(), training: self.study.base.clone(), seed: self.study.seed }
    }

    /// The model before fine-tuning, and the tokenizer where the study makes its own.
    pub(super) fn base(&mut self) -> (Key, Option<Key>) {
        if !self.study.model.is_builtin() {
            let model = self.resolved.model.clone();
            return (self.add_model("base", Work::Pretrained {}, Some(&model)), None);
        }
        let work = Work::Tokenizer { vocabulary: self.study.model.vocabulary, seed: self.study.seed };
        let tokenizer = self.add_on_corpus("tokenizer", work, &[]);
        (self.add_on_corpus("base", self.language_model(ModelRole::Base), &[("tokenizer", &tokenizer)]), Some(tokenizer))
    }
}

impl Shared {
    /// What every task has.
    pub(super) fn of(base: Key, reference: Key, train: Dataset, held_out: Dataset) -> Self {
        Shared {
            base,
            reference,
            tokenizer: None,
            fluency: None,
            prompts: held_out.prompts,
            train,
            held_out,
            references: None,
            out_of_distribution: None,
            reward_model: None,
            classifier: None,
        }
    }
}
