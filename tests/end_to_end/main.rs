//! The story of a small study: run, rerun, edit, damage, kill, and two at once. Its models are too small to learn
//! anything; what is tested is that work is kept, redone where it must be, and always gives the same numbers.

mod afterwards;
mod corpora;
mod cost;
mod judging;
mod kills;
mod methods;
mod tracking;
mod watching;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const STUDY: &str = r#"
name = "small"
[task.sentiment]
corpus = "builtin:reviews"
prefix_tokens = [2, 6]
prompts = 24
completions = 3
max_new_tokens = 8
# Barely trained models write nothing that parses, so all rewards are equal: these labels are coin flips then.
labels = "bradley-terry"
reward = "builtin:sentiment"
[base]
steps = 6
batch_sequences = 16
[sft]
steps = 2
batch_sequences = 16
[reward_model]
batch_pairs = 16
[training]
steps = 4
batch_pairs = 8
checkpoint_every = 2
learning_rate = 1e-3
warmup_steps = 1
[method.dpo]
beta = [0.1, 1.0]
[method.unlikelihood]
alpha = 0.5
[method.preferred_ft]
[method.sft]
[method.best_of_n]
n = [1, 4]
[evaluation]
every = 2
prompts = 12
samples_per_prompt = 2
max_new_tokens = 8
"#;

struct Lab {
    folder: tempfile::TempDir,
}

impl Lab {
    fn new() -> Self {
        let lab = Lab { folder: tempfile::tempdir().expect("a folder") };
        lab.write(STUDY);
        lab
    }

    fn write(&self, study: &str) {
        fs::write(self.folder.path().join("study.toml"), study).expect("written");
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dpo-lab"));
        command.args(arguments).current_dir(self.folder.path());
        command
    }

