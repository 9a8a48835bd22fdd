//! What is printed: no text of somebody else's reaches the terminal as a command.

use super::{lab, model, said};
use std::fs;
use std::process::Output;

/// Colours, the clipboard, a title, a line that is written over, and text that runs backwards.
const EVIL: &str = "\u{1b}[31m\u{1b}]52;c;ZXZpbA==\u{7}\u{9b}2J\rsafe\u{8}\u{202e}";

#[track_caller]
fn harmless(output: &Output) {
    let text = said(output);
    let command = text.chars().find(|letter| letter.is_control() && !matches!(letter, '\n' | '\t') || *letter == '\u{202e}');
    assert_eq!(command, None, "{text:?}");
}

#[test]
fn completions_cannot_command_the_terminal() {
    let folder = tempfile::tempdir().expect("a folder");
    let words: Vec<String> = (0..40).map(|id| format!("w{id}{}", if id > 1 { EVIL } else { "" })).collect();
    model(folder.path(), "llama_grouped", &words);
    for n in ["1", "3"] {
        let arguments = ["sample", "llama_grouped", "--prompt", "w1", "--max-new-tokens", "12", "-n", n];
        let output = lab(folder.path(), &arguments);
        assert!(output.status.success() && said(&output).contains("\\u001b[31m"), "{}", said(&output));
        harmless(&output);
    }
}

#[test]
fn rows_and_messages_about_them_cannot_command_the_terminal() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: String| fs::write(folder.path().join(name), text).expect("written");
    let row = |chosen: &str| serde_json::json!({ "prompt": EVIL, "chosen": chosen, "rejected": EVIL }).to_string();
    write("good.jsonl", row(&format!("other{EVIL}")));
    write("bad.jsonl", serde_json::json!({ EVIL: EVIL }).to_string());
    write("label.jsonl", serde_json::json!({ "text": "a", "label": EVIL }).to_string());
    write("broken.csv", format!("prompt,{EVIL}\n1,2,3\n"));
    write("study.toml", format!("name = \"a\"\n\"{}\" = 1\n", EVIL.escape_unicode().to_string().replace(['{', '}'], "")));
    write("raw.toml", format!("name = \"a\" # {EVIL}\n[{EVIL}]\n"));
    for name in ["good.jsonl", "bad.jsonl", "label.jsonl", "broken.csv"] {
        harmless(&lab(folder.path(), &["data", name]));
    }
    for name in ["study.toml", "raw.toml"] {
        let output = lab(folder.path(), &["check", name]);
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        harmless(&output);
    }
}

#[test]
fn a_models_labels_and_settings_cannot_command_the_terminal() {
    let folder = tempfile::tempdir().expect("a folder");
    let words: Vec<String> = (0..40).map(|id| format!("w{id}")).collect();
    let path = model(folder.path(), "bert", &words).join("config.json");
    let config: serde_json::Value = serde_json::from_slice(&fs::read(&path).expect("read")).expect("JSON");
    fs::write(folder.path().join("rows.jsonl"), "{\"text\": \"w3\"}\n").expect("written");
    let mut evil = config.clone();
    evil["id2label"] = serde_json::json!({ "0": EVIL, "1": "b" });
    fs::write(&path, evil.to_string()).expect("written");
    let output = lab(folder.path(), &["classify", "bert", "rows.jsonl"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    harmless(&output);
    let mut evil = config;
    evil["model_type"] = EVIL.into();
    fs::write(&path, evil.to_string()).expect("written");
    harmless(&lab(folder.path(), &["sample", "bert", "--prompt", "w3"]));
}

#[test]
fn a_log_cannot_command_the_terminal() {
    let folder = tempfile::tempdir().expect("a folder");
    let study = folder.path().join("results/small");
    let key = "0".repeat(64);
    fs::create_dir_all(&study).expect("a folder");
    let work = folder.path().join("results/.store/work").join(&key);
    fs::create_dir_all(&work).expect("a folder");
    fs::write(work.join("log"), EVIL).expect("written");
    let label = format!("safe {EVIL}");
    let stage = serde_json::json!({ "label": label, "kind": "train", "key": key, "parameters": {}, "inputs": {} });
    let plan = serde_json::json!({
        "study": "small", "version": "0", "overrides": [], "experiment": "study.toml", "stages": [stage], "runs": [EVIL],
    });
    fs::write(study.join("plan.json"), plan.to_string()).expect("written");
    let output = lab(folder.path(), &["logs", "safe"]);
    assert!(output.status.success() && said(&output).contains("\\u001b[31m"), "{}", said(&output));
    harmless(&output);
    harmless(&lab(folder.path(), &["status"]));
}
