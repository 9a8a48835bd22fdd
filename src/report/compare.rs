//! Two runs side by side: what differs in their values, in how they came about, and in what came out.

use super::measured::{Measured, measure};
use super::past::PastRun;
use super::provenance::{Build, Provenance};
use crate::spec::flat;
use crate::stats::Estimate;
use crate::store::Store;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What two runs, `a` and `b`, differ in.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// `STUDY/RUN` of the first.
    pub a: String,
    /// `STUDY/RUN` of the second.
    pub b: String,
    /// Values that are not the same. Those of a method are called `method.KEY`, whichever method it is.
    pub settings: Vec<Difference>,
    /// How they came about: versions, commits, packages, devices, data.
    pub provenance: Vec<Difference>,
    /// What came out, at the last step that both were evaluated at.
    pub results: Vec<ResultDifference>,
    /// What a reader has to know.
    pub notes: Vec<String>,
}

/// Something that is not the same.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// What.
    pub what: String,
    /// That of the first; null where it has none.
    pub a: Value,
    /// That of the second.
    pub b: Value,
}

/// A number of both runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ResultDifference {
    /// What the number is.
    pub what: String,
    /// Steps of the first and the second.
    pub steps: [u64; 2],
    /// That of the first.
    pub a: Number,
    /// That of the second.
    pub b: Number,
    /// The first less the second.
    pub difference: Number,
    /// The difference's 95% interval; nothing for exact numbers.
    pub interval: Option<[f64; 2]>,
    /// Prompts by which the difference is paired; nothing where it is not.
    pub paired_prompts: Option<usize>,
}

/// A number and its standard error, where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Number {
    /// The number.
    pub value: f64,
    /// Its standard error, clustered by prompt; nothing for an exact number.
    pub se: Option<f64>,
}

/// Compares two runs. Samples are read from the stores where these have them; differences are not paired otherwise.
pub fn compare(runs: [&PastRun; 2], stores: [Option<&Store>; 2]) -> Comparison {
    let steps = [evaluated_steps(runs[0]), evaluated_steps(runs[1])];
    let common = steps[0].intersection(&steps[1]).copied().filter(|step| *step > 0).max();
    let last = [0, 1].map(|side| common.filter(|_| steps[side].len() > 1).or(steps[side].last().copied()).unwrap_or(0));
    let measured = [0, 1].map(|side| measure(runs[side], last[side], stores[side]));
    let results: Vec<ResultDifference> =
        measured[0].iter().filter_map(|a| Some(difference(a, measured[1].iter().find(|b| b.what == a.what)?, last))).collect();
    let mut notes = Vec::new();
    if last[0] != last[1] {
        notes.push(format!("no common step: a is that of step {}, b that of step {}", last[0], last[1]));
    }
    if results.is_empty() {
        notes.push("the two have no result in common".to_owned());
    } else if results.iter().any(|row| row.paired_prompts.is_none() && row.interval.is_some()) {
        notes.push("where no prompts are given, the difference is not paired: its error takes the two as independent".to_owned());
    }
    for (run, letter) in runs.iter().zip(["a", "b"]) {
        match &run.provenance {
            None => notes.push(format!("{letter} has no provenance.json: `dpo-lab report {}` writes it", run.study)),
            Some(provenance) => match provenance.missing().count() {
                0 => {}
                missing => {
                    notes
                        .push(format!("{letter} was not finished: {missing} of {} stages were missing", provenance.stages.len()));
                }
            },
        }
    }
    let known = runs.map(|run| run.provenance.as_ref());
    Comparison {
        a: runs[0].name(),
        b: runs[1].name(),
        settings: differences(known.map(|known| known.map(values).unwrap_or_default())),
        provenance: differences(known.map(|known| known.map(origins).unwrap_or_default())),
        results,
        notes,
    }
}

/// Steps of every checkpoint that has a result.
fn evaluated_steps(run: &PastRun) -> BTreeSet<u64> {
    let judged = run.win_rates.iter().map(|row| row.step);
    run.frontier.iter().map(|row| row.step).chain(run.oracle.iter().map(|row| row.step)).chain(judged).collect()
}

/// Every value by its key, the method's under `method`.
fn values(provenance: &Provenance) -> BTreeMap<String, Value> {
    let own = format!("method.{}.", provenance.method);
    let renamed = |(key, value): (String, Value)| match key.strip_prefix(&own) {
        Some(rest) => (format!("method.{rest}"), value),
        None => (key, value),
    };
    let mut values: BTreeMap<String, Value> = flat(&provenance.settings).into_iter().map(renamed).collect();
    values.insert("method".to_owned(), json!(provenance.method));
    values
}

