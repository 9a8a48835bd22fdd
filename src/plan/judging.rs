//! What judges are asked: every drawn checkpoint against every baseline.

use super::graph::{Drawn, Graph, Judged, PromptSet, Shared, without_place};
use super::work::Work;
use crate::judges::{self, Source, Subject};
use crate::spec::{Baseline, Judge, Task};
use crate::store::Key;

impl Graph<'_> {
    /// Adds the verdicts of all judges once every run is planned, since one run can be another's baseline.
    pub(super) fn judge(&mut self, shared: &Shared) {
        let (judges, baselines) = (self.study.judges.clone(), self.study.baselines());
        for run in 0..self.plan.runs.len() {
            let run_plan = self.plan.runs[run].clone();
            let label = self.study.runs[run].label().to_owned();
            for (drawn_at, drawn) in run_plan.drawn.iter().enumerate() {
                for (judge_at, judge) in judges.iter().enumerate() {
                    for (name, baseline) in &baselines {
                        let key = self.verdicts(&label, drawn, judge, (name, baseline), shared);
                        let judged = |key| Judged { drawn: drawn_at, judge: judge_at, baseline: name.clone(), key };
                        self.plan.runs[run].judged.extend(key.map(judged));
                    }
                }
            }
        }
    }

    /// One judge's verdicts on one checkpoint against one baseline; nothing where there is no such baseline.
    fn verdicts(
        &mut self,
        label: &str,
        drawn: &Drawn,
        judge: &Judge,
        (name, baseline): (&str, &Baseline),
        shared: &Shared,
    ) -> Option<Key> {
        let references = match drawn.set {
            PromptSet::HeldOut => shared.references.as_ref().map(|references| references.held_out),
            PromptSet::OutOfDistribution => shared.out_of_distribution,
        };
        let against = match baseline {
            Baseline::Data => None,
            Baseline::Sft => Some(self.drawn_of_reference(drawn, shared)?),
            Baseline::Run { run, temperature } => {
                let at = temperature.unwrap_or(drawn.temperature);
                Some(self.drawn_of(run, drawn.set, at)?)
            }
        };
        let itself = against.is_none() && judge.kind.settings().measures_by_reference();
        // Best-of-N's pool may be what the reference wrote for its own evaluation: what is chosen from it is not all of it.
        let same = drawn.pool.is_none() && against == Some(drawn.generations);
        if itself || same || (against.is_none() && references.is_none()) {
            // Nothing to compare with, or it is itself.
            return None;
        }
        let against = against.map(|key| self.rival(&key));
        let prompts = match drawn.set {
            PromptSet::HeldOut => &shared.prompts,
            PromptSet::OutOfDistribution => shared.out_of_distribution.as_ref()?,
        };
        let kind = judge.kind.clone();
        let truth = self.study.task.reward().filter(|_| kind.settings().needs_truth()).map(without_place);
        let work = Work::Judge {
            subject: subject(&self.study.task, drawn.set),
            best_of_n: drawn.pool.as_ref().map(|(_, n)| *n),
            truth,
            judge: kind,
        };
        let models = self.models_of(judge, shared)?;
        let mut inputs: Vec<(&str, &Key)> =
            vec![("reference", &shared.reference), ("prompts", prompts), ("generations", &drawn.generations)];
        inputs.extend(references.as_ref().map(|key| ("references", key)));
        inputs.extend(against.as_ref().map(|key| ("baseline", key)));
        inputs.extend(drawn.pool.as_ref().map(|(evaluation, _)| ("evaluation", evaluation)));
        inputs.extend(shared.classifier.as_ref().filter(|_| judge.kind.settings().needs_truth()).map(|key| ("classifier", key)));
        inputs.extend(models.iter().map(|(role, key)| (role.as_str(), key)));
        let set = if drawn.set == PromptSet::OutOfDistribution { ", out of distribution" } else { "" };
        let label = format!("{} of {label} {}{set} at temperature {} against {name}", judge.name, drawn.step, drawn.temperature);
        Some(self.add(label, work, &inputs))
    }

    /// The models that a judge names, by the role of the stage's input.
    fn models_of(&mut self, judge: &Judge, shared: &Shared) -> Option<Vec<(String, Key)>> {
        let mut models = Vec::new();
        for (role, source) in judge.kind.settings().models() {
            let key = match source {
                Source::LearnedReward => shared.reward_model?,
                Source::Reference => shared.reference,
                Source::Run(name) => {
                    let at = self.study.runs.iter().position(|run| run.name == name || run.label() == name)?;
                    *self.plan.runs.get(at)?.segments.last()?
                }
                Source::Named(_) => {
                    let model = self.resolved.judges.get(&(judge.name.clone(), role.to_owned())).cloned();
                    let work = match judge.kind {
                        judges::Kind::Classifier(_) => Work::PretrainedClassifier {},
                        _ => Work::Pretrained {},
                    };
                    self.add_model(format!("{role} of judge {}", judge.name), work, model.as_ref())
                }
            };
            models.push((format!("judge_{role}"), key));
        }
        Some(models)
    }

    /// What the reference wrote on the same prompts at the same temperature.
    fn drawn_of_reference(&mut self, drawn: &Drawn, shared: &Shared) -> Option<Key> {
        match drawn.set {
            PromptSet::HeldOut => {
                let (generations, _) = self.evaluation("reference", 0, drawn.temperature, &shared.reference, shared, None);
                Some(generations)
            }
            PromptSet::OutOfDistribution => {
                let prompts = shared.out_of_distribution?;
                let name = format!("generate reference 0, out of distribution, at temperature {}", drawn.temperature);
                Some(self.generations(name, drawn.temperature, None, &shared.reference, &prompts, shared))
            }
        }
    }

    /// Completions of the same policy after the same prompts, drawn anew: a baseline that shared its random numbers with what it is
    /// compared with would be a likeness of it, and of Best-of-N's pool a member.
    fn rival(&mut self, generations: &Key) -> Key {
        let Some(stage) = self.plan.stage(generations).cloned() else { return *generations };
        let Work::Generate { mut sampling, seed, .. } = stage.work else { return *generations };
        sampling.samples = self.study.evaluation.samples_per_prompt;
        let inputs: Vec<(&str, &Key)> = stage.inputs.iter().map(|(role, key)| (role.as_str(), key)).collect();
        self.add(format!("{}, as a baseline", stage.label), Work::Generate { sampling, rival: true, seed }, &inputs)
    }

    /// What the last checkpoint of a run wrote.
    fn drawn_of(&self, name: &str, set: PromptSet, temperature: f64) -> Option<Key> {
        let at = self.study.runs.iter().position(|run| run.name == name || run.label() == name)?;
        let fits = |drawn: &&Drawn| drawn.last && drawn.set == set && drawn.temperature == temperature;
        self.plan.runs.get(at)?.drawn.iter().find(fits).map(|drawn| drawn.generations)
    }
}

/// What is judged on these prompts.
pub fn subject(task: &Task, set: PromptSet) -> Subject {
    match (task, set) {
        (Task::Sentiment(_) | Task::Oracle(_), _) => Subject::Sentiment,
        (Task::Summarisation(_), PromptSet::HeldOut) => Subject::Summary,
        (Task::Summarisation(_), PromptSet::OutOfDistribution) => Subject::NewsSummary,
        (Task::Dialogue(_), _) => Subject::Dialogue,
    }
}
