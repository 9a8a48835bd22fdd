//! Event files and an MLflow server, as TensorBoard and MLflow themselves see them. DPO_LAB_PYTHON names a Python that has them.

use super::{Lab, STUDY, stderr};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Says why a test does not run, past the test runner's capture.
fn skipped(why: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}

/// A Python that has this module.
fn python(module: &str) -> Option<PathBuf> {
    let found = std::env::var_os("DPO_LAB_PYTHON").map(PathBuf::from).filter(|python| {
        let import = format!("import importlib.util, sys; sys.exit(importlib.util.find_spec('{module}') is None)");
        Command::new(python).args(["-c", &import]).output().is_ok_and(|output| output.status.success())
    });
    if found.is_none() {
        skipped(&format!("{module}: name a Python that has it in DPO_LAB_PYTHON (pip install {module})"));
    }
    found
}

/// What a program of Python prints as JSON.
#[track_caller]
fn ask(python: &Path, program: &str, argument: &str) -> Value {
    let output = Command::new(python).args(["-c", program, argument]).output().expect("Python starts");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", stderr(&output)))
}

const READ_EVENTS: &str = "
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(sys.argv[1], size_guidance={'scalars': 0, 'tensors': 0})
events.Reload()
text = [e.tensor_proto.string_val[0].decode() for tag in events.Tags()['tensors'] for e in events.Tensors(tag)]
print(json.dumps({'text': text, 'scalars': {t: [[e.step, e.value] for e in events.Scalars(t)] for t in events.Tags()['scalars']}}))
";

/// Folders of the study's runs, by their names without digests.
fn runs(lab: &Lab) -> BTreeMap<String, PathBuf> {
    let entries = fs::read_dir(lab.results().join("runs")).expect("runs").flatten();
    let named = |path: PathBuf| (path.file_name().unwrap().to_string_lossy().rsplit_once('-').unwrap().0.to_owned(), path);
    entries.map(|entry| named(entry.path())).collect()
}

fn event_file(run: &Path) -> PathBuf {
    let found = fs::read_dir(run).expect("a run").flatten().map(|entry| entry.path());
    found.into_iter().find(|path| path.display().to_string().contains("tfevents")).expect("an event file")
}

/// Whether two numbers are the same to the 32 bits that event files have.
fn same(one: f64, other: f64) -> bool {
    one as f32 == other as f32
}

#[test]
fn tensorboard_reads_what_the_tables_say() {
    let Some(python) = python("tensorboard") else { return };
    let lab = Lab::new();
    lab.run(&["-q", "--set", "tracking.tensorboard=true"]);
    let runs = runs(&lab);
    let run = &runs["dpo-beta0.1-seed0"];
    let found = ask(&python, READ_EVENTS, &run.display().to_string());
    let scalars: BTreeMap<String, Vec<(u64, f64)>> = serde_json::from_value(found["scalars"].clone()).expect("scalars");
    let mut table = csv::Reader::from_path(run.join("train.csv")).expect("train.csv");
    let columns = table.headers().expect("columns").clone();
    let rows: Vec<csv::StringRecord> = table.records().map(|row| row.expect("a row")).collect();
    for (index, column) in columns.iter().enumerate().skip(1) {
        let curve = &scalars[column];
        assert_eq!(curve.len(), rows.len(), "{column}");
        for (row, (step, value)) in rows.iter().zip(curve) {
            assert_eq!(row[0].parse(), Ok(*step), "{column}");
            assert!(same(row[index].parse().expect("a number"), *value), "{column} at {step}");
        }
    }
    let mut frontier = csv::Reader::from_path(lab.results().join("frontier.csv")).expect("frontier.csv");
    let columns = frontier.headers().expect("columns").clone();
    let at = |name: &str| columns.iter().position(|column| column == name).expect("a column");
    let kl: Vec<(u64, f64)> = frontier
        .records()
        .flatten()
        .filter(|row| row[0].starts_with("dpo-beta0.1-"))
        .map(|row| (row[at("step")].parse().expect("a step"), row[at("kl_mean")].parse().expect("a KL")))
        .collect();
    let read = &scalars["evaluation/kl_mean"];
    assert!(kl.len() == 3 && kl.iter().zip(read).all(|(a, b)| a.0 == b.0 && same(a.1, b.1)), "{kl:?} {read:?}");
    let text = found["text"][0].as_str().expect("a text");
    assert!(text.contains("| method | dpo |") && text.contains("| beta | 0.1 |"), "{text}");

    // A rerun, and a report, change nothing.
    let before = fs::read(event_file(run)).expect("read");
    lab.run(&["-q", "--set", "tracking.tensorboard=true"]);
    assert!(lab.lab(&["report"]).status.success());
    assert_eq!(fs::read(event_file(run)).expect("read"), before);
}