/// How a run came about, by what it is called.
fn origins(provenance: &Provenance) -> BTreeMap<String, Value> {
    let joined = |texts: BTreeSet<String>| json!(texts.into_iter().collect::<Vec<_>>().join("; "));
    let mut origins = BTreeMap::from([
        ("dpo-lab".to_owned(), joined(provenance.builds.iter().map(Build::name).collect())),
        ("device".to_owned(), joined(provenance.devices().into_iter().collect())),
        ("overrides".to_owned(), json!(provenance.overrides.join(" "))),
        ("experiment".to_owned(), json!(provenance.experiment)),
    ]);
    for (name, version) in provenance.builds.iter().flat_map(|build| &build.packages) {
        origins.insert(format!("package {name}"), json!(version));
    }
    for datum in &provenance.data {
        origins.insert(format!("data {}", datum.name), json!(datum.blake3.as_deref().unwrap_or("built in")));
    }
    origins
}

fn differences([a, b]: [BTreeMap<String, Value>; 2]) -> Vec<Difference> {
    let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let of = |side: &BTreeMap<String, Value>, key: &String| side.get(key).cloned().unwrap_or_default();
    let differing = keys.into_iter().filter(|key| a.get(*key) != b.get(*key));
    differing.map(|key| Difference { what: key.clone(), a: of(&a, key), b: of(&b, key) }).collect()
}

fn difference(a: &Measured, b: &Measured, steps: [u64; 2]) -> ResultDifference {
    let (estimate, paired_prompts) = match a.paired(b) {
        Some(paired) => (Some(paired.estimate), Some(paired.prompts)),
        None => (independent(a.number, b.number), None),
    };
    let number = match estimate {
        Some(estimate) => Number { value: estimate.value, se: Some(estimate.se) },
        None => Number { value: a.number.value - b.number.value, se: None },
    };
    ResultDifference {
        what: a.what.clone(),
        steps,
        a: a.number,
        b: b.number,
        difference: number,
        interval: estimate.map(|estimate| [estimate.ci_low, estimate.ci_high]),
        paired_prompts,
    }
}

/// The difference of two numbers that have nothing in common; nothing where both are exact.
fn independent(a: Number, b: Number) -> Option<Estimate> {
    let se = match (a.se, b.se) {
        (None, None) => return None,
        (a, b) => a.unwrap_or(0.0).hypot(b.unwrap_or(0.0)),
    };
    let value = a.value - b.value;
    Some(Estimate { value, se, ci_low: value - 1.96 * se, ci_high: value + 1.96 * se })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::rows::FrontierRow;

    fn run(name: &str, method: &str, beta: f64, rewards: &[(u64, f64)]) -> PastRun {
        let row = |(step, reward): &(u64, f64)| FrontierRow {
            step: *step,
            temperature: 1.0,
            reward_mean: *reward,
            reward_se: 0.03,
            kl_se: 0.04,
            ..FrontierRow::default()
        };
        let settings = json!({ "seed": 0, "method": { method: { "beta": beta } } });
        PastRun {
            study: "s".into(),
            run: name.into(),
            status: None,
            frontier: rewards.iter().map(row).collect(),
            best_of_n: vec![],
            preferences: vec![],
            win_rates: vec![],
            oracle: vec![],
            artifacts: None,
            provenance: Some(Provenance { settings, method: method.into(), ..Provenance::default() }),
            folder: "".into(),
        }
    }

    #[test]
    fn values_of_different_methods_stand_under_the_same_keys() {
        let found = compare([&run("a", "dpo", 0.1, &[]), &run("b", "ipo", 0.5, &[])], [None, None]);
        let what: Vec<&str> = found.settings.iter().map(|difference| difference.what.as_str()).collect();
        assert_eq!(what, ["method", "method.beta"]);
        assert_eq!((&found.settings[1].a, &found.settings[1].b), (&json!(0.1), &json!(0.5)));
        assert_eq!(found.provenance, []);
        assert_eq!(found.notes, ["the two have no result in common"]);
    }

    #[test]
    fn results_are_those_of_the_last_common_step() {
        let a = run("a", "dpo", 0.1, &[(0, 0.0), (100, 0.5), (200, 0.9)]);
        let b = run("b", "dpo", 0.1, &[(0, 0.0), (100, 0.2), (150, 0.9)]);
        let found = compare([&a, &b], [None, None]);
        let reward = found.results.iter().find(|row| row.what.starts_with("true reward")).expect("a reward");
        assert_eq!((reward.steps, reward.a.value, reward.b.value, reward.paired_prompts), ([100, 100], 0.5, 0.2, None));
        // Independent errors of 0.03 each.
        assert!((reward.difference.value - 0.3).abs() < 1e-12);
        assert!((reward.difference.se.expect("an error") - 0.03 * 2f64.sqrt()).abs() < 1e-12);
        assert!(found.notes.iter().any(|note| note.contains("not paired")));
    }

    #[test]
    fn without_a_common_step_each_is_taken_at_its_own_last_one() {
        let found = compare([&run("a", "dpo", 0.1, &[(0, 0.0), (60, 0.5)]), &run("b", "sft", 0.1, &[(0, 0.1)])], [None, None]);
        assert_eq!(found.results[0].steps, [60, 0]);
        assert!(found.notes[0].starts_with("no common step"));
    }
}
