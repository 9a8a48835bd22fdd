//! A study on a pretrained model and given comparisons, and a model of the hub, with a model that is too small to learn anything.

use super::{lab, model, rows, succeed};
use server::Fake;
use std::fs;
use std::path::Path;
use std::process::Command;

#[allow(dead_code)]
#[path = "../../src/hub/tests/server.rs"]
mod server;

const STUDY: &str = r#"
name = "talk"
[model]
base = "llama_tied"
[task.dialogue]
corpus = "pairs_*.jsonl"
max_prompt_tokens = 8
max_completion_tokens = 6
[sft]
steps = 2
batch_sequences = 4
[training]
steps = 4
batch_pairs = 4
checkpoint_every = 2
learning_rate = 1e-3
warmup_steps = 1
[method.dpo]
beta = 0.1
[method.preferred_ft]
[evaluation]
every = 2
prompts = 6
max_new_tokens = 5
"#;

/// Comparisons of words of the tiny model; the last row's completion is too long.
fn pairs(first: usize, count: usize) -> String {
    let word = |number: usize| format!("w{}", 3 + number % 35);
    let row = |row: usize| {
        serde_json::json!({
            "prompt": format!("{} {}", word(row), word(row * 7 + 1)),
            "chosen": format!("{} {}", word(row + 2), word(row + 5)),
            "rejected": format!("{} {}", word(row + 3), word(row * 3)),
        })
    };
    let mut lines: Vec<String> = (first..first + count).map(|number| row(number).to_string()).collect();
    lines.push(serde_json::json!({ "prompt": "w5", "chosen": "w6 ".repeat(9), "rejected": "w7" }).to_string());
    lines.join("\n")
}

pub(super) fn lab_with_study() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    model(folder.path(), "llama_tied", true);
    fs::write(folder.path().join("study.toml"), STUDY).expect("written");
    fs::write(folder.path().join("pairs_train.jsonl"), pairs(0, 20)).expect("written");
    fs::write(folder.path().join("pairs_test.jsonl"), pairs(20, 10)).expect("written");
    folder
}

/// Values of a column.
pub(super) fn column(table: &[Vec<String>], name: &str) -> Vec<String> {
    let index = table[0].iter().position(|title| title == name).unwrap_or_else(|| panic!("no column {name}"));
    table[1..].iter().map(|row| row[index].clone()).collect()
}

#[test]
fn a_study_on_given_comparisons_trains_measures_and_exports() {
    let folder = lab_with_study();
    succeed(folder.path(), &["run", "study.toml", "-q"]);
    let table = |name: &str| rows(&fs::read_to_string(folder.path().join("results/talk").join(name)).expect(name));
    let frontier = table("frontier.csv");
    // No true reward is known, and none is made up.
    assert!(column(&frontier, "reward_mean").iter().all(String::is_empty));
    assert!(column(&frontier, "kl_mean").iter().all(|kl| kl.parse::<f64>().is_ok()));
    let preferences = table("preferences.csv");
    assert_eq!(column(&preferences, "step"), ["0", "2", "4", "0", "2", "4"]);
    assert!(column(&preferences, "comparisons").iter().all(|count| count == "6"));
    assert_eq!(column(&preferences, "accuracy")[0], "0.5", "the reference prefers nothing");
    assert!(folder.path().join("results/talk/figures/preferences.png").is_file());
    assert!(!folder.path().join("results/talk/figures/frontier.png").exists());
    let run = column(&frontier, "run")[0].clone();
    for start in ["", "nothing"] {
        assert_eq!(lab(folder.path(), &["export", start, "out"]).status.code(), Some(2), "no one run is called {start:?}");
    }
    let training =
        rows(&fs::read_to_string(folder.path().join("results/talk/runs").join(&run).join("train.csv")).expect("train.csv"));
    let loss: f64 = column(&training, "loss")[0].parse().expect("a number");
    assert!((loss - std::f64::consts::LN_2).abs() < 1e-5, "DPO starts at ln 2, not {loss}");

    // Where the model lies matters no more than where the data does, but what it is does.
    let again = lab(folder.path(), &["run", "study.toml"]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("nothing to do"), "{}", String::from_utf8_lossy(&again.stderr));
    succeed(folder.path(), &["export", &run, "out"]);
    let exported: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.path().join("out/config.json")).expect("read")).expect("JSON");
    assert_eq!(exported["architectures"][0], "LlamaForCausalLM");
    assert_eq!(exported["rope_theta"], serde_json::json!(10000.0));
    assert!(folder.path().join("out/tokenizer_config.json").is_file());
    fs::write(folder.path().join("rows.csv"), "prompt,completion\nw5,w6\n").expect("written");
    let [before, after] = ["llama_tied", "out"].map(|name| succeed(folder.path(), &["score", name, "rows.csv"]));
    assert_ne!(before, after);
    assert_eq!(lab(folder.path(), &["export", &run, "out"]).status.code(), Some(2), "a folder with files stays");
}

