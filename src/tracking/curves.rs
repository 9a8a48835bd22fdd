//! What a tracker is told of a run: its parameters, and the numbers that each finished stage adds to its curves.

use crate::methods::Role;
use crate::plan::{PromptSet, RunPlan};
use crate::report::rows::TrainRow;
use crate::report::{frontier_row, pairs};
use crate::spec::{Run, Study};
use crate::stages::{EvaluatedSample, ExactReport, JudgedRow, read_csv, read_json};
use crate::stats::win_rate;
use crate::store::{Key, Record, Store};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::path::Path;
use std::time::UNIX_EPOCH;

/// Columns that say where a row belongs, and not how it went.
const PLACES: [&str; 4] = ["step", "seed", "temperature", "prompts"];

/// A number of a curve.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Point {
    /// Name of the curve; made of letters, digits, spaces and `/ _ - .` alone.
    pub name: String,
    /// Optimiser steps taken.
    pub step: u64,
    /// The number; finite.
    pub value: f64,
    /// Seconds since 1970 when it was known: the same whenever it is asked for.
    pub time: f64,
}

/// What one stage adds.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Part {
    /// The stage.
    pub key: Key,
    /// Its numbers, by step.
    pub points: Vec<Point>,
}

/// A run and its stages.
#[derive(Clone, Copy)]
pub(super) struct Tracked<'a> {
    /// The study.
    pub study: &'a Study,
    /// The run.
    pub run: &'a Run,
    /// Its stages.
    pub plan: &'a RunPlan,
    /// Where they are.
    pub store: &'a Store,
}

impl<'a> Tracked<'a> {
    /// Keys of the stages whose numbers are in the run's curves.
    pub fn keys(&self) -> impl Iterator<Item = &'a Key> + use<'a> {
        let evaluations = self.evaluations().map(|(.., key)| key);
        let exact = self.plan.exact.iter().map(|(_, key)| key);
        let judged = self.plan.judged.iter().map(|judged| &judged.key);
        self.plan.segments.iter().chain(evaluations).chain(exact).chain(judged)
    }

    /// The evaluations of its policies; Best-of-N's pool is of none of its own.
    fn evaluations(&self) -> impl Iterator<Item = &'a (u64, f64, Key)> + use<'a> {
        let is_policy = !matches!(self.run.method.role(), Role::BestOfN { .. });
        self.plan.evaluations.iter().filter(move |_| is_policy)
    }

    /// Those of them that are finished.
    pub fn finished(&self) -> Vec<&'a Key> {
        self.keys().filter(|key| self.store.path(key).is_dir()).collect()
    }

    /// What the stages add for which `wanted` holds. One that cannot be read is left out: the report says why.
    pub fn parts(&self, wanted: impl Fn(&Key) -> bool) -> Vec<Part> {
        let read = |key: &Key, points: &dyn Fn(&Path, &Clock) -> Option<Vec<Point>>| {
            let folder = self.store.path(key);
            let clock = Clock::of(&folder, &self.store.manifest(key)?.record);
            Some(Part { key: *key, points: points(&folder, &clock)? })
        };
        let mut parts = Vec::new();
        for key in self.plan.segments.iter().filter(|key| wanted(key)) {
            parts.extend(read(key, &|folder, clock| Some(training(&read_csv(&folder.join("train.csv")).ok()?, clock))));
        }
        for (step, temperature, key) in self.evaluations().filter(|(.., key)| wanted(key)) {
            parts.extend(read(key, &|folder, clock| {
                let samples: Vec<EvaluatedSample> = read_csv(&folder.join("samples.csv")).ok()?;
                let row = frontier_row(self.run, *step, *temperature, &samples);
                Some(numbers(&row, "evaluation/", &at(*temperature), *step, clock.end))
            }));
        }
        for (step, key) in self.plan.exact.iter().filter(|(_, key)| wanted(key)) {
            parts.extend(read(key, &|folder, clock| {
                let report: ExactReport = read_json(&folder.join("exact.json")).ok()?;
                Some(numbers(&report, "exact/", "", *step, clock.end))
            }));
        }
        for judged in self.plan.judged.iter().filter(|judged| wanted(&judged.key)) {
            let drawn = &self.plan.drawn[judged.drawn];
            let judge = clean(&self.study.judges[judged.judge].name);
            let set = if drawn.set == PromptSet::OutOfDistribution { " out of distribution" } else { "" };
            let name = format!("win_rate/{judge} against {}{set}{}", clean(&judged.baseline), at(drawn.temperature));
            parts.extend(read(&judged.key, &|folder, clock| {
                let rows: Vec<JudgedRow> = read_csv(&folder.join("verdicts.csv")).ok()?;
                let rate = win_rate(&pairs(&rows)).map(|rate| rate.rate).filter(|rate| rate.is_finite());
                let point = |value| Point { name: name.clone(), step: drawn.step, value, time: clock.end };
                Some(rate.map(point).into_iter().collect())
            }));
        }
        parts
    }

    /// Everything that was chosen for the run, by the names of the experiment file.
    pub fn parameters(&self) -> Vec<(String, String)> {
        let run = self.run;
        let mut values = Map::new();
        values.insert("study".into(), json!(self.study.name));
        values.insert("task".into(), json!(self.study.task.name()));
        values.insert("model".into(), json!(self.study.model.base));
        values.insert("method".into(), json!(run.method.name()));
        values.insert("seed".into(), json!(run.seed));
        let method = serde_json::to_value(&run.method).unwrap_or_default();
        let own = method.get(run.method.name()).cloned();
        let mut tables = vec![own.unwrap_or_default()];
        if run.method.trains() {
            tables.extend([json!(run.optimisation), json!(run.size), json!(run.data)]);
        }
        for table in tables {
            values.extend(table.as_object().cloned().unwrap_or_default());
        }
        let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        values.into_iter().map(|(key, value)| (key, text(value))).collect()
    }
}

