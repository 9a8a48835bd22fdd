//! What can be known of a study afterwards: provenance.json, `show` and `compare`.

use super::{Lab, STUDY, stderr};
use serde_json::Value;
use std::fs;

/// What a command with `--json` prints.
#[track_caller]
fn json(lab: &Lab, arguments: &[&str]) -> Value {
    let output = lab.lab(&[arguments, &["--json"]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn runs_say_how_they_came_about_before_and_after_they_are_finished() {
    let lab = Lab::new();
    lab.run(&["--set", "evaluation.prompts=10", "--until", "samples", "-q"]);
    let begun = json(&lab, &["show", "dpo-beta0.1"]);
    let state = begun["state"].as_str().expect("a state");
    assert!(state.starts_with("not finished: "), "{state}");
    assert_eq!(begun["provenance"]["overrides"], serde_json::json!(["evaluation.prompts=10"]));

    lab.run(&["--set", "evaluation.prompts=10", "-q"]);
    for run in fs::read_dir(lab.results().join("runs")).expect("runs").flatten() {
        let text = fs::read_to_string(run.path().join("provenance.json")).expect("provenance.json");
        let folder = lab.folder.path().display().to_string();
        assert!(!text.contains(&folder) && !text.contains("../"), "{text}");
        let provenance: Value = serde_json::from_str(&text).expect("JSON");
        let stages = provenance["stages"].as_array().expect("stages");
        for record in stages.iter().map(|stage| &stage["record"]) {
            assert!(record["machine"]["cores"].as_u64() >= Some(1), "{record}");
            assert!(!cfg!(target_os = "linux") || record["peak_memory"].as_u64() > Some(1 << 20), "{record}");
        }
        assert_eq!(provenance["builds"][0]["packages"]["burn"], "0.23.0-pre.1");
        assert_eq!(provenance["settings"]["evaluation"]["prompts"], 10);
    }
    for run in ["dpo-beta0.1", "sft", "best_of_n-n4", "preferred_ft"] {
        let shown = json(&lab, &["show", run]);
        assert_eq!(shown["state"], "finished");
        let text = String::from_utf8_lossy(&lab.lab(&["show", run]).stdout).into_owned();
        let headings =
            ["\nsettings", "\nresults", "true reward", "\nartifacts", "\nprovenance", "peak memory", "burn 0.23.0-pre.1"];
        assert_eq!(headings.iter().find(|wanted| !text.contains(*wanted)), None, "{text}");
    }
}

#[test]
fn two_runs_are_compared_by_prompt_and_names_that_mean_several_are_refused() {
    let lab = Lab::new();
    lab.run(&["-q"]);
    let found = json(&lab, &["compare", "dpo-beta0.1", "small/unlikelihood"]);
    let settings: Vec<&str> =
        found["settings"].as_array().expect("settings").iter().filter_map(|row| row["what"].as_str()).collect();
    assert!(settings.contains(&"method") && settings.contains(&"method.beta"), "{settings:?}");
    assert_eq!(found["provenance"], serde_json::json!([]));
    for what in ["true reward at temperature 1", "KL (nats) at temperature 1", "held-out accuracy"] {
        let rows = found["results"].as_array().expect("results");
        let row = rows.iter().find(|row| row["what"] == what).unwrap_or_else(|| panic!("{what}: {rows:?}"));
        assert!(row["paired_prompts"].as_u64() >= Some(2) && row["steps"][0] == row["steps"][1], "{row}");
        let number = |side: &str| row[side]["value"].as_f64().expect("a number");
        assert!((number("a") - number("b") - number("difference")).abs() < 1e-9, "{row}");
    }

    // Without the store the tables are left, and differences are not paired.
    fs::rename(lab.folder.path().join("results"), lab.folder.path().join("old")).expect("moved");
    fs::rename(lab.folder.path().join("old/.store"), lab.folder.path().join("store")).expect("moved");
    let found = json(&lab, &["compare", "old/small/dpo-beta0.1", "old/small/runs/unlikelihood"]);
    assert!(
        found["results"]
            .as_array()
            .is_some_and(|rows| !rows.is_empty() && rows.iter().all(|row| row["paired_prompts"].is_null()))
    );
    assert!(!lab.folder.path().join("old/.store").exists());

    let output = lab.lab(&["show", "best_of_n", "--results", "old"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("may be any of 2 runs\n  small/best_of_n-n"), "{}", stderr(&output));
}

/// Segments of a run by the step at which they end, and whether they have weights.
fn weights(lab: &Lab, run: &str) -> Vec<(String, bool)> {
    let plan: Value = serde_json::from_slice(&fs::read(lab.results().join("plan.json")).expect("plan.json")).expect("JSON");
    let labels = plan["stages"].as_array().expect("stages").iter().filter_map(|stage| stage["label"].as_str());
    let segments = labels.filter_map(|label| Some((label, label.strip_prefix(&format!("train {run} "))?)));
    segments.map(|(label, steps)| (steps.to_owned(), lab.artifact(label).join("model/model.safetensors").exists())).collect()
}

#[test]
fn a_study_keeps_the_weights_that_it_says_and_makes_the_others_again_when_they_are_needed() {
    let lab = Lab::new();
    let study = |keep: &str| STUDY.replace("[training]\n", &format!("[training]\nkeep = \"{keep}\"\n"));
    lab.run(&["-q"]);
    let run = "dpo-beta0.1-seed0";
    assert_eq!(weights(&lab, run), [("0-2".to_owned(), true), ("2-4".to_owned(), true)]);
    let frontier = lab.frontier();

    lab.write(&study("best"));
    lab.run(&[]);
    let kept: Vec<(String, bool)> = weights(&lab, run).into_iter().filter(|(_, there)| *there).collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    let folder = |path: &std::path::Path| path.strip_prefix(lab.folder.path().join("results")).expect("inside").to_owned();
    let shown = json(&lab, &["show", run]);
    let best = folder(&lab.artifact(&format!("train {run} {}", kept[0].0))).join("model");
    assert_eq!(shown["artifacts"]["policy"], best.to_str().expect("a path"), "{shown}");
    let exported = lab.lab(&["export", run, "model"]);
    assert!(exported.status.success() && lab.folder.path().join("model/model.safetensors").exists(), "{}", stderr(&exported));

    lab.write(&study("last"));
    lab.run(&["--force", "train"]);
    assert_eq!(weights(&lab, run), [("0-2".to_owned(), false), ("2-4".to_owned(), true)]);
    assert!(lab.would_run(&[]).is_empty());
    assert_eq!(lab.frontier(), frontier, "weights that are gone change no table");

    let again = lab.would_run(&["--set", "evaluation.prompts=10"]);
    let why = again.iter().find(|(stage, _)| *stage == format!("train {run} 0-2")).map(|(_, why)| why.as_str());
    assert_eq!(why, Some("its weights were not kept, and are needed again"), "{again:?}");
}
