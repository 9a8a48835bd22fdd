//! The stages of one run: its training, and what is measured along the way.

use super::data::Dataset;
use super::graph::{Drawn, Graph, PromptSet, RunPlan, Shared, without_place};
use super::work::Work;
use crate::methods::{Ppo, Role};
use crate::models::Sampling;
use crate::spec::{Run, SamplesFrom, Schedule, Task};
use crate::store::Key;

impl Graph<'_> {
    pub(super) fn run(&mut self, run: &Run, shared: &Shared) -> RunPlan {
        let label = run.label();
        let name = run.name.clone();
        let mut plan = RunPlan {
            name,
            segments: Vec::new(),
            evaluations: Vec::new(),
            exact: Vec::new(),
            drawn: Vec::new(),
            judged: Vec::new(),
            own: Vec::new(),
            needs: Vec::new(),
        };
        match run.method.role() {
            Role::Reference => self.evaluate(run, "reference", 0, true, &shared.reference, shared, &mut plan),
            Role::Prompting { shots } => self.prompting(shots, shared, &mut plan),
            Role::BestOfN { n } => {
                let wanted = |(temperature, _): &&(f64, Key)| self.study.evaluation.temperature.contains(temperature);
                plan.evaluations = self.plan.pool.iter().filter(wanted).map(|(t, key)| (0, *t, *key)).collect();
                let pools = plan.evaluations.iter().filter_map(|(_, temperature, key)| {
                    let generations = *self.plan.stage(key)?.inputs.get("generations")?;
                    let (set, pool) = (PromptSet::HeldOut, Some((*key, n)));
                    Some(Drawn { step: 0, temperature: *temperature, last: true, set, generations, pool })
                });
                plan.drawn = pools.collect();
                if let Task::Oracle(_) = &self.study.task {
                    plan.exact.extend(self.exact(run, label, 0, &shared.reference, shared, Some(n)).map(|key| (0, key)));
                }
            }
            Role::Train(_) | Role::Reinforce(_) => {
                let start = *self.start(run, shared);
                let starts = if start == shared.reference { "reference" } else { "base" };
                self.evaluate(run, starts, 0, false, &start, shared, &mut plan);
                let (mut first, mut policy) = (0, start);
                let mut dataset: Option<Dataset> = None;
                while first < run.size.steps {
                    let last = (first + run.size.checkpoint_every).min(run.size.steps);
                    let key = match run.method.role() {
                        Role::Reinforce(ppo) => self.reinforce(run, ppo, label, first..last, &policy, shared),
                        _ => {
                            if run.data.samples_from == SamplesFrom::Policy {
                                dataset = None;
                            }
                            let data =
                                dataset.get_or_insert_with(|| self.training_data(run, label, first, &policy, shared)).clone();
                            self.segment(run, label, first..last, &policy, &data, &shared.reference)
                        }
                    };
                    if last.is_multiple_of(run.evaluates_every(self.study.evaluation.every)) || last == run.size.steps {
                        self.evaluate(run, label, last, last == run.size.steps, &key, shared, &mut plan);
                    }
                    plan.segments.push(key);
                    (first, policy) = (last, key);
                }
            }
        }
        plan
    }

    /// The pool of the reference's completions, and its exact evaluation.
    pub(super) fn optimum(&mut self, shared: &Shared) {
        let sizes = self.study.runs.iter().filter_map(|run| match run.method.role() {
            Role::BestOfN { n } => Some(n),
            Role::Train(_) | Role::Reinforce(_) | Role::Prompting { .. } | Role::Reference => None,
        });
        let largest = sizes.max().unwrap_or(0);
        // KL and so the optimum are of temperature 1. One pool of completions, as many as the greatest N needs, serves every N.
        let mut sizes: Vec<(f64, usize)> =
            self.study.evaluation.temperature.iter().map(|temperature| (*temperature, largest)).collect();
        let optimum = self.study.evaluation.optimum_samples;
        match sizes.iter_mut().find(|(temperature, _)| *temperature == 1.0) {
            Some((_, size)) => *size = largest.max(optimum),
            None => sizes.push((1.0, optimum)),
        }
        for (temperature, size) in sizes.into_iter().filter(|(_, size)| *size > 0) {
            let (_, key) = self.evaluation("best-of-n pool", 0, temperature, &shared.reference, shared, Some(size));
            self.plan.pool.push((temperature, key));
        }
        if let Task::Oracle(task) = &self.study.task {
            let work = Work::Exact { world: task.world.clone(), beta: None, best_of_n: None };
            let inputs = [("policy", &shared.reference), ("reference", &shared.reference)];
            self.plan.optimum = Some(self.add("exact reference 0", work, &inputs));
        }
    }

    fn segment(
        &mut self,
        run: &Run,
        label: &str,
        steps: std::ops::Range<u64>,
        policy: &Key,
        data: &Dataset,
        reference: &Key,
    ) -> Key {
        let work = Work::Train {
            method: run.method.clone(),
            lora: self.study.model.lora.clone(),
            optimisation: run.optimisation.clone(),
            size: keyed_size(run),
            examples: run.data.comparisons,
            first: steps.start,
            last: steps.end,
            seed: self.study.seed,
            run_seed: run.seed,
        };
        let mut inputs = vec![("prompts", &data.prompts), ("samples", &data.samples), ("comparisons", &data.comparisons)];
        inputs.extend(data.rankings.as_ref().map(|key| ("rankings", key)));
        inputs.push((if steps.start == 0 { "reference" } else { "previous" }, policy));
        if steps.start > 0 && self.study.model.lora.is_some() {
            inputs.push(("reference", reference));
        }
        if let Some(objective) = run.method.objective() {
            if objective.needs_reference() {
                inputs.push(("reference_logprobs", &data.logprobs));
            }
            inputs.extend(data.mismatched.as_ref().map(|key| ("mismatched_logprobs", key)));
        }
        self.add(format!("train {label} {}-{}", steps.start, steps.end), work, &inputs)
    }

    fn reinforce(
        &mut self,
        run: &Run,
        ppo: &Ppo,
        label: &str,
        steps: std::ops::Range<u64>,
        policy: &Key,
        shared: &Shared,
    ) -> Key {
        let truth = self.study.task.reward().filter(|_| ppo.uses_true_reward()).map(without_place);
        let work = Work::Reinforce {
            method: run.method.clone(),
            lora: self.study.model.lora.clone(),
            optimisation: run.optimisation.clone(),
            size: keyed_size(run),
            max_new_tokens: self.study.evaluation.max_new_tokens,
            reward: truth,
            first: steps.start,
            last: steps.end,
            seed: self.study.seed,
            run_seed: run.seed,
        };
        let mut inputs = vec![("reference", self.start(run, shared)), ("prompts", &shared.train.prompts)];
        if steps.start > 0 {
            inputs.push(("previous", policy));
        }
        let judge = if ppo.uses_true_reward() { &shared.classifier } else { &shared.reward_model };
        let role = if ppo.uses_true_reward() { "classifier" } else { "reward_model" };
        inputs.extend(judge.as_ref().map(|key| (role, key)));
        self.add(format!("train {label} {}-{}", steps.start, steps.end), work, &inputs)
    }

    /// Evaluates a checkpoint at its temperatures, and exactly where that can be done.
    #[expect(clippy::too_many_arguments, reason = "each is one thing, and the callers are in this file")]
    fn evaluate(&mut self, run: &Run, label: &str, step: u64, last: bool, policy: &Key, shared: &Shared, plan: &mut RunPlan) {
        let evaluation = &self.study.evaluation;
        let few = !last && !evaluation.checkpoint_temperature.is_empty();
        let temperatures = if few { evaluation.checkpoint_temperature.clone() } else { evaluation.temperature.clone() };
        for temperature in temperatures {
            let (generations, key) = self.evaluation(label, step, temperature, policy, shared, None);
            plan.evaluations.push((step, temperature, key));
            plan.drawn.push(Drawn { step, temperature, last, set: PromptSet::HeldOut, generations, pool: None });
        }
        if last && !self.study.judges.is_empty() {
            self.draw_out_of_distribution(label, step, policy, shared, plan);
        }
        plan.exact.extend(self.exact(run, label, step, policy, shared, None).map(|key| (step, key)));
    }

    /// Completions of a run's last checkpoint on prompts of another kind, for judges.
    fn draw_out_of_distribution(&mut self, label: &str, step: u64, policy: &Key, shared: &Shared, plan: &mut RunPlan) {
        let Some(prompts) = &shared.out_of_distribution else { return };
        for temperature in self.study.evaluation.temperature.clone() {
            let name = format!("generate {label} {step}, out of distribution{}", at(temperature));
            let generations = self.generations(name, temperature, None, policy, prompts, shared);
            plan.drawn.push(Drawn { step, temperature, last: true, set: PromptSet::OutOfDistribution, generations, pool: None });
        }
    }

    /// Completions of the base model after examples: they are only judged, since they have no KL to a reference that sees none.
    fn prompting(&mut self, shots: usize, shared: &Shared, plan: &mut RunPlan) {
        let Some(references) = &shared.references else { return };
        let label = format!("prompting with {shots} examples");
        let mut prompts = shared.prompts;
        if shots > 0 {
            let work = Work::FewShot {
                shots,
                max_new_tokens: self.study.evaluation.max_new_tokens,
                reward: self.study.task.reward().map(without_place),
                seed: self.study.seed,
            };
            let inputs = [("base", &shared.base), ("prompts", &prompts), ("train", &references.train)];
            prompts = self.add(format!("{shots}-shot prompts"), work, &inputs);
        }
        for temperature in self.study.evaluation.temperature.clone() {
            let name = format!("generate {label}{}", at(temperature));
            let generations = self.generations(name, temperature, None, &shared.base, &prompts, shared);
            plan.drawn.push(Drawn { step: 0, temperature, last: true, set: PromptSet::HeldOut, generations, pool: None });
        }
    }

    /// The exact evaluation of a policy, in a world that can be enumerated.
    fn exact(
        &mut self,
        run: &Run,
        label: &str,
        step: u64,
        policy: &Key,
        shared: &Shared,
        best_of_n: Option<usize>,
    ) -> Option<Key> {
        let Task::Oracle(task) = &self.study.task else { return None };
        let beta = run.method.optimum_beta(task.labelling.reward_scale);
        let work = Work::Exact { world: task.world.clone(), beta, best_of_n };
        let mut inputs = vec![("policy", policy), ("reference", &shared.reference)];
        if best_of_n.is_some() {
            inputs.extend(shared.reward_model.as_ref().map(|key| ("reward_model", key)));
        }
        Some(self.add(format!("exact {label} {step}"), work, &inputs))
    }

    /// Completions of a policy after `prompts`; so many a prompt as a pool needs, or as the study says.
    pub(super) fn generations(
        &mut self,
        name: String,
        temperature: f64,
        pool: Option<usize>,
        policy: &Key,
        prompts: &Key,
        shared: &Shared,
    ) -> Key {
        let evaluation = &self.study.evaluation;
        let work = Work::Generate {
            sampling: Sampling {
                temperature,
                top_k: evaluation.top_k,
                top_p: evaluation.top_p,
                max_new_tokens: evaluation.max_new_tokens,
                samples: pool.unwrap_or(evaluation.samples_per_prompt),
            },
            rival: false,
            seed: self.study.seed,
        };
        let mut inputs = vec![("policy", policy), ("prompts", prompts)];
        if self.study.model.lora.is_some() && *policy != shared.reference && *policy != shared.base {
            inputs.push(("reference", &shared.reference));
        }
        self.add(name, work, &inputs)
    }

    /// Completions of a checkpoint, and their evaluation.
    pub(super) fn evaluation(
        &mut self,
        label: &str,
        step: u64,
        temperature: f64,
        policy: &Key,
        shared: &Shared,
        pool: Option<usize>,
    ) -> (Key, Key) {
        let reward = self.study.task.reward().map(without_place);
        let prompts = &shared.prompts;
        let at = at(temperature);
        let generations = self.generations(format!("generate {label} {step}{at}"), temperature, pool, policy, prompts, shared);
        let mut inputs =
            vec![("policy", policy), ("reference", &shared.reference), ("prompts", prompts), ("generations", &generations)];
        inputs.extend(shared.reward_model.as_ref().map(|key| ("reward_model", key)));
        inputs.extend(shared.classifier.as_ref().map(|key| ("classifier", key)));
        if pool.is_none() {
            inputs.extend(shared.fluency.as_ref().map(|key| ("fluency", key)));
            inputs.push(("held_out_samples", &shared.held_out.samples));
            inputs.push(("held_out_comparisons", &shared.held_out.comparisons));
            inputs.push(("held_out_logprobs", &shared.held_out.logprobs));
            if shared.held_out.prompts != *prompts {
                inputs.push(("held_out_prompts", &shared.held_out.prompts));
            }
        }
        let key = self.add(format!("evaluate {label} {step}{at}"), Work::Evaluate { reward }, &inputs);
        (generations, key)
    }
}

/// A temperature in a stage's name.
fn at(temperature: f64) -> String {
    if temperature == 1.0 { String::new() } else { format!(" at temperature {temperature}") }
}

/// A run's sizes as keys know them: `steps` only where the schedule depends on it, so that raising it keeps finished segments.
fn keyed_size(run: &Run) -> crate::spec::TrainingSize {
    let mut size = run.size.clone();
    if run.optimisation.schedule == Schedule::Constant {
        size.steps = 0;
    }
    (size.checkpoint_every, size.evaluate_every) = (0, 0);
    size
}
