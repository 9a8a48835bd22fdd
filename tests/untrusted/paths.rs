//! Names that are not names: nothing is read or written outside of its folder by a file's word.

use super::{files, lab, model, plain_words, said};
use std::fs;
use std::path::Path;

const STUDY: &str = "[task.sentiment]\n[method.dpo]\n";

/// Everything below a folder but the study itself.
fn made(folder: &Path) -> Vec<String> {
    let names = files(folder).into_iter().map(|path| path.strip_prefix(folder).expect("below").display().to_string());
    names.filter(|name| name != "work/study.toml").collect()
}

#[test]
fn a_studys_name_cannot_leave_the_results_folder() {
    for name in ["../x", "../../x", "/tmp/x", "a/b", "a\\b", "..", ".hidden", "", "a\u{0}b", "C:x"] {
        let outer = tempfile::tempdir().expect("a folder");
        let work = outer.path().join("work");
        fs::create_dir(&work).expect("a folder");
        fs::write(work.join("study.toml"), format!("name = {}\n{STUDY}", serde_json::json!(name))).expect("written");
        for verb in ["check", "run"] {
            let output = lab(&work, &[verb, "study.toml"]);
            assert_eq!(output.status.code(), Some(2), "{name:?}: {}", said(&output));
        }
        assert_eq!(made(outer.path()), [""; 0], "{name:?}");
    }
}

#[test]
fn a_runs_name_holds_no_text_that_was_not_known_before() {
    for line in [
        "[training]\noptimizer = [\"adamw\", \"../../x\"]\n[method.dpo]\n",
        "[training]\nshuffle = [\"pairs\", \"/x\"]\n[method.dpo]\n",
        "[[method.ppo]]\npreset = \"../x\"\n[[method.ppo]]\n",
        "[method.dpo]\n\"../x\" = [1, 2]\n",
        "[method.\"../x\"]\n",
    ] {
        let outer = tempfile::tempdir().expect("a folder");
        let work = outer.path().join("work");
        fs::create_dir(&work).expect("a folder");
        fs::write(work.join("study.toml"), format!("name = \"a\"\n[task.sentiment]\n{line}")).expect("written");
        let output = lab(&work, &["run", "study.toml"]);
        assert_eq!(output.status.code(), Some(2), "{line}: {}", said(&output));
        assert_eq!(made(outer.path()), [""; 0], "{line}");
    }
}

#[test]
fn a_plan_that_somebody_wrote_cannot_name_what_is_looked_at_or_removed() {
    let outer = tempfile::tempdir().expect("a folder");
    let work = outer.path().join("work");
    let victim = outer.path().join("victim");
    fs::create_dir_all(&victim).expect("a folder");
    fs::write(victim.join("log"), "private").expect("written");
    fs::write(victim.join("artifact.json"), "{}").expect("written");
    for key in ["../../../../../victim", "..", "", "é", &victim.display().to_string()] {
        let study = work.join("results/evil");
        fs::create_dir_all(&study).expect("a folder");
        let stage = serde_json::json!({ "label": "train evil 1", "kind": "train", "key": key, "parameters": {}, "inputs": {} });
        let plan = serde_json::json!({
            "study": "evil", "version": "0", "overrides": [], "experiment": "study.toml", "stages": [stage], "runs": ["evil-0"],
        });
        fs::write(study.join("plan.json"), plan.to_string()).expect("written");
        for arguments in [&["status"][..], &["logs", "evil"], &["gc"], &["show", "evil-0"], &["export", "evil-0", "out"]] {
            let output = lab(&work, arguments);
            assert!(!said(&output).contains("private") && !said(&output).contains("panicked"), "{key:?}: {}", said(&output));
        }
        assert!(victim.join("log").is_file() && victim.join("artifact.json").is_file(), "{key:?}");
    }
}

#[test]
fn an_index_of_shards_cannot_name_another_folders_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let copy = model(folder.path(), "llama_tied", &plain_words());
    let elsewhere = folder.path().join("elsewhere.safetensors");
    fs::rename(copy.join("model.safetensors"), &elsewhere).expect("moved");
    for name in ["../elsewhere.safetensors", "./../elsewhere.safetensors", &elsewhere.display().to_string(), "..", "", "a/../b"] {
        let index = serde_json::json!({ "weight_map": { "model.norm.weight": name } });
        fs::write(copy.join("model.safetensors.index.json"), index.to_string()).expect("written");
        let output = lab(folder.path(), &["sample", "llama_tied", "--prompt", "w3"]);
        assert_eq!(output.status.code(), Some(2), "{name:?}: {}", said(&output));
        assert!(said(&output).contains("not the name of a file in the same folder"), "{name:?}: {}", said(&output));
    }
}

/// What could run code is not looked at, or refused with the reason.
#[test]
fn nothing_of_a_models_folder_is_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let copy = model(folder.path(), "llama_tied", &plain_words());
    let path = copy.join("config.json");
    let mut config: serde_json::Value = serde_json::from_slice(&fs::read(&path).expect("read")).expect("JSON");
    config["auto_map"] = serde_json::json!({ "AutoModelForCausalLM": "evil.Model" });
    config["trust_remote_code"] = true.into();
    fs::write(&path, config.to_string()).expect("written");
    fs::write(copy.join("evil.py"), "open('ran', 'w')").expect("written");
    let output = lab(folder.path(), &["sample", "llama_tied", "--prompt", "w3", "--max-new-tokens", "2"]);
    assert!(output.status.success(), "{}", said(&output));
    fs::rename(copy.join("model.safetensors"), copy.join("pytorch_model.bin")).expect("moved");
    let output = lab(folder.path(), &["sample", "llama_tied", "--prompt", "w3"]);
    assert!(output.status.code() == Some(2) && said(&output).contains("can run code"), "{}", said(&output));
    assert!(!folder.path().join("ran").exists() && !copy.join("ran").exists());
    // A template can take in no other file, and knows nothing of the program that renders it.
    fs::rename(copy.join("pytorch_model.bin"), copy.join("model.safetensors")).expect("moved");
    for source in
        ["{% include 'config.json' %}", "{% import '../rows' as x %}", "{% extends '/etc/passwd' %}", "{{ ''.__class__ }}x"]
    {
        fs::write(copy.join("chat_template.jinja"), source).expect("written");
        let output = lab(folder.path(), &["sample", "llama_tied", "--chat", "--prompt", "w3", "--max-new-tokens", "2"]);
        let refused = output.status.code() == Some(2) && said(&output).contains("chat template");
        assert!(refused || source.contains("__class__") && !said(&output).contains("panicked"), "{source}: {}", said(&output));
    }
}
