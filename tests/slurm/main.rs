//! Studies on a real Slurm of one machine: what fails, what is lost, who looks on, and who does not.

mod cluster;

use cluster::{Cluster, wait_for};
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

/// Models too small to learn anything: what is tested is which stages run.
const STUDY: &str = r#"
name = "small"
[task.sentiment]
corpus = "builtin:reviews"
prefix_tokens = [2, 6]
prompts = 16
completions = 2
max_new_tokens = 8
labels = "bradley-terry"
reward = "builtin:sentiment"
[base]
steps = 4
batch_sequences = 8
[sft]
steps = 2
batch_sequences = 8
[training]
steps = 4
batch_pairs = 8
checkpoint_every = 4
warmup_steps = 0
[method.dpo]
# The second one makes training diverge.
learning_rate = [1e-3, 1e30]
[evaluation]
every = 4
prompts = 12
max_new_tokens = 8
"#;

/// How the names of its runs begin.
const LEARNS: &str = "dpo-learningrate0.001";
const DIVERGES: &str = "dpo-learningrate1000000";

/// A study in the cluster's folder, with lines that every job starts with.
fn write_study(cluster: &Cluster, setup: &[&str]) {
    let text = format!("{STUDY}\n[executor.slurm]\npartition = \"main\"\nsetup = {setup:?}\n");
    fs::write(cluster.lab().join("study.toml"), text).expect("written");
}