/// When a stage worked.
struct Clock {
    /// Seconds that it took.
    seconds: f64,
    /// Seconds since 1970 when it was done.
    end: f64,
}

impl Clock {
    fn of(folder: &Path, record: &Record) -> Clock {
        // Artifacts of earlier versions do not say when they were made, but their files do.
        let modified = || {
            let time = std::fs::metadata(folder.join("artifact.json")).and_then(|file| file.modified()).ok()?;
            Some(time.duration_since(UNIX_EPOCH).ok()?.as_secs_f64())
        };
        Clock { seconds: record.seconds, end: record.finished.or_else(modified).unwrap_or_default() }
    }
}

/// Every number of every step; the steps share the segment's time alike.
fn training(rows: &[TrainRow], clock: &Clock) -> Vec<Point> {
    let step = clock.seconds / rows.len().max(1) as f64;
    let time = |index: usize| clock.end - step * (rows.len() - 1 - index) as f64;
    rows.iter().enumerate().flat_map(|(index, row)| numbers(row, "", "", row.step, time(index))).collect()
}

/// The numbers of a row under the names of their columns.
fn numbers(row: &impl Serialize, before: &str, after: &str, step: u64, time: f64) -> Vec<Point> {
    let Ok(Value::Object(columns)) = serde_json::to_value(row) else { return Vec::new() };
    let numbers = columns.iter().filter(|(name, _)| !PLACES.contains(&name.as_str()));
    let point = |(name, value): (&String, &Value)| {
        let value = value.as_f64().filter(|value| value.is_finite())?;
        Some(Point { name: format!("{before}{name}{after}"), step, value, time })
    };
    numbers.filter_map(point).collect()
}

/// A temperature in the name of a curve.
fn at(temperature: f64) -> String {
    if temperature == 1.0 { String::new() } else { format!(" at temperature {temperature}") }
}

/// A name with the letters that every tracker takes.
fn clean(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ' ') { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_of_a_training_step_is_a_point_under_its_columns_name() {
        let row = |step| TrainRow { step, loss: 0.5, rewards_chosen: Some(-0.25), grad_norm: f64::NAN, ..TrainRow::default() };
        let points = training(&[row(3), row(4)], &Clock { seconds: 4.0, end: 100.0 });
        let of = |name: &str| points.iter().filter(|point| point.name == name).cloned().collect::<Vec<_>>();
        let point = |step, time| Point { name: "rewards/chosen".into(), step, value: -0.25, time };
        assert_eq!(of("rewards/chosen"), [point(3, 98.0), point(4, 100.0)]);
        assert_eq!(of("tokens").len(), 2);
        assert!(of("step").is_empty() && of("logps/chosen").is_empty() && of("grad_norm").is_empty());
    }

    #[test]
    fn names_hold_what_every_tracker_takes() {
        assert_eq!(clean("GPT-4 (S)"), "GPT-4 _S_");
        assert_eq!(clean("ppo/x@0.25"), "ppo_x_0.25");
        assert_eq!((at(1.0), at(0.25)), (String::new(), " at temperature 0.25".to_owned()));
    }
}
