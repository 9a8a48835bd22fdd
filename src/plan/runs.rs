//! The stages of one run: its training, and what is measured along the way.

use super::data::Dataset;
use super::graph::{Graph, RunPlan, Shared, without_place};
use super::stage::Work;
use crate::methods::{Ppo, Role};
use crate::models::Sampling;
use crate::spec::{Run, SamplesFrom, Schedule, Task};
use crate::store::Key;

impl Graph<'_> {
    pub(super) fn run(&mut self, run: &Run, shared: &Shared) -> RunPlan {
        let label = run.label();
        let name = run.name.clone();
        let (evaluations, exact, segments) = (Vec::new(), Vec::new(), Vec::new());
        let mut plan = RunPlan { name, segments, evaluations, exact, own: Vec::new(), needs: Vec::new() };
        match run.method.role() {
            Role::Reference => self.evaluate(run, "reference", 0, &shared.reference, shared, &mut plan),
            Role::BestOfN { n } => {
                let wanted = |(temperature, _): &&(f64, Key)| self.study.evaluation.temperature.contains(temperature);
                plan.evaluations = self.plan.pool.iter().filter(wanted).map(|(t, key)| (0, *t, key.clone())).collect();
                if let Task::Oracle(_) = &self.study.task {
                    plan.exact.extend(self.exact(run, label, 0, &shared.reference, shared, Some(n)).map(|key| (0, key)));
                }
            }
            Role::Train(_) | Role::Reinforce(_) => {
                let start = self.start(run, shared).clone();
                let starts = if start == shared.reference { "reference" } else { "base" };
                self.evaluate(run, starts, 0, &start, shared, &mut plan);
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
                        self.evaluate(run, label, last, &key, shared, &mut plan);
                    }
                    plan.segments.push(key.clone());
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
            Role::Train(_) | Role::Reinforce(_) | Role::Reference => None,
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
            let key = self.evaluation("best-of-n pool", 0, temperature, &shared.reference, shared, Some(size));
            self.plan.pool.push((temperature, key));
        }
        if let Task::Oracle(task) = &self.study.task {
            let work = Work::Exact { world: task.world.clone(), beta: None, best_of_n: None };
            let inputs = [("policy", &shared.reference), ("reference", &shared.reference)];
            self.plan.optimum = Some(self.add("exact reference 0", work, &inputs, false));
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
        self.add(format!("train {label} {}-{}", steps.start, steps.end), work, &inputs, false)
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
        self.add(format!("train {label} {}-{}", steps.start, steps.end), work, &inputs, false)
    }

    /// Evaluates a policy at every temperature, and exactly where that can be done.
    fn evaluate(&mut self, run: &Run, label: &str, step: u64, policy: &Key, shared: &Shared, plan: &mut RunPlan) {
        for temperature in self.study.evaluation.temperature.clone() {
            let key = self.evaluation(label, step, temperature, policy, shared, None);
            plan.evaluations.push((step, temperature, key));
        }
        plan.exact.extend(self.exact(run, label, step, policy, shared, None).map(|key| (step, key)));
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
        Some(self.add(format!("exact {label} {step}"), work, &inputs, false))
    }

    fn evaluation(
        &mut self,
        label: &str,
        step: u64,
        temperature: f64,
        policy: &Key,
        shared: &Shared,
        pool: Option<usize>,
    ) -> Key {
        let evaluation = &self.study.evaluation;
        let reward = self.study.task.reward().map(without_place);
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
        self.add(format!("evaluate {label} {step}{at}"), Work::Evaluate { reward }, &inputs, false)
    }
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
