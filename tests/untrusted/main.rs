//! What docs/security.md promises, with the real program: whatever data files, model folders, hubs and judges hold, nothing but its
//! own folder is touched, no terminal is commanded, memory stays bounded, and no key is written anywhere.

mod bombs;
mod paths;
mod secrets;
mod server;
mod terminal;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Runs dpo-lab in a folder, without a network.
fn lab(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dpo-lab"));
    command.args(arguments).current_dir(folder).env("HF_HOME", folder.join("hf")).env("HF_HUB_OFFLINE", "1");
    command.output().expect("dpo-lab starts")
}

/// All that a command said.
fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A copy of a tiny model of tests/parity whose tokenizer knows these words, the first of which starts and ends texts.
fn model(folder: &Path, name: &str, words: &[String]) -> PathBuf {
    let copy = folder.join(name);
    fs::create_dir_all(&copy).expect("a folder");
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/families").join(name);
    for file in ["config.json", "model.safetensors"] {
        fs::copy(fixture.join(file), copy.join(file)).expect("copied");
    }
    let vocabulary: serde_json::Map<_, _> = words.iter().zip(0..).map(|(word, id)| (word.clone(), id.into())).collect();
    let tokenizer = serde_json::json!({
        "version": "1.0",
        "added_tokens": [{ "id": 0, "content": words[0], "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
                           "special": true }],
        "pre_tokenizer": { "type": "WhitespaceSplit" },
        "model": { "type": "WordLevel", "vocab": vocabulary, "unk_token": words[1] },
    });
    fs::write(copy.join("tokenizer.json"), tokenizer.to_string()).expect("written");
    let config = serde_json::json!({ "bos_token": words[0], "eos_token": words[0] });
    fs::write(copy.join("tokenizer_config.json"), config.to_string()).expect("written");
    copy
}

/// w0, w1 and so on.
fn plain_words() -> Vec<String> {
    (0..40).map(|id| format!("w{id}")).collect()
}

/// Every file below a folder, links not followed.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, kind) = (entry.path(), entry.file_type().expect("a kind"));
        if kind.is_dir() {
            found.extend(files(&path));
        } else if kind.is_file() {
            found.push(path);
        }
    }
    found
}