#[test]
fn completions_that_were_judged_one_by_one_are_learnt_from_and_compared_with_the_reference() {
    let folder = lab_with_study();
    let study =
        STUDY.replace("pairs_*", "votes_*").replace("[method.dpo]\nbeta = 0.1\n[method.preferred_ft]\n", "[method.kto]\n");
    fs::write(folder.path().join("study.toml"), format!("{study}baseline = [\"sft\"]\n[judge.length]\n")).expect("written");
    for (name, first) in [("votes_train.jsonl", 0), ("votes_test.jsonl", 20)] {
        let row = |row: usize| {
            let (prompt, completion) =
                (format!("w{} w{}", 3 + row % 30, 4 + row % 7), format!("w{} w{}", 5 + row % 9, 6 + row % 11));
            serde_json::json!({ "prompt": prompt, "completion": completion, "label": row.is_multiple_of(3) }).to_string()
        };
        fs::write(folder.path().join(name), (first..first + 20).map(row).collect::<Vec<_>>().join("\n")).expect("written");
    }
    succeed(folder.path(), &["run", "study.toml", "-q"]);
    let rates = rows(&fs::read_to_string(folder.path().join("results/talk/winrate.csv")).expect("winrate.csv"));
    assert!(column(&rates, "baseline").iter().all(|baseline| baseline == "sft"), "{rates:?}");
    assert!(column(&rates, "run").iter().any(|run| run.starts_with("kto")), "{rates:?}");
}

#[test]
fn a_side_that_is_missing_is_named() {
    let folder = lab_with_study();
    let output = lab(folder.path(), &["run", "study.toml", "--set", "task.dialogue.corpus=\"pairs_train.jsonl\""]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("no held-out comparisons: add a file with \"test\" in its name"), "{said}");
}

#[test]
fn mistakes_in_the_names_of_model_and_data_point_into_the_file() {
    let folder = lab_with_study();
    fs::write(folder.path().join("texts.csv"), "text,label\nw5,1\n").expect("written");
    fs::write(folder.path().join("odd.csv"), "a,b\nw5,1\n").expect("written");
    for (set, says) in [
        ("model.base=\"nowhere\"", "nowhere is no folder with a config.json"),
        ("model.base=\"builtin:tiny\"", "no words for real text"),
        ("task.dialogue.corpus=\"none_*.jsonl\"", "no file matches"),
        ("task.dialogue.max_prompt_tokens=0", "a longest length of 0"),
        ("task.dialogue.corpus=\"texts.csv\"", "texts.csv is of the format imdb, which does not say which completions"),
        ("task.dialogue.corpus=\"odd.csv\"", "odd.csv, row 1"),
        ("task.dialogue.chat=true", "llama_tied has no chat template"),
        ("task.dialogue.labels=\"hard\"", "nothing reads `labels`"),
    ] {
        let output = lab(folder.path(), &["check", "study.toml", "--set", set]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(says), "{says:?} is not in {said}");
    }
}