fn results(cluster: &Cluster) -> PathBuf {
    cluster.lab().join("results/small")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Label and job of every stage that was handed in.
fn jobs(cluster: &Cluster) -> Vec<(String, String)> {
    let read = |name: &str| -> serde_json::Value {
        serde_json::from_slice(&fs::read(results(cluster).join(name)).expect(name)).expect("JSON")
    };
    let (plan, jobs) = (read("plan.json"), read("slurm.json"));
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let stages = plan["stages"].as_array().expect("stages").clone();
    let job = |stage: &serde_json::Value| Some((text(&stage["label"]), text(jobs["stages"].get(text(&stage["key"]))?)));
    stages.iter().filter_map(job).collect()
}

/// dpo-lab beside the test, what it says in a file.
fn beside(cluster: &Cluster, arguments: &[&str]) -> (Child, PathBuf) {
    let said = cluster.lab().join("said");
    let file = fs::File::create(&said).expect("a file");
    let child = cluster.lab_command(arguments).stderr(file).stdout(std::process::Stdio::null()).spawn().expect("dpo-lab starts");
    (child, said)
}

fn says(path: &PathBuf, what: &str) -> bool {
    fs::read_to_string(path).is_ok_and(|text| text.contains(what))
}

#[track_caller]
fn ends(mut child: Child, seconds: u64) -> Option<i32> {
    let until = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(status) = child.try_wait().expect("a process") {
            return status.code();
        }
        if Instant::now() > until {
            let _ = child.kill();
            panic!("dpo-lab did not end within {seconds} s");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_failed_stage_takes_with_it_only_what_needs_it_and_a_rerun_finishes() {
    let Some(cluster) = Cluster::start() else { return };
    write_study(&cluster, &[]);
    let submitted = cluster.run(&["run", "study.toml", "--executor", "slurm"]);
    assert!(submitted.status.success(), "{}", stderr(&submitted));
    assert!(stderr(&submitted).contains(" stages submitted as "), "{}", stderr(&submitted));
    // Both runs are trained by one array.
    let trained: Vec<String> =
        jobs(&cluster).into_iter().filter(|(label, _)| label.starts_with("train dpo")).map(|(_, job)| job).collect();
    let of_array = trained.iter().filter_map(|job| job.split_once('_')).map(|(job, _)| job).collect::<Vec<_>>();
    assert!(of_array.len() == 2 && of_array[0] == of_array[1], "{trained:?}");

    // Nobody looks on, and the report comes.
    wait_for("the report", 90, || results(&cluster).join("report.html").exists() && cluster.queue().is_empty());
    let frontier = || fs::read_to_string(results(&cluster).join("frontier.csv")).expect("frontier.csv");
    let rows = |run: &str| frontier().lines().filter(|line| line.starts_with(run) && line.contains(",4,1.0,")).count();
    assert!(rows(LEARNS) > 0 && rows(DIVERGES) == 0, "{}", frontier());

    // Who looks again sees it fail again, and why.
    let again = cluster.run(&["run", "study.toml", "--executor", "slurm"]);
    assert_eq!(again.status.code(), Some(100), "{}", stderr(&again));
    assert!(stderr(&again).contains(&format!("failed: train {DIVERGES}")), "{}", stderr(&again));
    assert!(stderr(&again).contains("learning_rate"), "{}", stderr(&again));
    let runs = fs::read_to_string(results(&cluster).join("runs.csv")).expect("runs.csv");
    assert!(runs.contains(",failed,"), "{runs}");

    // Mended, it is done.
    let set = "method.dpo.learning_rate=[1e-3, 2e-3]";
    let mended = cluster.run(&["run", "study.toml", "--executor", "slurm", "--wait", "--set", set]);
    assert!(mended.status.success(), "{}", stderr(&mended));
    assert!(rows(LEARNS) > 0 && rows("dpo-learningrate0.002") > 0, "{}", frontier());
    let nothing = cluster.run(&["run", "study.toml", "--executor", "slurm", "--set", set]);
    assert!(stderr(&nothing).contains("nothing to do"), "{}", stderr(&nothing));
    assert!(cluster.queue().is_empty());
}

#[test]
fn ctrl_c_only_detaches_and_a_job_that_is_lost_is_handed_in_again() {
    let Some(cluster) = Cluster::start() else { return };
    write_study(&cluster, &["sleep 4"]);
    let run = ["run", "study.toml", "--executor", "slurm", "--until", "base"];
    assert!(cluster.run(&run).status.success());
    let first = jobs(&cluster);
    let (watching, said) = beside(&cluster, &run);
    wait_for("it is attached", 20, || says(&said, "small: attached"));
    Command::new("kill").args(["-INT", &watching.id().to_string()]).status().expect("kill starts");
    assert_eq!(ends(watching, 20), Some(130));
    assert!(says(&said, "detached; its jobs go on"));
    assert!(first.iter().any(|(_, job)| cluster.queue().iter().any(|(queued, _)| queued == job)), "{first:?}");

    let (watching, said) = beside(&cluster, &run);
    wait_for("it is attached", 20, || says(&said, "small: attached"));
    let (label, job) = first.iter().find(|(label, _)| label == "tokenizer").expect("a tokenizer");
    assert!(cluster.command("scancel").arg(job).status().expect("scancel starts").success());
    let code = ends(watching, 90);
    let text = fs::read_to_string(&said).expect("what it said");
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains(&format!("{label} has no result, and job {job} is gone")), "{text}");
    assert!(jobs(&cluster).iter().all(|(_, job)| !first.iter().any(|(_, before)| before == job)), "all of it is handed in again");
}

#[test]
fn cancel_ends_what_is_left_of_a_study() {
    let Some(cluster) = Cluster::start() else { return };
    write_study(&cluster, &["sleep 60"]);
    assert!(cluster.run(&["run", "study.toml", "--executor", "slurm"]).status.success());
    wait_for("a job runs", 20, || cluster.queue().iter().any(|(_, state)| state == "RUNNING"));
    let cancelled = cluster.run(&["cancel", "small"]);
    assert!(cancelled.status.success(), "{}", stderr(&cancelled));
    assert!(String::from_utf8_lossy(&cancelled.stdout).contains(" stages are cancelled"), "{cancelled:?}");
    wait_for("the queue is empty", 20, || cluster.queue().is_empty());
    let nothing = cluster.run(&["cancel", "small"]);
    assert!(nothing.status.success() && String::from_utf8_lossy(&nothing.stdout).contains("Ctrl-C"), "{nothing:?}");
    assert_eq!(cluster.run(&["cancel", "other"]).status.code(), Some(2));
}

#[test]
fn one_job_at_once_is_one() {
    let Some(cluster) = Cluster::start() else { return };
    let count = "squeue --me --array --noheader --states=RUNNING | wc -l >> counts; sleep 1";
    write_study(&cluster, &[count]);
    let set = "method.dpo.learning_rate=[1e-3, 2e-3, 3e-3]";
    let ran =
        cluster.run(&["run", "study.toml", "--executor", "slurm", "--wait", "--jobs", "1", "--until", "train", "--set", set]);
    assert!(ran.status.success(), "{}", stderr(&ran));
    let counts = fs::read_to_string(cluster.lab().join("counts")).expect("counts");
    assert!(counts.lines().count() >= 8 && counts.lines().all(|count| count.trim() == "1"), "{counts:?}");
}

#[test]
fn without_slurm_it_says_so_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("study.toml"), STUDY).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_dpo-lab"));
    command.args(["run", "study.toml", "--executor", "slurm"]).current_dir(folder.path()).env("PATH", "");
    let output = command.output().expect("dpo-lab starts");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("there is no sbatch on this machine") && stderr(&output).contains("--executor local"));
    assert!(!folder.path().join("results").exists(), "nothing was written");
}
