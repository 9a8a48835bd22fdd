//! The stages of a study. What runs share appears once, because equal work has equal keys.

use super::data::{Dataset, Labelled};
use super::stage::{ModelRole, Split, Stage, Work};
use crate::resolve::{BaseModel, Resolved};
use crate::spec::{Dialogue, Oracle, Reward, Sentiment, Study, Task};
use crate::store::Key;
use std::collections::BTreeMap;

/// A study's graph, and where its runs find their evaluations.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Every stage once, inputs before what reads them.
    pub stages: Vec<Stage>,
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
    /// Its training, drawing and scoring: what fails with it alone. Step 0 is the reference's and shared.
    pub own: Vec<Key>,
    /// Every stage that it needs.
    pub needs: Vec<Key>,
}

impl Plan {
    /// The stage with this key.
    pub fn stage(&self, key: &Key) -> Option<&Stage> {
        self.stages.iter().find(|stage| stage.key == *key)
    }

    /// A stage and everything below it.
    fn closure(&self, roots: impl IntoIterator<Item = Key>) -> Vec<Key> {
        let mut wanted: Vec<Key> = roots.into_iter().collect();
        let mut index = 0;
        while let Some(key) = wanted.get(index).cloned() {
            index += 1;
            for input in self.stage(&key).into_iter().flat_map(|stage| stage.inputs.values()) {
                if !wanted.contains(input) {
                    wanted.push(input.clone());
                }
            }
        }
        wanted
    }
}

