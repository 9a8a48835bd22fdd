//! Keys: servers that repeat what they are sent, and fail in every manner, with the most talkative program.

use super::server::{Server, answer};
use super::{files, said};
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::Ordering;

const KEY: &str = "sk-marker-5b1f0c7e";
const TOKEN: &str = "hf_marker9d2e4a61";

fn command(folder: &Path, arguments: &[&str], endpoint: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dpo-lab"));
    command.args(arguments).current_dir(folder).env("DPO_LAB_JUDGE_API_KEY", KEY).env("HF_TOKEN", TOKEN);
    command.env("HF_HOME", folder.join("hf")).env("HF_ENDPOINT", endpoint).env("RUST_BACKTRACE", "full").env("RUST_LOG", "trace");
    command.env_remove("HF_HUB_OFFLINE");
    command
}

fn no_secret(text: &str, place: &dyn std::fmt::Display) {
    for secret in [KEY, TOKEN] {
        assert!(!text.contains(secret), "{place} holds a secret:\n{text}");
    }
}

/// Neither in what was said nor in any file below the folder.
fn nowhere(folder: &Path, output: &Output) {
    no_secret(&said(output), &"the output");
    for path in files(folder) {
        let bytes = fs::read(&path).expect("read");
        no_secret(&String::from_utf8_lossy(&bytes), &path.display());
        no_secret(&path.display().to_string(), &"a file's name");
    }
}

/// Secrets in the arguments of this process's children, theirs and so on, while a command runs.
fn watched(mut child: Child) -> Output {
    while child.try_wait().expect("a child").is_none() {
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            if let Ok(arguments) = fs::read(entry.path().join("cmdline")) {
                no_secret(&String::from_utf8_lossy(&arguments), &entry.path().display());
            }
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    child.wait_with_output().expect("its output")
}

/// Ways in which a judge answers; `HEAD` is replaced by what it was sent.
const MANNERS: [(&str, &str, &str); 9] = [
    ("401 Unauthorized", "", r#"{"error": {"message": "wrong key: HEAD", "code": "invalid_api_key"}}"#),
    ("403 Forbidden", "", r#"{"error": "HEAD may not"}"#),
    ("404 Not Found", "", r#"{"message": "HEAD"}"#),
    ("400 Bad Request", "", r#"{"error": {"message": "HEAD", "code": "HEAD"}}"#),
    ("429 Too Many Requests", "Retry-After: 0\r\n", r#"{"error": {"message": "HEAD", "code": "insufficient_quota"}}"#),
    ("500 Internal Server Error", "", r#"{"error": {"message": "HEAD"}}"#),
    ("302 Found", "Location: http://127.0.0.1:9/HEAD\r\n", ""),
    ("200 OK", "", "HEAD"),
    ("200 OK", "", r#"{"choices": [{"message": {"content": "You sent HEAD.\nA"}}]}"#),
];

fn judge(status: &'static str, headers: &'static str, body: &'static str) -> Server {
    Server::start(move |request| {
        let head: String = request.head.replace(['\r', '\n', '"', '\\'], " ");
        answer(status, &headers.replace("HEAD", &head.replace(' ', "_")), &body.replace("HEAD", &head))
    })
}

#[test]
fn the_judges_key_is_nowhere_whatever_the_server_says() {
    for (status, headers, body) in MANNERS {
        let folder = tempfile::tempdir().expect("a folder");
        let server = judge(status, headers, body);
        let judges = format!("[judge.openai]\nbase_url = \"http://127.0.0.1:{}/v1\"\nmodel = \"m\"\nretries = 0\n", server.port);
        fs::write(folder.path().join("judges.toml"), judges).expect("written");
        let arguments = ["judge", "--calibrate", "builtin:questions", "--with", "judges.toml", "--pairs", "2"];
        let output = command(folder.path(), &arguments, "http://127.0.0.1:9").output().expect("dpo-lab starts");
        assert!(server.authorized.load(Ordering::SeqCst) > 0, "the server was sent the key: {}", said(&output));
        nowhere(folder.path(), &output);
    }
}

const STUDY: &str = r#"
name = "small"
[model]
base = "builtin:mini"
[task.dialogue]
pairs = 40
labels = "bradley-terry"
[base]
steps = 2
batch_sequences = 8
max_tokens = 48
[sft]
steps = 2
batch_sequences = 8
max_tokens = 48
[reward_model]
batch_pairs = 8
[training]
steps = 2
batch_pairs = 8
checkpoint_every = 2
learning_rate = 1e-3
[method.dpo]
[evaluation]
every = 2
prompts = 4
max_new_tokens = 6
[judge.openai]
model = "m"
retries = 0
"#;

#[test]
fn no_secret_reaches_a_studys_results_or_its_workers_arguments() {
    // It fails, then is asked again and answers; both are kept.
    for (status, headers, body) in [MANNERS[5], MANNERS[8]] {
        let folder = tempfile::tempdir().expect("a folder");
        let server = judge(status, headers, body);
        fs::write(folder.path().join("study.toml"), format!("{STUDY}base_url = \"http://127.0.0.1:{}/v1\"\n", server.port))
            .expect("written");
        let mut run = command(folder.path(), &["run", "study.toml", "-v"], "http://127.0.0.1:9");
        let output = watched(run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("dpo-lab starts"));
        assert!(server.authorized.load(Ordering::SeqCst) > 0, "the server was sent the key: {}", said(&output));
        nowhere(folder.path(), &output);
        for verb in [&["status"][..], &["logs", "judge"], &["plan", "study.toml", "--json"], &["report", "small"]] {
            nowhere(folder.path(), &command(folder.path(), verb, "http://127.0.0.1:9").output().expect("dpo-lab starts"));
        }
        let work = folder.path().join("results/.store/work");
        assert!(files(&work).iter().any(|path| path.ends_with("stage.json")), "frozen stages were looked at");
    }
}

#[test]
fn the_hubs_token_is_nowhere_whatever_the_server_says() {
    for (status, headers) in [
        ("401 Unauthorized", "X-Error-Code: HEAD\r\n"),
        ("403 Forbidden", "X-Error-Code: GatedRepo\r\n"),
        ("404 Not Found", "X-Error-Code: HEAD\r\n"),
        ("429 Too Many Requests", ""),
        ("503 Service Unavailable", ""),
        ("302 Found", "Location: http://127.0.0.1:9/HEAD\r\n"),
        ("200 OK", ""),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start(move |request| {
            let head = request.head.replace(['\r', '\n', ' '], "_");
            let body = if request.method == "HEAD" { String::new() } else { request.head.clone() };
            answer(status, &headers.replace("HEAD", &head), &body)
        });
        let endpoint = format!("http://127.0.0.1:{}", server.port);
        for arguments in [&["data", "hub:o/d"][..], &["sample", "hub:o/m", "--prompt", "a"]] {
            let output = command(folder.path(), arguments, &endpoint).output().expect("dpo-lab starts");
            assert!(!output.status.success(), "{}", said(&output));
            nowhere(folder.path(), &output);
        }
        assert!(server.authorized.load(Ordering::SeqCst) > 0, "the server was sent the token");
    }
}
