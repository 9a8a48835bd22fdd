//! What can be known of a study afterwards: provenance.json, `show` and `compare`.

use super::{Lab, stderr};
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