#[test]
fn texts_past_the_positions_that_a_model_learned_are_refused_before_anything_runs() {
    let folder = lab_with_study();
    model(folder.path(), "gpt2", true);
    let check = |tokens: &str| {
        let base = ["--set", "model.base=\"gpt2\"", "--set", "sft.max_tokens=33", "--set", tokens];
        let output = lab(folder.path(), &[&["check", "study.toml"], &base[..]].concat());
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    // With 6 of a completion.
    let (code, said) = check("task.dialogue.max_prompt_tokens=28");
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("texts may have 34 tokens, and the model knows 33 positions"), "{said}");
    let (code, said) = check("task.dialogue.max_prompt_tokens=27");
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn a_model_of_the_hub_is_fetched_once_and_then_used_offline() {
    let folder = tempfile::tempdir().expect("a folder");
    let tiny = model(folder.path(), "llama_tied", true);
    let read = |name: &str| fs::read(tiny.join(name)).expect(name);
    let names = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"];
    let files: Vec<(&str, Vec<u8>)> = names.iter().map(|name| (*name, read(name))).collect();
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (*name, &bytes[..])).collect();
    let hub = Fake::start("tiny/llama", "main", &files);
    fs::write(folder.path().join("rows.csv"), "prompt,completion\nw5,w6\n").expect("written");
    let score = |name: &str, more: &[&str], endpoint: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dpo-lab"));
        command.args(["score", name, "rows.csv"]).args(more).current_dir(folder.path());
        command.env("HF_ENDPOINT", endpoint).env("HF_HOME", folder.path().join("cache"));
        for variable in ["HF_HUB_CACHE", "HF_TOKEN", "HF_HUB_OFFLINE", "DPO_LAB_OFFLINE"] {
            command.env_remove(variable);
        }
        command.output().expect("dpo-lab starts")
    };
    let local = succeed(folder.path(), &["score", "llama_tied", "rows.csv"]);
    let fetched = score("hub:tiny/llama", &[], &hub.hub.url());
    assert_eq!(String::from_utf8_lossy(&fetched.stdout), local, "{}", String::from_utf8_lossy(&fetched.stderr));
    let elsewhere = hub.hub.url();
    drop(hub);
    let offline = score("hub:tiny/llama", &["--offline"], &elsewhere);
    assert_eq!(String::from_utf8_lossy(&offline.stdout), local);
    let unknown = score("hub:tiny/other", &["--offline"], &elsewhere);
    assert!(!unknown.status.success() && String::from_utf8_lossy(&unknown.stderr).contains("hub:tiny/other"));
    assert!(Path::new(&folder.path().join("cache")).is_dir());
}

/// The true reward of a study can be a classifier that is there already.
#[test]
fn a_pretrained_classifier_is_the_true_reward() {
    let folder = tempfile::tempdir().expect("a folder");
    model(folder.path(), "llama_tied", true);
    let judge = model(folder.path(), "distilbert", true);
    let path = judge.join("config.json");
    let mut config: serde_json::Value = serde_json::from_slice(&fs::read(&path).expect("read")).expect("JSON");
    config["id2label"] = serde_json::json!({ "0": "NEGATIVE", "1": "POSITIVE" });
    fs::write(&path, config.to_string()).expect("written");
    let study = STUDY.replace("corpus = \"pairs_*.jsonl\"\nmax_prompt_tokens = 8\nmax_completion_tokens = 6", "corpus = \"texts.csv\"\nreward = { classifier = \"distilbert\" }\nprefix_tokens = [1, 2]\nprompts = 12\nmax_new_tokens = 4")
        .replace("[task.dialogue]", "[task.sentiment]");
    let study = study.replace("batch_sequences = 4", "batch_sequences = 4\nmax_tokens = 12");
    fs::write(folder.path().join("study.toml"), study).expect("written");
    let word = |number: usize| format!("w{}", 3 + number % 35);
    let text = |row: usize| (0..9).map(|place| word(row * 11 + place * (row + 3))).collect::<Vec<_>>().join(" ");
    let lines: Vec<String> = (0..120).map(|row| format!("{},{}", text(row), row % 2)).collect();
    fs::write(folder.path().join("texts.csv"), format!("text,label\n{}\n", lines.join("\n"))).expect("written");
    succeed(folder.path(), &["run", "study.toml", "-q"]);
    let frontier = rows(&fs::read_to_string(folder.path().join("results/talk/frontier.csv")).expect("frontier.csv"));
    let rewards: Vec<f64> = column(&frontier, "reward_mean").iter().map(|reward| reward.parse().expect("a reward")).collect();
    assert_eq!(rewards.len(), 6);
    assert!(rewards.iter().all(|reward| (0.0..1.0).contains(reward)), "{rewards:?}");

    // The reward in samples.csv is what `classify` says of the same text.
    let samples = fs::read_to_string(folder.path().join("results/talk/samples.csv")).expect("samples.csv");
    let samples: Vec<Vec<String>> = rows(&samples);
    let (texts, rewards) = (column(&samples, "text"), column(&samples, "reward"));
    fs::write(folder.path().join("samples.csv"), format!("text\n{}\n", texts.join("\n"))).expect("written");
    let said = rows(&succeed(folder.path(), &["classify", "distilbert", "samples.csv"]));
    for (row, reward) in said[1..].iter().zip(rewards) {
        let score: f64 = row[2].parse().expect("a number");
        let positive = if row[1] == "POSITIVE" { score } else { 1.0 - score };
        assert!((positive - reward.parse::<f64>().expect("a number")).abs() < 1e-6, "{row:?}, {reward}");
    }
}