#[test]
fn a_finished_study_gets_event_files_when_it_asks_for_them() {
    let lab = Lab::new();
    lab.run(&["-q"]);
    assert!(!fs::read_dir(&runs(&lab)["unlikelihood-seed0"]).expect("a run").flatten().any(|e| is_events(&e.path())));
    let before = lab.frontier();
    lab.write(&format!("{STUDY}\n[tracking]\ntensorboard = true\n"));
    let output = lab.lab(&["report"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(is_events(&event_file(&runs(&lab)["unlikelihood-seed0"])));
    assert_eq!(lab.frontier(), before, "tracking changes no result");
}

fn is_events(path: &Path) -> bool {
    path.display().to_string().contains("tfevents")
}

#[test]
fn a_server_that_is_not_there_does_not_stop_a_study() {
    let lab = Lab::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let command = ["run", "study.toml", "--set", &format!("tracking.mlflow=\"http://127.0.0.1:{port}\"")];
    let output = lab.command(&command).env("MLFLOW_TRACKING_TOKEN", "a-secret").output().expect("dpo-lab starts");
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stderr(&output).matches("warning: MLflow").count(), 1, "{}", stderr(&output));
    assert!(!stderr(&output).contains("a-secret"), "{}", stderr(&output));
}

/// Ends a server at the end of a test, however that comes.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // Its workers are in its process group.
        let _ = Command::new("kill").args(["--", &format!("-{}", self.0.id())]).status();
        let _ = self.0.wait();
    }
}

const READ_RUNS: &str = "
import json, sys
from mlflow.tracking import MlflowClient
client = MlflowClient(sys.argv[1])
experiment = client.get_experiment_by_name('small')
runs = client.search_runs([experiment.experiment_id])
def history(run, key):
    return [[m.step, m.value] for m in client.get_metric_history(run.info.run_id, key)]
print(json.dumps([{'name': r.info.run_name, 'status': r.info.status, 'parameters': r.data.params, 'tags': r.data.tags,
                   'loss': history(r, 'loss'), 'kl': history(r, 'evaluation/kl_mean')} for r in runs]))
";

#[test]
fn mlflow_has_each_run_once_with_its_numbers() {
    use std::os::unix::process::CommandExt as _;
    let Some(python) = python("mlflow") else { return };
    let lab = Lab::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let database = format!("sqlite:///{}", lab.folder.path().join("mlflow.db").display());
    let serve = ["-m", "mlflow", "server", "--host", "127.0.0.1", "--workers", "1", "--backend-store-uri", &database, "--port"];
    let child = Command::new(&python)
        .args(serve)
        .arg(port.to_string())
        .current_dir(lab.folder.path())
        .process_group(0)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let _server = Server(child.expect("mlflow starts"));
    let url = format!("http://127.0.0.1:{port}");
    let began = Instant::now();
    while ureq::get(format!("{url}/health")).call().is_err() {
        assert!(began.elapsed() < Duration::from_secs(180), "the server does not listen");
        std::thread::sleep(Duration::from_millis(300));
    }
    let set = format!("tracking.mlflow=\"{url}\"");
    let run = || {
        let output = lab.run(&["-q", "--set", &set]);
        assert!(!stderr(&output).contains("warning"), "{}", stderr(&output));
    };
    run();
    let seen = ask(&python, READ_RUNS, &url);
    run();
    // Without its notes it finds its runs again, and the server drops what it has already.
    fs::remove_dir_all(lab.results().join(".tracked")).expect("removed");
    assert!(lab.lab(&["report"]).status.success());
    assert_eq!(ask(&python, READ_RUNS, &url), seen);
    let runs = seen.as_array().expect("runs");
    let dpo = runs.iter().find(|run| run["name"].as_str().is_some_and(|name| name.starts_with("dpo-beta0.1-"))).expect("a run");
    assert_eq!((dpo["status"].as_str(), dpo["parameters"]["beta"].as_str()), (Some("FINISHED"), Some("0.1")));
    assert_eq!((dpo["loss"].as_array().map(Vec::len), dpo["kl"].as_array().map(Vec::len)), (Some(4), Some(3)));
    let names: std::collections::BTreeSet<_> = runs.iter().map(|run| run["name"].as_str()).collect();
    assert_eq!(names.len(), runs.len(), "no run is there twice");
}
