//! Reads what a study has in the store: the evaluations of every run, each artifact once.

use crate::judges::{Kind, Subject};
use crate::plan::{Drawn, Plan, RunPlan, subject};
use crate::report::rows::TrainRow;
use crate::spec::{Run, Study};
use crate::stages::{
    ClassifierReport, EvaluatedSample, ExactReport, JudgedRow, PreferenceRow, RewardModelReport, ShownRow, read_csv, read_json,
};
use crate::stats::Calibration;
use crate::store::{Key, State, Store};
use std::collections::HashMap;
use std::rc::Rc;

/// One evaluated checkpoint.
pub struct Evaluation {
    /// Every completion.
    pub samples: Vec<EvaluatedSample>,
    /// Held-out comparisons under the policy; none for Best-of-N's pool.
    pub preferences: Vec<PreferenceRow>,
    /// Held-out comparisons under the learned reward, beside the reference's evaluation.
    pub reward_preferences: Vec<PreferenceRow>,
}

/// One judge's verdicts on one checkpoint against one baseline.
pub struct Verdicts<'a> {
    /// Which completions.
    pub drawn: &'a Drawn,
    /// Place of the judge in the study's.
    pub judge: usize,
    /// The baseline's name.
    pub baseline: &'a str,
    /// Every pair.
    pub rows: Vec<JudgedRow>,
    /// Texts of the first pairs.
    pub shown: Vec<ShownRow>,
    /// How far the judge can be believed in what it judged here, where that was measured.
    pub calibration: Option<Calibration>,
}

/// One run with what is finished of it.
pub struct Collected<'a> {
    /// The run.
    pub run: &'a Run,
    /// Its stages.
    pub plan: &'a RunPlan,
    /// (step, temperature, evaluation), in order; missing ones are left out.
    pub evaluations: Vec<(u64, f64, Rc<Evaluation>)>,
    /// (step, exact evaluation), in a world that can be enumerated.
    pub exact: Vec<(u64, ExactReport)>,
    /// What judges say of it, in the order of the plan.
    pub judged: Vec<Verdicts<'a>>,
    /// Every training step.
    pub training: Vec<TrainRow>,
    /// Wall-clock seconds of training.
    pub seconds: f64,
    /// The device that trained it.
    pub device: String,
}

/// Everything of a study that is in the store.
pub struct Collection<'a> {
    /// The study.
    pub study: &'a Study,
    /// Every run, in order.
    pub runs: Vec<Collected<'a>>,
    /// The learned reward's own report.
    pub reward_model: Option<RewardModelReport>,
    /// The fitted true reward's own report.
    pub classifier: Option<ClassifierReport>,
    /// Many completions of the reference at temperature 1, from which the optimal frontier is estimated where that is wanted.
    pub pool: Option<Rc<Evaluation>>,
    /// The exact optimal frontier, in a world that can be enumerated.
    pub optimum: Option<ExactReport>,
}

/// Collects a study. Stages that are not there are left out: a report can be drawn at any time.
pub fn collect<'a>(study: &'a Study, plan: &'a Plan, store: &Store) -> Collection<'a> {
    let mut evaluations: HashMap<Key, Option<Rc<Evaluation>>> = HashMap::new();
    let mut runs = Vec::new();
    for (run, run_plan) in study.runs.iter().zip(&plan.runs) {
        let mut collected = Collected {
            run,
            plan: run_plan,
            evaluations: Vec::new(),
            exact: Vec::new(),
            judged: Vec::new(),
            training: Vec::new(),
            seconds: 0.0,
            device: String::new(),
        };
        for (step, temperature, key) in &run_plan.evaluations {
            let found = evaluations.entry(*key).or_insert_with(|| evaluation(store, key).map(Rc::new));
            collected.evaluations.extend(found.clone().map(|found| (*step, *temperature, found)));
        }
        collected.exact = run_plan.exact.iter().filter_map(|(step, key)| Some((*step, exact(store, key)?))).collect();
        for judged in run_plan.judged.iter().filter(|judged| store.state(&judged.key) == State::Present) {
            let folder = store.path(&judged.key);
            let Ok(rows) = read_csv(&folder.join("verdicts.csv")) else { continue };
            let shown = read_csv(&folder.join("shown.csv")).unwrap_or_default();
            let drawn = &run_plan.drawn[judged.drawn];
            let (judge, baseline) = (judged.judge, judged.baseline.as_str());
            let file = calibration_file(&study.judges[judge].kind, subject(&study.task, drawn.set));
            let calibration = read_json(&store.judges().join(file)).ok();
            collected.judged.push(Verdicts { drawn, judge, baseline, rows, shown, calibration });
        }
        for key in run_plan.segments.iter().filter(|key| store.state(key) == State::Present) {
            collected.training.extend(read_csv::<TrainRow>(&store.path(key).join("train.csv")).unwrap_or_default());
            if let Some(manifest) = store.manifest(key) {
                collected.seconds += manifest.record.seconds;
                collected.device = manifest.record.device;
            }
        }
        runs.push(collected);
    }
    let wanted = study.evaluation.optimum_samples > 0;
    let pool = plan.pool.iter().find(|(temperature, _)| *temperature == 1.0 && wanted);
    let pool = pool.and_then(|(_, key)| evaluations.entry(*key).or_insert_with(|| evaluation(store, key).map(Rc::new)).clone());
    let there = |key: &Option<Key>| key.as_ref().filter(|key| store.state(key) == State::Present).map(|key| store.path(key));
    Collection {
        study,
        runs,
        reward_model: there(&plan.reward_model).and_then(|folder| read_json(&folder.join("report.json")).ok()),
        classifier: there(&plan.classifier).and_then(|folder| read_json(&folder.join("report.json")).ok()),
        pool,
        optimum: plan.optimum.as_ref().and_then(|key| exact(store, key)),
    }
}

/// The file of a judge's calibration on what is judged, beside its answers.
pub fn calibration_file(judge: &Kind, subject: Subject) -> String {
    let subject = serde_json::to_value(subject).unwrap_or_default();
    format!("calibration-{}-{}.json", judge.digest(), subject.as_str().unwrap_or_default())
}

fn exact(store: &Store, key: &Key) -> Option<ExactReport> {
    if store.state(key) == State::Present { read_json(&store.path(key).join("exact.json")).ok() } else { None }
}

fn evaluation(store: &Store, key: &Key) -> Option<Evaluation> {
    if store.state(key) != State::Present {
        return None;
    }
    let folder = store.path(key);
    Some(Evaluation {
        samples: read_csv(&folder.join("samples.csv")).ok()?,
        preferences: read_csv(&folder.join("preferences.csv")).unwrap_or_default(),
        reward_preferences: read_csv(&folder.join("reward_preferences.csv")).unwrap_or_default(),
    })
}
