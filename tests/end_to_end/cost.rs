//! What `plan` says a study will cost, held against what it took.

use super::{Lab, STUDY, stderr};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;

fn plan(lab: &Lab, arguments: &[&str]) -> Value {
    let output = lab.lab(&[&["plan", "study.toml", "--json"], arguments].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn stages(plan: &Value) -> Vec<Value> {
    plan["stages"].as_array().expect("stages").clone()
}

fn number(value: &Value, key: &str) -> f64 {
    value[key].as_f64().unwrap_or_else(|| panic!("no number {key} in {value}"))
}

/// Stage's name, and manifest of its artifact.
fn manifests(lab: &Lab) -> BTreeMap<String, Value> {
    let saved: Value = serde_json::from_slice(&fs::read(lab.results().join("plan.json")).expect("plan.json")).expect("JSON");
    let manifest = |stage: &Value| {
        let key = stage["key"].as_str().expect("a key");
        let path = lab.folder.path().join("results/.store").join(&key[..2]).join(key).join("artifact.json");
        let manifest = serde_json::from_slice(&fs::read(path).expect("a manifest")).expect("JSON");
        (stage["label"].as_str().expect("a label").to_owned(), manifest)
    };
    stages(&saved).iter().map(manifest).collect()
}

/// Asserts that what was planned is within a factor of what was found.
#[track_caller]
fn near(what: &str, planned: f64, found: f64, factor: f64) {
    assert!(planned < found * factor && planned > found / factor, "{what}: planned {planned}, found {found}");
}

#[test]
fn a_plan_says_before_a_run_what_it_will_take() {
    let lab = Lab::new();
    let before = plan(&lab, &[]);
    assert_eq!(before["totals"]["complete"], false, "nothing was ever run here");
    assert!(stages(&before).iter().all(|stage| stage["seconds"].is_null()));
    // What policies write cannot be known before; what they learn from is, once it is there.
    lab.run(&["--until", "reference_logprobs"]);
    let then = plan(&lab, &[]);
    lab.run(&[]);
    let made = manifests(&lab);
    let by_name = |plan: &Value| -> BTreeMap<String, Value> {
        stages(plan).into_iter().map(|stage| (stage["stage"].as_str().expect("a name").to_owned(), stage)).collect()
    };
    let (before, then) = (by_name(&before), by_name(&then));
    let mut bytes = [0.0; 2];
    for (name, manifest) in &made {
        let record = &manifest["record"];
        if let Some(tokens) = record["tokens"].as_f64() {
            // Some dozens of texts are not as long as the mean.
            near(&format!("tokens of {name}"), number(&then[name], "tokens"), tokens, 1.2);
        }
        if let Some(peak) = record["peak_memory"].as_f64() {
            near(&format!("memory of {name}"), number(&before[name], "peak_memory"), peak, 2.0);
        }
        near(
            &format!("operations of {name}"),
            1.0 + number(&before[name], "flops"),
            1.0 + record["flops"].as_f64().expect("flops"),
            1.05,
        );
        bytes[0] += number(&before[name], "disk");
        bytes[1] += manifest["files"].as_object().expect("files").values().map(|file| number(file, "bytes")).sum::<f64>();
    }
    near("disk", bytes[0], bytes[1], 1.02);
}

#[test]
fn a_study_that_was_run_tells_how_long_another_will_take_and_what_is_done_takes_nothing() {
    let lab = Lab::new();
    lab.run(&[]);
    let done = plan(&lab, &[]);
    assert_eq!((number(&done["totals"], "wall_seconds"), number(&done["totals"], "flops")), (0.0, 0.0));
    let other = plan(&lab, &["--set", "seed=1", "--jobs", "1"]);
    assert_eq!(other["totals"]["complete"], true, "{other}");
    let (wall, work) = (number(&other["totals"], "wall_seconds"), number(&other["totals"], "worker_seconds"));
    assert!(wall >= work && work > 0.0, "{wall} s for {work} s of work by one worker");
    assert!(number(&other["totals"], "memory_at_once") <= number(&other["totals"], "peak_memory"));
}

#[test]
fn a_stage_with_a_checkpoint_counts_what_is_left_of_it() {
    let lab = Lab::new();
    lab.run(&["--until", "samples"]);
    let stage = "train dpo-beta0.1-seed0 0-2";
    let of = |plan: &Value| stages(plan).into_iter().find(|row| row["stage"] == stage).expect("the stage");
    let whole = plan(&lab, &[]);
    assert_eq!(number(&of(&whole), "left"), 1.0);
    let key = planned_key(&lab, stage);
    let work = lab.folder.path().join("results/.store/work").join(&key);
    fs::create_dir_all(work.join("checkpoint")).expect("a folder");
    fs::write(work.join("status.json"), r#"{"done":1,"total":4,"loss":null,"tokens_per_s":null,"doing":""}"#).expect("written");
    let rest = plan(&lab, &[]);
    assert_eq!(number(&of(&rest), "left"), 0.75);
    let (all, less) = (number(&whole["totals"], "flops"), number(&rest["totals"], "flops"));
    assert!((all - less - 0.25 * number(&of(&whole), "flops")).abs() < 2.0, "{all} {less}");
}

/// The whole key of a planned stage.
fn planned_key(lab: &Lab, name: &str) -> String {
    let saved: Value = serde_json::from_slice(&fs::read(lab.results().join("plan.json")).expect("plan.json")).expect("JSON");
    let stage = stages(&saved).into_iter().find(|stage| stage["label"] == name).expect("the stage");
    stage["key"].as_str().expect("a key").to_owned()
}

#[test]
fn every_line_of_a_plan_fits_120_columns() {
    let lab = Lab::new();
    lab.write(&format!("{STUDY}\n[judge.length]\n"));
    lab.run(&["--until", "base"]);
    let output = lab.lab(&["plan", "study.toml", "--set", "base.learning_rate=0.004"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let long: Vec<&str> = text.lines().filter(|line| line.chars().count() > 120 && !line.starts_with("judge ")).collect();
    assert!(long.is_empty(), "{long:#?}");
    assert!(text.contains("tokens") && text.contains("memory") && text.contains("will run: "), "{text}");
}