    fn lab(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("dpo-lab starts")
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) -> Output {
        let output = self.lab(&[&["run", "study.toml"], arguments].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output
    }

    fn results(&self) -> PathBuf {
        self.folder.path().join("results/small")
    }

    fn frontier(&self) -> String {
        fs::read_to_string(self.results().join("frontier.csv")).expect("frontier.csv")
    }

    /// Folder of the artifact of the first stage whose label starts with `label`.
    fn artifact(&self, label: &str) -> PathBuf {
        let plan: serde_json::Value =
            serde_json::from_slice(&fs::read(self.results().join("plan.json")).expect("plan")).expect("JSON");
        let stages = plan["stages"].as_array().expect("stages").clone();
        let stage = stages.iter().find(|stage| stage["label"].as_str().is_some_and(|l| l.starts_with(label))).expect("the stage");
        let key = stage["key"].as_str().expect("a key");
        self.folder.path().join("results/.store").join(&key[..2]).join(key)
    }

    /// Label and reason of every stage that would run.
    fn would_run(&self, arguments: &[&str]) -> Vec<(String, String)> {
        let output = self.lab(&[&["plan", "study.toml", "--json"], arguments].concat());
        let plan: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let text = |stage: &serde_json::Value, key: &str| stage[key].as_str().unwrap_or_default().to_owned();
        let stages = plan["stages"].as_array().expect("stages").clone();
        stages.iter().filter(|s| s["cached"] == false).map(|s| (text(s, "stage"), text(s, "why"))).collect()
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_study_leaves_its_tables_and_figures() {
    let lab = Lab::new();
    let output = lab.run(&[]);
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(table.contains("dpo-beta0.1-seed0-") && table.contains("report.html"), "{table}");
    let results = lab.results();
    for name in [
        "plan.json",
        "runs.csv",
        "frontier.csv",
        "summary.csv",
        "best_of_n.csv",
        "samples.csv",
        "deviations.md",
        "report.html",
        "figures/frontier.svg",
        "figures/frontier.png",
        "figures/best_of_n.svg",
        "figures/preferences.svg",
        "preferences.csv",
        "figures/training.png",
        "figures/health.svg",
    ] {
        assert!(fs::metadata(results.join(name)).is_ok_and(|file| file.len() > 100), "{name}");
    }
    let header = |name: &str| fs::read_to_string(results.join(name)).expect(name).lines().next().expect("a line").to_owned();
    assert_eq!(
        header("frontier.csv"),
        "run,method,params,seed,step,temperature,prompts,reward_mean,reward_se,proxy_reward_mean,kl_mean,kl_se,kl_sampled_mean,\
         kl_sampled_se,completion_tokens_mean,truncated_share,entropy_mean,distinct_2"
    );
    assert_eq!(header("runs.csv"), "run,method,task,seed,status,steps,train_tokens,wall_s,tokens_per_s,device,beta,n");
    assert_eq!(
        header("best_of_n.csv"),
        "run,task,n,seed,temperature,prompts,reward_mean,reward_se,proxy_reward_mean,kl_bound,judge,baseline,win_rate,ci_low,ci_high"
    );
    // 2 DPO, 1 unlikelihood and 1 preferred-FT runs at steps 0, 2 and 4, and the reference by itself.
    let frontier = lab.frontier();
    assert_eq!(frontier.lines().count(), 1 + 4 * 3 + 1);
    let first_step = frontier.lines().find(|line| line.starts_with("dpo-beta0.1") && line.contains(",0,0,1.0,")).expect("step 0");
    assert_eq!(first_step.split(',').nth(10), Some("0.0"), "the reference has no KL to itself: {first_step}");
    let train = fs::read_dir(results.join("runs")).expect("runs").flatten().map(|entry| entry.path().join("train.csv"));
    let dpo = train.into_iter().find(|path| path.display().to_string().contains("dpo-beta0.1")).expect("a run");
    let rows = fs::read_to_string(dpo).expect("train.csv");
    assert_eq!(rows.lines().count(), 1 + 4);
    let loss: f64 = rows.lines().nth(1).and_then(|row| row.split(',').nth(1)).and_then(|loss| loss.parse().ok()).expect("a loss");
    assert!((loss - std::f64::consts::LN_2).abs() < 1e-5, "DPO starts at ln 2, not {loss}");
}

#[test]
fn a_rerun_does_nothing_and_an_edit_reruns_what_depends_on_it() {
    let lab = Lab::new();
    assert!(lab.would_run(&[]).iter().all(|(_, why)| why == "new"));
    let first: Vec<String> = lab.would_run(&["--until", "sft"]).into_iter().map(|(stage, _)| stage).collect();
    assert_eq!(first, ["tokenizer", "base", "sft"]);
    lab.run(&["-q"]);
    let before = lab.frontier();
    let began = Instant::now();
    let output = lab.run(&[]);
    // Generous here, since the machine may be busy; the promise is under a second.
    assert!(began.elapsed() < Duration::from_secs(5));
    assert!(stderr(&output).contains("nothing to do"), "{}", stderr(&output));
    assert_eq!(lab.frontier(), before);

    lab.write(&STUDY.replace("alpha = 0.5", "alpha = 0.25"));
    let changed = lab.would_run(&[]);
    assert!(changed.iter().all(|(stage, _)| stage.contains("unlikelihood")), "{changed:?}");
    assert!(changed.iter().any(|(_, why)| why.contains("alpha: 0.5 -> 0.25")), "{changed:?}");

    lab.write(&STUDY.replace("[evaluation]\nevery = 2\nprompts = 12", "[evaluation]\nevery = 2\nprompts = 10"));
    let changed = lab.would_run(&[]);
    assert!(
        !changed.is_empty() && changed.iter().all(|(stage, _)| !stage.starts_with("train") && stage != "base"),
        "{changed:?}"
    );

    lab.write(&STUDY.replace("steps = 4", "steps = 6"));
    let changed = lab.would_run(&[]);
    let trained: Vec<&str> = changed.iter().map(|(stage, _)| stage.as_str()).filter(|stage| stage.starts_with("train")).collect();
    assert!(trained.iter().all(|stage| stage.ends_with("4-6")), "raising steps keeps finished segments: {trained:?}");
}

#[test]
fn workers_threads_and_interruptions_do_not_change_a_digit() {
    let (one, other) = (Lab::new(), Lab::new());
    one.run(&["-q", "--jobs", "1"]);
    // Killed twice on the way: once early, once when some of it is done. Runner and workers die together.
    for wait in [300, 1500] {
        let mut command = other.command(&["run", "study.toml", "-q", "--jobs", "2"]);
        let mut runner = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts");
        std::thread::sleep(Duration::from_millis(wait));
        for worker in children(runner.id()) {
            let _ = Command::new("kill").args(["-9", &worker.to_string()]).status();
        }
        let _ = runner.kill();
        let _ = runner.wait();
    }
    other.run(&["-q", "--jobs", "2"]);
    assert_eq!(one.frontier(), other.frontier());
    let drafts = other.folder.path().join("results/.store/drafts");
    assert_eq!(fs::read_dir(drafts).map(Iterator::count).unwrap_or(0), 0, "nothing half-made is left");
}

#[test]
fn an_interruption_before_the_first_result_keeps_the_tables() {
    let lab = Lab::new();
    lab.run(&["-q"]);
    let before = lab.frontier();
    let mut command = lab.command(&["run", "study.toml", "-q", "--set", "base.steps=1000000"]);
    let mut runner = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts");
    std::thread::sleep(Duration::from_millis(1000));
    Command::new("kill").args(["-INT", &runner.id().to_string()]).status().expect("kill");
    assert_eq!(runner.wait().expect("waited").code(), Some(130));
    assert_eq!(lab.frontier(), before);
}

/// Processes whose parent is `parent`.
fn children(parent: u32) -> Vec<u32> {
    let stat = |entry: fs::DirEntry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        let of: u32 = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
        (of == parent).then_some(pid)
    };
    fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(stat).collect()
}

#[test]
fn two_processes_share_a_study() {
    let lab = Lab::new();
    let start =
        || lab.command(&["run", "study.toml", "-q"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("starts");
    let (one, other) = (start(), start());
    for process in [one, other] {
        let output = process.wait_with_output().expect("ends");
        assert!(output.status.success(), "{}", stderr(&output));
    }
    assert!(lab.would_run(&[]).is_empty());
}

#[test]
fn a_damaged_artifact_is_found_said_and_made_again() {
    let lab = Lab::new();
    lab.run(&["-q"]);
    let before = lab.frontier();
    let damaged = lab.artifact("reference log-probs").join("logprobs.json");
    let mut bytes = fs::read(&damaged).expect("read");
    bytes[5] ^= 1;
    fs::write(&damaged, bytes).expect("written");
    assert_eq!(lab.lab(&["status"]).status.code(), Some(1));
    let output = lab.run(&[]);
    assert!(stderr(&output).contains("digest") && stderr(&output).contains("made again"), "{}", stderr(&output));
    assert_eq!(lab.frontier(), before);
}

/// Damage that leaves size and time as they were is found by the worker that reads the artifact.
#[test]
fn a_worker_that_meets_a_damaged_input_has_it_made_again() {
    let lab = Lab::new();
    lab.run(&["-q", "--until", "comparisons"]);
    let damaged = lab.artifact("comparisons").join("comparisons.json");
    let modified = fs::metadata(&damaged).and_then(|file| file.modified()).expect("a time");
    let mut bytes = fs::read(&damaged).expect("read");
    bytes[12] ^= 1;
    fs::write(&damaged, bytes).expect("written");
    fs::File::options().write(true).open(&damaged).and_then(|file| file.set_modified(modified)).expect("the old time");
    let output = lab.run(&[]);
    assert!(stderr(&output).contains("made again"), "{}", stderr(&output));
}

#[test]
fn a_stage_that_fails_costs_only_what_needs_it() {
    let lab = Lab::new();
    // A learning rate that makes the loss overflow, in one run only.
    let hot =
        "[[method.dpo]]\nbeta = 0.1\n[[method.dpo]]\nbeta = 1.0\nlearning_rate = 1e30\nmax_grad_norm = 1e30\nwarmup_steps = 0";
    lab.write(&STUDY.replace("[method.dpo]\nbeta = [0.1, 1.0]", hot));
    let output = lab.lab(&["run", "study.toml"]);
    assert_eq!(output.status.code(), Some(100), "{}", stderr(&output));
    assert!(stderr(&output).contains("log: ") && stderr(&output).contains("learning_rate"), "{}", stderr(&output));
    let runs = fs::read_to_string(lab.results().join("runs.csv")).expect("runs.csv");
    let status = |name: &str| {
        let row = runs.lines().find(|row| row.starts_with(name)).unwrap_or_else(|| panic!("{name}: {runs}"));
        row.split(',').nth(4).expect("a status").to_owned()
    };
    assert_eq!(status("dpo-beta1"), "failed");
    assert_eq!(status("dpo-beta0.1"), "done");
    assert_eq!(status("unlikelihood"), "done");
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let lab = Lab::new();
    lab.write(STUDY);
    let mut child = Command::new(env!("CARGO_BIN_EXE_dpo-lab"))
        .args(["plan", "study.toml"])
        .current_dir(lab.folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("spawned");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("waited");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn the_doctor_says_which_device_is_used_and_what_a_gpu_would_need() {
    let lab = Lab::new();
    let found: serde_json::Value = serde_json::from_slice(&lab.lab(&["doctor", "--json"]).stdout).expect("JSON");
    let text = String::from_utf8_lossy(&lab.lab(&["doctor"]).stdout).into_owned();
    let device = found["device"].as_str().expect("a device");
    assert!(found["works"] == true && text.contains(&format!("{device}, unless --device names another")), "{text}");
    assert_eq!(device == "cpu", text.contains("to train on a GPU:"), "{text}");
    let refused = lab.lab(&["run", "study.toml", "--device", "cuda:60000"]);
    assert_eq!(refused.status.code(), Some(2), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("help: ") && !lab.results().exists(), "{}", stderr(&refused));
}

#[test]
fn a_bench_says_what_it_measured() {
    let lab = Lab::new();
    let output = lab.lab(&["bench", "--model", "tiny", "--steps", "2", "--breakdown", "--json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    for number in [&found["training"]["tokens_per_s"], &found["generation"]["tokens_per_s"], &found["breakdown"]["step_s"]] {
        assert!(number.as_f64().is_some_and(|number| number > 0.0), "{found}");
    }
    let parts = found["breakdown"]["parts"].as_array().expect("parts");
    let share = |part: &serde_json::Value| part["share"].as_f64().expect("a share");
    assert!((parts.iter().map(share).sum::<f64>() - 1.0).abs() < 1e-9 && parts.iter().all(|part| share(part) > 0.0), "{found}");
    assert!(parts.iter().any(|part| part["name"] == "attention, backward"), "{found}");
    let output = lab.lab(&["bench", "--model", "huge"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("bench-tiny"), "{}", stderr(&output));
}

#[test]
fn a_bench_takes_pairs_from_a_file() {
    let lab = Lab::new();
    let pairs = lab.folder.path().join("pairs.jsonl");
    let line = |chosen: u32| format!("{{\"prompt_ids\": [1, 2], \"chosen_ids\": [{chosen}], \"rejected_ids\": [4, 5, 6]}}\n");
    let bench =
        || lab.lab(&["bench", "--model", "tiny", "--only", "training", "--pairs", "pairs.jsonl", "--batch", "2", "--json"]);
    fs::write(&pairs, line(3).repeat(5)).expect("written");
    let output = bench();
    assert!(output.status.success(), "{}", stderr(&output));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((found["training"]["tokens"].as_f64(), found["training"]["batch_pairs"].as_u64()), (Some(4.0), Some(2)));
    for (text, complaint) in [
        (line(3) + &line(2048), "line 2: token 2048"),
        (line(3) + "{}", "line 2: missing field"),
        (line(3), "less than one batch"),
        ("{\"prompt_ids\": [], \"chosen_ids\": [1], \"rejected_ids\": [1]}".into(), "is empty"),
    ] {
        fs::write(&pairs, text).expect("written");
        let output = bench();
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(complaint), "{}", stderr(&output));
    }
}

#[test]
fn part_of_a_study_never_replaces_the_whole() {
    let lab = Lab::new();
    lab.run(&["-q", "--only", "unlikelihood"]);
    let left = lab.would_run(&[]);
    assert!(left.iter().any(|(stage, _)| stage.starts_with("train dpo")), "{left:?}");
    assert!(!left.iter().any(|(stage, _)| stage.contains("unlikelihood")), "{left:?}");
    lab.run(&["-q"]);
    let (before, plan) = (lab.frontier(), fs::read(lab.results().join("plan.json")).expect("plan.json"));
    lab.run(&["-q", "--only", "unlikelihood", "--only", "sft"]);
    assert_eq!(lab.frontier(), before, "`--only` chooses what is done, not what is shown");
    assert_eq!(fs::read(lab.results().join("plan.json")).expect("plan.json"), plan);

    lab.write(&STUDY.replace("alpha = 0.5", "alpha = 0.25"));
    let output = lab.lab(&["report"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("not those of its last run"), "{}", stderr(&output));
    assert_eq!(lab.frontier(), before, "an edit alone changes no table");

    fs::write(lab.results().join("plan.json"), "{").expect("written");
    let output = lab.lab(&["gc"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    lab.write(STUDY);
    assert!(lab.would_run(&[]).is_empty(), "nothing was removed");
}

#[test]
fn a_table_without_rows_has_its_header() {
    let lab = Lab::new();
    lab.write(&STUDY.replace("[method.best_of_n]\nn = [1, 4]\n", ""));
    lab.run(&["-q", "--until", "prompts"]);
    for (table, first) in
        [("best_of_n.csv", "run,task,n,"), ("frontier.csv", "run,method,params,"), ("summary.csv", "metric,method,")]
    {
        let text = fs::read_to_string(lab.results().join(table)).expect(table);
        assert!(text.starts_with(first) && text.lines().count() == 1, "{table}: {text}");
    }
}
