//! What is said of a study while it runs, and of what went wrong: `status` and `logs`.

use super::{Lab, STUDY, stderr};
use serde_json::Value;
use std::fs;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn status(lab: &Lab) -> Vec<Value> {
    let output = lab.lab(&["status", "small", "--json"]);
    let studies: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap_or_default();
    studies.into_iter().flat_map(|study| study["stages"].as_array().cloned().unwrap_or_default()).collect()
}

/// Waits for a stage in a state, for a minute.
#[track_caller]
fn wait_for(lab: &Lab, state: &str) -> Value {
    let began = Instant::now();
    loop {
        if let Some(stage) = status(lab).into_iter().find(|stage| stage["state"] == state) {
            return stage;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "no stage is {state}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_killed_worker_is_gone_and_a_finished_study_is_one_line() {
    let lab = Lab::new();
    lab.write(&STUDY.replace("[base]\nsteps = 6", "[base]\nsteps = 4000"));
    let mut runner = lab.command(&["run", "study.toml", "-q"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("runs");
    let began = Instant::now();
    let stage = loop {
        let stage = wait_for(&lab, "running");
        if stage["status"]["loss"].is_number() && stage["seconds_left"].is_number() {
            break stage;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{stage}");
    };
    assert!(stage["status"]["total"] == 4000 && stage["status"]["tokens_per_s"].is_number(), "{stage}");
    let said = stdout(&lab.lab(&["status"]));
    assert!(said.contains("running") && said.contains("of 4000") && said.contains("left"), "{said}");
    let _ = runner.kill();
    let _ = runner.wait();
    // Another worker may just have been started, and not yet have said who it is.
    let running = || status(&lab).into_iter().filter(|stage| stage["state"] == "running").collect::<Vec<_>>();
    let began = Instant::now();
    loop {
        let left = running();
        if left.is_empty() {
            break;
        }
        for worker in left.iter().filter_map(|stage| stage["status"]["worker"]["pid"].as_u64()) {
            let _ = Command::new("kill").args(["-9", &worker.to_string()]).status();
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{left:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    wait_for(&lab, "gone");
    assert!(stdout(&lab.lab(&["status"])).contains("killed? it was at training"));

    lab.write(STUDY);
    lab.run(&["-q"]);
    let said = stdout(&lab.lab(&["status"]));
    assert!(said.lines().count() == 1 && said.starts_with("small: 7 runs, "), "{said}");
    let said = stdout(&lab.lab(&["status", "-v"]));
    assert!(said.contains("  done     train dpo-beta0.1-seed0 0-2"), "{said}");
    let watched = lab.lab(&["status", "--watch"]);
    assert!(stderr(&watched).contains("needs a terminal") && stdout(&watched).lines().count() == 1, "{}", stdout(&watched));
}

#[test]
fn a_failed_stage_says_why_and_a_runs_logs_are_its_own() {
    let lab = Lab::new();
    let hot =
        "[[method.dpo]]\nbeta = 0.1\n[[method.dpo]]\nbeta = 1.0\nlearning_rate = 1e30\nmax_grad_norm = 1e30\nwarmup_steps = 0";
    lab.write(&STUDY.replace("[method.dpo]\nbeta = [0.1, 1.0]", hot));
    assert_eq!(lab.lab(&["run", "study.toml", "-q"]).status.code(), Some(100));
    let said = stdout(&lab.lab(&["status"]));
    let failed = said.lines().find(|line| line.starts_with("  failed   train dpo-beta1")).unwrap_or_else(|| panic!("{said}"));
    assert!(failed.contains("learning_rate") && said.contains("  blocked  evaluate dpo-beta1"), "{said}");

    let ambiguous = lab.lab(&["logs", "dpo"]);
    assert_eq!(ambiguous.status.code(), Some(2));
    let listed = stderr(&ambiguous);
    assert!(listed.contains("small/dpo-beta0.1-") && listed.contains("small/dpo-beta1-"), "{listed}");
    let logs = stdout(&lab.lab(&["logs", "dpo-beta1-"]));
    assert!(logs.contains("==> train dpo-beta1-") && logs.contains("learning_rate"), "{logs}");
    assert!(!logs.contains("dpo-beta0.1"), "{logs}");
    let shared = stdout(&lab.lab(&["logs", "dpo-beta1-", "--all"]));
    assert!(shared.contains("==> tokenizer ") && !shared.contains("train dpo-beta0.1"), "{shared}");
    let stage = stdout(&lab.lab(&["logs", "tokenizer"]));
    assert_eq!(stage.lines().filter(|line| line.starts_with("==> ")).count(), 1, "{stage}");
    assert_eq!(lab.lab(&["logs", "nothing"]).status.code(), Some(2));

    // Nothing is left to run, so following ends by itself; a log of many lines is cut where that is asked for.
    let label =
        said.lines().find_map(|line| line.strip_prefix("  failed   ")).and_then(|line| line.split_once(": ")).expect("one").0;
    let log = logs.lines().next().and_then(|line| line.rsplit_once(" (")).expect("a path").1.trim_end_matches(')');
    fs::write(lab.folder.path().join(log), "one\ntwo\nthree\n").expect("written");
    let cut = stdout(&lab.lab(&["logs", label, "-n", "2", "--follow"]));
    assert!(cut.ends_with(")\ntwo\nthree\n"), "{cut}");
}
