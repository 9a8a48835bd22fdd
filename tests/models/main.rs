//! The verbs about models, as their user meets them, on tiny models of tests/parity and on real weights where there are some.

mod damage;
mod lora;
mod study;

/// Where the fake hub looks for its server.
#[allow(dead_code)]
#[path = "../../src/web"]
mod web {
    pub mod loopback;
}

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Words of the tokenizer: no more than any of the tiny models' embeddings has rows.
const WORDS: usize = 40;

fn parity(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/families").join(name)
}

/// Runs dpo-lab in a folder.
fn lab(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dpo-lab")).args(arguments).current_dir(folder).output().expect("dpo-lab starts")
}

#[track_caller]
fn succeed(folder: &Path, arguments: &[&str]) -> String {
    let output = lab(folder, arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// A copy of a tiny model with a tokenizer of the words w0, w1, ...; `bos` says whether it has a token that starts texts.
fn model(folder: &Path, name: &str, bos: bool) -> PathBuf {
    let copy = folder.join(name);
    fs::create_dir(&copy).expect("a folder");
    for entry in fs::read_dir(parity(name)).expect("a fixture").flatten() {
        fs::copy(entry.path(), copy.join(entry.file_name())).expect("copied");
    }
    fs::remove_file(copy.join("generation_config.json")).ok();
    let words = (0..WORDS).map(|id| format!("\"w{id}\": {id}")).collect::<Vec<_>>().join(", ");
    let special = |id: usize| {
        format!(
            "{{\"id\": {id}, \"content\": \"w{id}\", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, \
             \"normalized\": false, \"special\": true}}"
        )
    };
    let tokenizer = format!(
        "{{\"version\": \"1.0\", \"added_tokens\": [{}, {}], \"pre_tokenizer\": {{\"type\": \"WhitespaceSplit\"}}, \"model\": \
         {{\"type\": \"WordLevel\", \"vocab\": {{{words}}}, \"unk_token\": \"w2\"}}}}",
        special(0),
        special(1)
    );
    fs::write(copy.join("tokenizer.json"), tokenizer).expect("written");
    let start = if bos { "\"w0\"" } else { "null" };
    fs::write(copy.join("tokenizer_config.json"), format!("{{\"bos_token\": {start}, \"eos_token\": \"w1\"}}")).expect("written");
    copy
}

/// Says why a test does nothing, past the harness, which keeps what passing tests print.
fn skipped(why: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}

/// Fields of CSV without quotes.
fn rows(csv: &str) -> Vec<Vec<String>> {
    csv.lines().map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

#[test]
fn a_completions_score_is_the_sum_over_its_tokens() {
    let folder = tempfile::tempdir().expect("a folder");
    model(folder.path(), "llama_grouped", true);
    let data = "{\"prompt\": \"w5 w6\", \"completion\": \"w7 w8 w9\"}\n{\"prompt\": \"w5 w6 w7\", \"completion\": \"w8\"}\n\
                {\"prompt\": \"w5 w6 w7 w8\", \"completion\": \"w9\"}\n{\"prompt\": \"w5 w6\", \"completion\": \"w7\"}\n\
                {\"prompt\": \"w5\", \"completion\": \"\"}\n";
    fs::write(folder.path().join("rows.jsonl"), data).expect("written");
    let table = rows(&succeed(folder.path(), &["score", "llama_grouped", "rows.jsonl"]));
    assert_eq!(table[0], ["row", "prompt_tokens", "completion_tokens", "logprob_sum", "logprob_mean"]);
    let number = |row: usize, column: usize| table[row + 1][column].parse::<f64>().expect("a number");
    // The chain rule, and means.
    assert!((number(0, 3) - (number(3, 3) + number(1, 3) + number(2, 3))).abs() < 1e-4);
    assert!((number(0, 4) - number(0, 3) / 3.0).abs() < 1e-9);
    assert_eq!(table[1][..3], ["0", "2", "3"]);
    assert_eq!(table[5], ["4", "1", "0", "0.0", ""]);

    let ended = rows(&succeed(folder.path(), &["score", "llama_grouped", "rows.jsonl", "--append-eos", "--out", "scores.csv"]));
    assert!(ended.is_empty());
    let ended = rows(&fs::read_to_string(folder.path().join("scores.csv")).expect("written"));
    assert_eq!(ended[5][..3], ["4", "1", "1"]);
    assert!(ended[5][3].parse::<f64>().expect("a number") < 0.0);
}

#[test]
fn an_empty_prompt_is_the_start_token_or_the_first_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = "prompt,completion\n,w5 w6 w7\nw0,w5 w6 w7\nw5,w6 w7\n";
    fs::write(folder.path().join("rows.csv"), data).expect("written");
    model(folder.path(), "llama_grouped", true);
    let table = rows(&succeed(folder.path(), &["score", "llama_grouped", "rows.csv"]));
    assert_eq!(table[1][1..3], ["0", "3"]);
    assert_eq!(table[1][3], table[2][3], "from the start token");

    model(folder.path(), "qwen2_tied", false);
    let output = lab(folder.path(), &["score", "qwen2_tied", "rows.csv"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("scored from their second token"));
    let table = rows(&String::from_utf8_lossy(&output.stdout));
    assert_eq!(table[1][3], table[3][3], "from the second token");
}

#[test]
fn a_table_is_not_written_over_what_it_should_not_be() {
    let folder = tempfile::tempdir().expect("a folder");
    model(folder.path(), "llama_grouped", true);
    let rows = "{\"prompt\": \"w5\", \"completion\": \"w6\"}\n";
    fs::write(folder.path().join("rows.jsonl"), rows).expect("written");
    let refused = |out: &str, says: &str| {
        let output = lab(folder.path(), &["score", "llama_grouped", "rows.jsonl", "--out", out]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && said.contains(says), "{said}");
    };
    refused("rows.jsonl", "is where the rows come from");
    refused("nowhere/x.csv", "the folder is not there");
    refused(".", "is a folder");
    assert_eq!(fs::read_to_string(folder.path().join("rows.jsonl")).expect("read"), rows);
    #[cfg(unix)]
    {
        fs::write(folder.path().join("real.csv"), "old").expect("written");
        std::os::unix::fs::symlink("real.csv", folder.path().join("link.csv")).expect("a link");
        succeed(folder.path(), &["score", "llama_grouped", "rows.jsonl", "--out", "link.csv"]);
        assert!(folder.path().join("link.csv").is_symlink());
        assert!(fs::read_to_string(folder.path().join("real.csv")).expect("read").starts_with("row,"));
    }
    fs::write(folder.path().join("empty.csv"), "prompt,completion\n").expect("written");
    let output = lab(folder.path(), &["score", "llama_grouped", "empty.csv"]);
    assert!(output.status.code() == Some(2) && String::from_utf8_lossy(&output.stderr).contains("empty.csv: no rows"));
}

#[test]
fn a_row_that_is_too_long_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    model(folder.path(), "llama_grouped", true);
    let long = "w5 ".repeat(5000);
    fs::write(
        folder.path().join("rows.jsonl"),
        format!("{{\"prompt\": \"w5\", \"completion\": \"w6\"}}\n{{\"prompt\": \"w5\", \"completion\": \"{long}\"}}\n"),
    )
    .expect("written");
    let output = lab(folder.path(), &["score", "llama_grouped", "rows.jsonl"]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("rows.jsonl, row 2: 5001 tokens exceed the model's context"), "{said}");
}

#[test]
fn greedy_samples_repeat_and_seeds_differ() {
    let folder = tempfile::tempdir().expect("a folder");
    model(folder.path(), "llama_tied", true);
    let sample = |more: &[&str]| {
        succeed(folder.path(), &[&["sample", "llama_tied", "--prompt", "w5 w6", "--max-new-tokens", "8"], more].concat())
    };
    assert_eq!(sample(&["--temperature", "0"]), sample(&["--temperature", "0", "--seed", "7"]));
    assert_eq!(sample(&["--seed", "7"]), sample(&["--seed", "7"]));
    assert_ne!(sample(&["--seed", "7", "-n", "4"]), sample(&["--seed", "8", "-n", "4"]));
    assert_eq!(sample(&["--top-k", "1"]), sample(&["--temperature", "0"]));
    let no_template = lab(folder.path(), &["sample", "llama_tied", "--chat", "--prompt", "w5"]);
    assert_eq!(no_template.status.code(), Some(2));
}

#[test]
fn a_classifier_names_the_greatest_logit() {
    let folder = tempfile::tempdir().expect("a folder");
    model(folder.path(), "roberta", true);
    fs::write(folder.path().join("texts.tsv"), "text\nw5 w6\nw7 w8 w9\n").expect("written");
    let table = rows(&succeed(folder.path(), &["classify", "roberta", "texts.tsv"]));
    assert_eq!(table[0], ["row", "label", "score", "logit_0", "logit_1", "logit_2"]);
    for row in &table[1..] {
        let logits: Vec<f64> = row[3..].iter().map(|logit| logit.parse().expect("a number")).collect();
        let total: f64 = logits.iter().map(|logit| logit.exp()).sum();
        let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        assert!((row[2].parse::<f64>().expect("a number") - most.exp() / total).abs() < 1e-6);
    }
}

/// Independent numbers for real weights stand beside them.
#[test]
fn real_weights_of_the_llama_family() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/models/stories260k-hf");
    if !folder.is_dir() {
        skipped(&format!("real data: {} is not there", folder.display()));
        return;
    }
    let reference: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.join("reference.json")).expect("a file")).expect("JSON");
    let here = tempfile::tempdir().expect("a folder");
    let text = reference["text"].as_str().expect("a text");
    fs::write(here.path().join("rows.jsonl"), serde_json::json!({ "prompt": "", "completion": text }).to_string())
        .expect("written");
    let name = folder.to_str().expect("a name");
    let table = rows(&succeed(here.path(), &["score", name, "rows.jsonl"]));
    let sum: f64 = table[1][3].parse().expect("a number");
    assert!((sum - reference["sum_logprob_ids[1:]"].as_f64().expect("a number")).abs() < 1e-4, "{sum}");
    let count = reference["greedy_from_bos"].as_array().expect("ids").len() - 1;
    let arguments = ["sample", name, "--prompt", "", "--temperature", "0", "--max-new-tokens", &count.to_string()];
    assert_eq!(succeed(here.path(), &arguments).trim_end(), reference["greedy_text"].as_str().expect("a text"));
}

#[test]
fn a_chat_model_knows_the_capital_of_france() {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/models/SmolLM2-135M-Instruct");
    let folder = std::env::var_os("DPO_LAB_SMOLLM2").map_or(default, PathBuf::from);
    if !folder.is_dir() {
        skipped("SmolLM2-135M-Instruct is not there; name its folder in DPO_LAB_SMOLLM2");
        return;
    }
    let question = "What is the capital of France?";
    let arguments = ["sample", folder.to_str().expect("a name"), "--chat", "--prompt", question, "--temperature", "0"];
    let answer = succeed(Path::new("."), &[&arguments[..], &["--max-new-tokens", "20"]].concat());
    assert!(answer.contains("Paris"), "{answer}");
}
