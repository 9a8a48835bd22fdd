//! The stages of a study. What runs share appears once, because equal work has equal keys.

use super::stage::{ModelRole, Split, Stage, Work};
use crate::methods::Role;
use crate::models::Sampling;
use crate::resolve::{BaseModel, Resolved};
use crate::spec::{Dialogue, Reward, Run, Schedule, Sentiment, Study, Task};
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
    let mut graph =
        Graph { study, resolved, plan: Plan { stages: Vec::new(), runs: Vec::new(), reward_model: None, classifier: None } };
    let shared = graph.shared();
    for run in &study.runs {
        let run = graph.run(run, &shared);
        graph.plan.runs.push(run);
    }
    for index in 0..graph.plan.runs.len() {
        let run = &graph.plan.runs[index];
        let evaluations = run.evaluations.iter().filter_map(|(.., key)| graph.plan.stage(key));
        let drawn_and_scored = evaluations.flat_map(|stage| stage.inputs.get("generations").into_iter().chain([&stage.key]));
        let own: Vec<Key> = run.segments.iter().chain(drawn_and_scored).cloned().collect();
        let needs = graph.plan.closure(own.clone());
        let run = &mut graph.plan.runs[index];
        (run.own, run.needs) = (own, needs);
    }
    graph.plan
}

/// Keys of what all runs share.
struct Shared {
    reference: Key,
    /// The tokenizer that the study made itself.
    tokenizer: Option<Key>,
    fluency: Option<Key>,
    train: Comparisons,
    held_out: Comparisons,
    reward_model: Option<Key>,
    classifier: Option<Key>,
}

struct Comparisons {
    prompts: Key,
    samples: Key,
    comparisons: Key,
    logprobs: Key,
}

/// A reward as keys know it: what a pretrained classifier is stands in its own stage's key, and where it lies in none.
fn without_place(reward: &Reward) -> Reward {
    match reward {
        Reward::Classifier(_) => Reward::Classifier(String::new()),
        other => other.clone(),
    }
}

struct Graph<'a> {
    study: &'a Study,
    resolved: &'a Resolved,
    plan: Plan,
}