/// Builds the graph of a study.
pub fn build(study: &Study, resolved: &Resolved) -> Plan {
    let plan = Plan {
        stages: Vec::new(),
        runs: Vec::new(),
        reward_model: None,
        classifier: None,
        pool: Vec::new(),
        optimum: None,
        beside_runs: Vec::new(),
    };
    let mut graph = Graph { study, resolved, plan };
    let shared = graph.shared();
    graph.optimum(&shared);
    for run in &study.runs {
        let run = graph.run(run, &shared);
        graph.plan.runs.push(run);
    }
    for index in 0..graph.plan.runs.len() {
        let run = &graph.plan.runs[index];
        let evaluations = run.evaluations.iter().filter_map(|(.., key)| graph.plan.stage(key));
        let drawn_and_scored = evaluations.flat_map(|stage| stage.inputs.get("generations").into_iter().chain([&stage.key]));
        let exact = run.exact.iter().map(|(_, key)| key);
        let own: Vec<Key> = run.segments.iter().chain(drawn_and_scored).chain(exact).cloned().collect();
        let needs = graph.plan.closure(own.clone());
        let run = &mut graph.plan.runs[index];
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
    tokenizer: Option<Key>,
    pub(super) fluency: Option<Key>,
    pub(super) train: Dataset,
    pub(super) held_out: Dataset,
    pub(super) reward_model: Option<Key>,
    pub(super) classifier: Option<Key>,
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
    resolved: &'a Resolved,
    pub(super) plan: Plan,
}

impl Graph<'_> {
    pub(super) fn add(&mut self, label: impl Into<String>, work: Work, inputs: &[(&str, &Key)], reads_corpus: bool) -> Key {
        let inputs = inputs.iter().map(|(role, key)| ((*role).to_owned(), (*key).clone())).collect::<BTreeMap<_, _>>();
        let model = match (&work, &self.resolved.model) {
            (Work::Pretrained {}, BaseModel::Folder(folder)) => Some(folder.clone()),
            (Work::PretrainedClassifier {}, _) => match &self.resolved.classifier {
                Some(BaseModel::Folder(folder)) => Some(folder.clone()),
                _ => None,
            },
            _ => None,
        };
        let stage = Stage::new(label, work, inputs, reads_corpus.then(|| self.resolved.corpus.clone()), model);
        let key = stage.key.clone();
        if self.plan.stage(&key).is_none() {
            self.plan.stages.push(stage);
        }
        key
    }

    fn shared(&mut self) -> Shared {
        let study = self.study;
        let mut shared = match &study.task {
            Task::Sentiment(task) => self.sentiment(task),
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
            self.add("reward model", work, &inputs, false)
        });
        // The judge shares the tokenizer, so that its log-probs are of the same tokens.
        if let Some(tokenizer) = shared.tokenizer.take() {
            let work = self.language_model(ModelRole::HeldOutJudge);
            shared.fluency = Some(self.add("fluency judge", work, &[("tokenizer", &tokenizer)], true));
        }
        self.plan.reward_model = shared.reward_model.clone();
        self.plan.classifier = shared.classifier.clone();
        shared
    }

    fn language_model(&self, role: ModelRole) -> Work {
        Work::Base { role, model: self.study.model.base.clone(), training: self.study.base.clone(), seed: self.study.seed }
    }

    /// The model before fine-tuning, and the tokenizer where the study makes its own.
    fn base(&mut self) -> (Key, Option<Key>) {
        if !self.study.model.is_builtin() {
            return (self.add("base", Work::Pretrained {}, &[], false), None);
        }
        let work = Work::Tokenizer { vocabulary: self.study.model.vocabulary, seed: self.study.seed };
        let tokenizer = self.add("tokenizer", work, &[], true);
        (self.add("base", self.language_model(ModelRole::Base), &[("tokenizer", &tokenizer)], true), Some(tokenizer))
    }

    /// The reference writes completions, and a known reward compares them.
    fn sentiment(&mut self, task: &Sentiment) -> Shared {
        let seed = self.study.seed;
        let (base, tokenizer) = self.base();
        let work = Work::Sft { training: self.study.sft.clone(), seed };
        let reference = self.add("sft", work, &[("base", &base)], true);
        let classifier = match task.reward {
            Reward::Builtin(_) | Reward::Oracle(_) => None,
            Reward::Fit(_) => Some(self.add("classifier", Work::Classifier { seed }, &[], true)),
            Reward::Classifier(_) => Some(self.add("classifier", Work::PretrainedClassifier {}, &[], false)),
        };
        let kind = Labelled {
            prefix_tokens: task.prefix_tokens,
            completions: task.completions,
            max_new_tokens: task.max_new_tokens,
            reward: &task.reward,
            labelling: &task.labelling,
            classifier: classifier.as_ref(),
        };
        let train = self.dataset(&kind, Split::Train, task.prompts, &reference, None);
        let held_out = self.dataset(&kind, Split::HeldOut, self.study.evaluation.prompts, &reference, Some(&train.prompts));
        Shared { base, reference, tokenizer, fluency: None, train, held_out, reward_model: None, classifier }
    }

    /// As in sentiment, but the base model is the reference, and every comparison has a prompt of its own: the few prompts come
    /// again and again.
    fn oracle(&mut self, task: &Oracle) -> Shared {
        let (base, _) = self.base();
        let kind = Labelled {
            prefix_tokens: [2, 2],
            completions: 2,
            max_new_tokens: task.world.length,
            reward: &task.reward,
            labelling: &task.labelling,
            classifier: None,
        };
        let train = self.dataset(&kind, Split::Train, task.comparisons, &base, None);
        let held_out = self.dataset(&kind, Split::HeldOut, self.study.evaluation.prompts, &base, Some(&train.prompts));
        let (reference, tokenizer, fluency) = (base.clone(), None, None);
        Shared { base, reference, tokenizer, fluency, train, held_out, reward_model: None, classifier: None }
    }

    /// Comparisons are given, and the reference imitates their chosen completions.
    fn dialogue(&mut self, task: &Dialogue) -> Shared {
        let seed = self.study.seed;
        let base = self.add("base", Work::Pretrained {}, &[], false);
        let given = |split, count| Work::Given {
            split,
            count,
            multi_turn: task.multi_turn,
            chat: task.chat,
            max_tokens: [task.max_prompt_tokens, task.max_completion_tokens],
            seed,
        };
        let train = self.add("comparisons", given(Split::Train, task.pairs), &[("base", &base)], true);
        let inputs = [("base", &base), ("train", &train)];
        let work = given(Split::HeldOut, self.study.evaluation.prompts);
        let held_out = self.add("held-out comparisons", work, &inputs, true);
        let work = Work::SftOnChosen { training: self.study.sft.clone(), seed };
        let inputs = [("base", &base), ("prompts", &train), ("samples", &train), ("comparisons", &train)];
        let reference = self.add("sft", work, &inputs, false);
        let [train, held_out] = [("", train), ("held-out ", held_out)].map(|(name, given)| {
            let inputs = [("reference", &reference), ("prompts", &given), ("samples", &given)];
            let logprobs =
                self.add(format!("{name}reference log-probs"), Work::ReferenceLogprobs { mismatched: false }, &inputs, false);
            Dataset {
                prompts: given.clone(),
                samples: given.clone(),
                comparisons: given,
                rankings: None,
                logprobs,
                mismatched: None,
            }
        });
        Shared { base, reference, tokenizer: None, fluency: None, train, held_out, reward_model: None, classifier: None }
    }
}