/// The study on other data and methods.
fn with(data: impl Fn(usize) -> serde_json::Value, methods: &str) -> tempfile::TempDir {
    let folder = lab_with_study();
    let head = STUDY.split("[method.dpo]").next().expect("a head");
    let tail = STUDY.split("[evaluation]").nth(1).expect("a tail");
    fs::write(folder.path().join("study.toml"), format!("{head}{methods}\n[evaluation]{tail}")).expect("written");
    for (name, rows) in [("pairs_train.jsonl", 0..20), ("pairs_test.jsonl", 20..30)] {
        let lines: Vec<String> = rows.map(|row| data(row).to_string()).collect();
        fs::write(folder.path().join(name), lines.join("\n")).expect("written");
    }
    folder
}

fn words(numbers: &[usize]) -> String {
    numbers.iter().map(|number| format!("w{}", 3 + number % 35)).collect::<Vec<_>>().join(" ")
}

#[test]
fn judged_completions_are_learnt_from_by_methods_that_need_no_pairs() {
    let judged = |row: usize| {
        let (prompt, completion) = (words(&[row, row * 7 + 1]), words(&[row + 2, row + 5]));
        serde_json::json!({ "prompt": prompt, "completion": completion, "label": row.is_multiple_of(3) })
    };
    let folder = with(judged, "[method.kto]\n");
    succeed(folder.path(), &["run", "study.toml"]);
    let train = fs::read_dir(folder.path().join("results/talk/runs")).expect("runs").flatten().next().expect("a run");
    let train = fs::read_to_string(train.path().join("train.csv")).expect("train.csv");
    assert!(train.lines().count() == 5 && !train.contains("NaN"), "{train}");
    let pairs = lab(with(judged, "[method.dpo]\n").path(), &["run", "study.toml"]);
    let said = String::from_utf8_lossy(&pairs.stderr).into_owned();
    assert!(!pairs.status.success() && said.contains("compare no two completions"), "{said}");
    let liked = |row: usize| {
        let mut row = judged(row);
        row["label"] = true.into();
        row
    };
    let one_kind = lab(with(liked, "[method.kto]\n").path(), &["run", "study.toml"]);
    let said = String::from_utf8_lossy(&one_kind.stderr).into_owned();
    assert!(!one_kind.status.success() && said.contains("is undesirable"), "{said}");
}

#[test]
fn rankings_are_learnt_from_as_they_are_and_as_pairs() {
    let ranking = |row: usize| {
        let completions: Vec<String> = (0..3).map(|rank| words(&[row + rank, row * 2 + rank])).collect();
        serde_json::json!({ "prompt": words(&[row, row + 9]), "completions": completions, "ranking": [2, 1, 3] })
    };
    let folder = with(ranking, "[method.plackett_luce]\n[method.dpo]\n");
    succeed(folder.path(), &["run", "study.toml"]);
}

#[test]
fn adapters_are_reinforced_by_a_learned_reward() {
    let pair = |row: usize| {
        serde_json::json!({
            "prompt": words(&[row, row * 7 + 1]), "chosen": words(&[row + 2, row + 5]), "rejected": words(&[row + 3, row * 3]),
        })
    };
    let ppo = "[reward_model]\nbatch_pairs = 4\n[method.ppo]\nrollouts = 8\nminibatch = 4\nepochs = 2\n";
    let folder = with(pair, ppo);
    let study = folder.path().join("study.toml");
    let adapted = fs::read_to_string(&study)
        .expect("read")
        .replace("base = \"llama_tied\"", "base = \"llama_tied\"\n[model.lora]\nrank = 2");
    fs::write(&study, adapted).expect("written");
    succeed(folder.path(), &["run", "study.toml"]);
    let runs = fs::read_dir(folder.path().join("results/talk/runs")).expect("runs").flatten().next().expect("a run");
    let train = fs::read_to_string(runs.path().join("train.csv")).expect("train.csv");
    assert!(train.contains("objective/kl") && train.lines().count() == 5, "{train}");
    let name = runs.file_name().to_string_lossy().into_owned();
    succeed(folder.path(), &["export", &name, "merged"]);
    assert!(folder.path().join("merged/model.safetensors").is_file());
}