impl Graph<'_> {
    fn add(&mut self, label: impl Into<String>, work: Work, inputs: &[(&str, &Key)], reads_corpus: bool) -> Key {
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

    /// The reference writes completions, and a known reward compares them.
    fn sentiment(&mut self, task: &Sentiment) -> Shared {
        let seed = self.study.seed;
        let (base, tokenizer) = if self.study.model.is_builtin() {
            let work = Work::Tokenizer { vocabulary: self.study.model.vocabulary, seed };
            let tokenizer = self.add("tokenizer", work, &[], true);
            let base = self.add("base", self.language_model(ModelRole::Base), &[("tokenizer", &tokenizer)], true);
            (base, Some(tokenizer))
        } else {
            (self.add("base", Work::Pretrained {}, &[], false), None)
        };
        let work = Work::Sft { training: self.study.sft.clone(), seed };
        let reference = self.add("sft", work, &[("base", &base)], true);
        let classifier = match task.reward {
            Reward::Builtin(_) => None,
            Reward::Fit(_) => Some(self.add("classifier", Work::Classifier { seed }, &[], true)),
            Reward::Classifier(_) => Some(self.add("classifier", Work::PretrainedClassifier {}, &[], false)),
        };
        let train = self.comparisons(task, Split::Train, &reference, classifier.as_ref(), None);
        let held_out = self.comparisons(task, Split::HeldOut, &reference, classifier.as_ref(), Some(&train.prompts));
        Shared { reference, tokenizer, fluency: None, train, held_out, reward_model: None, classifier }
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
            let logprobs = self.add(format!("{name}reference log-probs"), Work::ReferenceLogprobs {}, &inputs, false);
            Comparisons { prompts: given.clone(), samples: given.clone(), comparisons: given, logprobs }
        });
        Shared { reference, tokenizer: None, fluency: None, train, held_out, reward_model: None, classifier: None }
    }

    fn comparisons(
        &mut self,
        task: &Sentiment,
        split: Split,
        reference: &Key,
        classifier: Option<&Key>,
        train: Option<&Key>,
    ) -> Comparisons {
        let seed = self.study.seed;
        let (name, count) = match split {
            Split::Train => ("", task.prompts),
            Split::HeldOut => ("held-out ", self.study.evaluation.prompts),
        };
        let work = Work::Prompts { split, prefix_tokens: task.prefix_tokens, count, seed };
        let mut inputs = vec![("reference", reference)];
        inputs.extend(train.map(|key| ("train", key)));
        let prompts = self.add(format!("{name}prompts"), work, &inputs, true);
        let work = Work::Samples { completions: task.completions, max_new_tokens: task.max_new_tokens, seed };
        let samples = self.add(format!("{name}samples"), work, &[("reference", reference), ("prompts", &prompts)], false);
        let work = Work::Comparisons {
            reward: without_place(&task.reward),
            labels: task.labels,
            reward_scale: task.reward_scale,
            label_noise: task.label_noise,
            seed,
        };
        let mut inputs = vec![("reference", reference), ("prompts", &prompts), ("samples", &samples)];
        inputs.extend(classifier.map(|key| ("classifier", key)));
        let comparisons = self.add(format!("{name}comparisons"), work, &inputs, false);
        let inputs = [("reference", reference), ("prompts", &prompts), ("samples", &samples)];
        let logprobs = self.add(format!("{name}reference log-probs"), Work::ReferenceLogprobs {}, &inputs, false);
        Comparisons { prompts, samples, comparisons, logprobs }
    }

    fn run(&mut self, run: &Run, shared: &Shared) -> RunPlan {
        let label = run.label();
        let mut evaluations = Vec::new();
        let mut segments = Vec::new();
        match run.method.role() {
            Role::Reference => self.evaluate("reference", 0, &shared.reference, shared, None, &mut evaluations),
            Role::BestOfN { .. } => {
                // One pool of completions, as many as the greatest N needs, serves every N.
                let sizes = self.study.runs.iter().filter_map(|run| match run.method.role() {
                    Role::BestOfN { n } => Some(n),
                    Role::Train(_) | Role::Reference => None,
                });
                let pool = sizes.max().unwrap_or(1);
                self.evaluate("best-of-n pool", 0, &shared.reference, shared, Some(pool), &mut evaluations);
            }
            Role::Train(_) => {
                self.evaluate("reference", 0, &shared.reference, shared, None, &mut evaluations);
                let mut first = 0;
                let mut previous: Option<Key> = None;
                while first < run.size.steps {
                    let last = (first + run.size.checkpoint_every).min(run.size.steps);
                    let key = self.segment(run, label, first, last, previous.as_ref(), shared);
                    if last.is_multiple_of(self.study.evaluation.every) || last == run.size.steps {
                        self.evaluate(label, last, &key, shared, None, &mut evaluations);
                    }
                    segments.push(key.clone());
                    previous = Some(key);
                    first = last;
                }
            }
        }
        RunPlan { name: run.name.clone(), segments, evaluations, own: Vec::new(), needs: Vec::new() }
    }

    fn segment(&mut self, run: &Run, label: &str, first: u64, last: u64, previous: Option<&Key>, shared: &Shared) -> Key {
        let mut size = run.size.clone();
        if run.optimisation.schedule == Schedule::Constant {
            size.steps = 0;
        }
        size.checkpoint_every = 0;
        let work = Work::Train {
            method: run.method.clone(),
            lora: self.study.model.lora.clone(),
            optimisation: run.optimisation.clone(),
            size,
            first,
            last,
            seed: self.study.seed,
            run_seed: run.seed,
        };
        let train = &shared.train;
        let mut inputs = vec![("prompts", &train.prompts), ("samples", &train.samples), ("comparisons", &train.comparisons)];
        inputs.push(previous.map_or(("reference", &shared.reference), |key| ("previous", key)));
        if previous.is_some() && self.study.model.lora.is_some() {
            inputs.push(("reference", &shared.reference));
        }
        if run.method.objective().is_some_and(|objective| objective.needs_reference()) {
            inputs.push(("reference_logprobs", &train.logprobs));
        }
        self.add(format!("train {label} {first}-{last}"), work, &inputs, false)
    }

    fn evaluate(
        &mut self,
        label: &str,
        step: u64,
        policy: &Key,
        shared: &Shared,
        pool: Option<usize>,
        evaluations: &mut Vec<(u64, f64, Key)>,
    ) {
        let evaluation = &self.study.evaluation;
        let reward = self.study.task.reward().map(without_place);
        for temperature in evaluation.temperature.clone() {
            let work = Work::Generate {
                sampling: Sampling {
                    temperature,
                    top_k: evaluation.top_k,
                    top_p: evaluation.top_p,
                    max_new_tokens: evaluation.max_new_tokens,
                    samples: pool.unwrap_or(evaluation.samples_per_prompt),
                },
                seed: self.study.seed,
            };
            let at = if temperature == 1.0 { String::new() } else { format!(" at temperature {temperature}") };
            let prompts = &shared.held_out.prompts;
            let name = format!("generate {label} {step}{at}");
            let mut inputs = vec![("policy", policy), ("prompts", prompts)];
            if self.study.model.lora.is_some() && *policy != shared.reference {
                inputs.push(("reference", &shared.reference));
            }
            let generations = self.add(name, work, &inputs, false);
            let mut inputs =
                vec![("policy", policy), ("reference", &shared.reference), ("prompts", prompts), ("generations", &generations)];
            inputs.extend(shared.reward_model.as_ref().map(|key| ("reward_model", key)));
            inputs.extend(shared.classifier.as_ref().map(|key| ("classifier", key)));
            if pool.is_none() {
                inputs.extend(shared.fluency.as_ref().map(|key| ("fluency", key)));
                inputs.push(("held_out_samples", &shared.held_out.samples));
                inputs.push(("held_out_comparisons", &shared.held_out.comparisons));
                inputs.push(("held_out_logprobs", &shared.held_out.logprobs));
            }
            let name = format!("evaluate {label} {step}{at}");
            let key = self.add(name, Work::Evaluate { reward: reward.clone() }, &inputs, false);
            evaluations.push((step, temperature, key));
        }
    }
}
