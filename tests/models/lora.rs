//! Studies and verbs with adapters.

use super::study::{column, lab_with_study};
use super::{lab, model, rows, succeed};
use std::fs;
use std::path::{Path, PathBuf};

const LORA: [&str; 4] = ["--set", "model.lora.rank=2", "--set", "model.lora.alpha=8"];

fn run(folder: &Path, more: &[&str]) -> String {
    let output = lab(folder, &[&["run", "study.toml"], &LORA[..], more].concat());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    said
}

/// Log-probs of some completions under a model.
fn scores(folder: &Path, model: &[&str]) -> Vec<f64> {
    fs::write(folder.join("rows.csv"), "prompt,completion\nw5,w6 w7\nw8 w9,w10 w11 w12\n").expect("written");
    let (name, options) = (model[0], &model[1..]);
    let table = rows(&succeed(folder, &[&["score", name, "rows.csv"], options].concat()));
    column(&table, "logprob_sum").iter().map(|sum| sum.parse().expect("a number")).collect()
}

fn close(got: &[f64], wanted: &[f64]) {
    assert!(got.iter().zip(wanted).all(|(got, wanted)| (got - wanted).abs() < 1e-6 * wanted.abs()), "{got:?} is not {wanted:?}");
}

/// The model that the last training segment of DPO wrote.
fn last_segment(folder: &Path) -> PathBuf {
    let plan: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.join("results/talk/plan.json")).expect("a plan")).expect("JSON");
    let stages = plan["stages"].as_array().expect("stages");
    let last = stages.iter().find(|stage| stage["label"] == "train dpo-seed0 2-4").expect("a segment");
    let key = last["key"].as_str().expect("a key");
    folder.join("results/.store").join(&key[..2]).join(key).join("model")
}

#[test]
fn a_study_with_adapters_trains_goes_on_measures_and_exports() {
    let folder = lab_with_study();
    let folder = folder.path();
    // A second segment is trained from the first one's file.
    run(folder, &["--set", "training.steps=2"]);
    run(folder, &[]);
    let table = |name: &str| rows(&fs::read_to_string(folder.join("results/talk").join(name)).expect(name));
    let frontier = table("frontier.csv");
    let name = column(&frontier, "run")[0].clone();
    let training = table(&format!("runs/{name}/train.csv"));
    let losses: Vec<f64> = column(&training, "loss").iter().map(|loss| loss.parse().expect("a number")).collect();
    assert!((losses[0] - std::f64::consts::LN_2).abs() < 1e-5 && losses.len() == 4, "{losses:?}");
    let kl: Vec<f64> = column(&frontier, "kl_mean")[..3].iter().map(|kl| kl.parse().expect("a number")).collect();
    assert!(kl[0] == 0.0 && kl[1] != 0.0 && kl[2] != 0.0, "{kl:?}");
    let segment = last_segment(folder);
    let mut files: Vec<String> = fs::read_dir(&segment)
        .expect("a segment")
        .flatten()
        .map(|file| file.file_name().to_string_lossy().into_owned())
        .collect();
    files.sort();
    assert_eq!(files, ["adapter_config.json", "adapter_model.safetensors"]);

    succeed(folder, &["export", &name, "merged"]);
    succeed(folder, &["export", &name, "adapter", "--adapter"]);
    succeed(folder, &["export", &name, "renamed", "--adapter", "--base", "../llama_tied"]);
    assert!(folder.join("merged/model.safetensors").is_file() && !folder.join("merged/adapter_config.json").exists());
    let wanted = scores(folder, &[segment.to_str().expect("a path")]);
    close(&scores(folder, &["merged"]), &wanted);
    close(&scores(folder, &["adapter"]), &wanted);
    let config: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.join("renamed/adapter_config.json")).expect("read")).expect("JSON");
    assert_eq!(config["base_model_name_or_path"], "../llama_tied");
    assert_eq!(
        config["target_modules"],
        serde_json::json!(["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"])
    );
    // The reference differs from the model that the study began with.
    let of_first = scores(folder, &["renamed"]);
    assert_eq!(of_first, scores(folder, &["adapter", "--base", "llama_tied"]));
    assert!(of_first.iter().zip(&wanted).any(|(a, b)| (a - b).abs() > 1e-4), "{of_first:?}");
    let sampled = ["sample", "adapter", "--prompt", "w5 w6", "--temperature", "0", "--max-new-tokens", "4"];
    assert_eq!(succeed(folder, &sampled), succeed(folder, &[&["sample", "merged"], &sampled[2..]].concat()));
}

#[test]
fn without_adapters_there_are_none_to_export_or_to_give_a_base() {
    let folder = lab_with_study();
    succeed(folder.path(), &["run", "study.toml", "-q", "--only", "dpo"]);
    let said = |arguments: &[&str]| {
        let output = lab(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(said(&["export", "dpo", "out", "--adapter"]).contains("has no adapters"));
    fs::write(folder.path().join("rows.csv"), "prompt,completion\nw5,w6\n").expect("written");
    assert!(said(&["score", "llama_tied", "rows.csv", "--base", "llama_tied"]).contains("holds no adapters"));
}

#[test]
fn a_base_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    model(folder.path(), "llama_grouped", true);
    let adapter = folder.path().join("adapter");
    fs::create_dir(&adapter).expect("a folder");
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/lora/llama_grouped");
    for file in ["adapter_config.json", "adapter_model.safetensors"] {
        fs::copy(fixture.join(file), adapter.join(file)).expect("copied");
    }
    fs::write(folder.path().join("rows.csv"), "prompt,completion\nw5,w6\n").expect("written");
    let output = lab(folder.path(), &["score", "adapter", "rows.csv"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("its base model ../../families/llama_grouped is not there") && said.contains("--base"), "{said}");
    succeed(folder.path(), &["score", "adapter", "rows.csv", "--base", "llama_grouped"]);
}

#[test]
fn mistakes_in_the_table_of_adapters_are_found_before_anything_runs() {
    let folder = lab_with_study();
    for (set, says) in [
        ("model.lora.rank=0", "`rank` must be at least 1"),
        ("model.lora.rank=9999", "`rank` = 9999 is more than"),
        ("model.lora.alpha=0", "`alpha` must be greater than 0"),
        ("model.lora.targets=[]", "`targets` must name modules"),
        ("model.lora.targets=3", "must be a list of modules' names, or"),
        ("model.lora.targets=[\"q_proj\",\"c_attn\"]", "is called `c_attn`"),
        ("model.lora.targets=\"lm_head\"", "there are down_proj, gate_proj, k_proj, o_proj, q_proj, up_proj, v_proj"),
        ("model.lora.ranks=4", "did you mean `rank`?"),
    ] {
        let output = lab(folder.path(), &["check", "study.toml", "--set", set]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(says), "{says:?} is not in {said}");
    }
}
