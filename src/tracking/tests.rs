//! Trackers of a small study whose stages are made up, with a server on loopback that keeps what an MLflow keeps.

mod server;

use super::*;
use crate::report::rows::TrainRow;
use crate::stages::{EvaluatedSample, csv_bytes};
use crate::store::{Manifest, Record};
use server::{Act, Server};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

const SECRET: &str = "very-secret-token";

/// A study of one run with three segments of 100 steps.
struct Bench {
    folder: TempDir,
    study: Study,
    plan: Plan,
    store: Store,
    said: Arc<Mutex<Vec<String>>>,
}

impl Bench {
    fn new(tracking: &str) -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("study.toml");
        let text = format!("name = \"small\"\n[task.sentiment]\n[method.dpo]\nbeta = 0.1\n[tracking]\n{tracking}\n");
        std::fs::write(&file, text).unwrap();
        let study = crate::spec::load(&file, &[]).unwrap().study;
        let here = |_: &str| folder.path().to_owned();
        let resolved = crate::resolve::resolve(&study, &here, crate::resolve::Fetch::No).unwrap();
        let plan = crate::plan::build(&study, &resolved);
        let store = Store::open(folder.path()).unwrap();
        Bench { folder, study, plan, store, said: Arc::default() }
    }

    fn results(&self) -> PathBuf {
        self.folder.path().join("small")
    }

    fn trackers(&self) -> Trackers {
        let said = self.said.clone();
        let say = Box::new(move |text: &str| said.lock().unwrap().push(text.to_owned()));
        Trackers::new(&self.study, &self.plan, &self.store, self.results(), say).unwrap()
    }

    /// Trackers of a server that takes this token and a short time.
    fn with_token(&self, server: &str) -> Trackers {
        let account = Account::read(|name| (name == "MLFLOW_TRACKING_TOKEN").then(|| OsString::from(SECRET))).ok().flatten();
        let client = Client::new(server, account, Duration::from_millis(700)).ok().unwrap();
        Trackers { mlflow: Some(Mlflow::new(client, "small")), ..self.trackers() }
    }

    fn said(&self) -> Vec<String> {
        self.said.lock().unwrap().clone()
    }

    fn publish(&self, key: &Key, name: &str, bytes: &[u8]) {
        let draft = self.store.draft(key).unwrap();
        std::fs::write(draft.folder().join(name), bytes).unwrap();
        let record = Record { seconds: 10.0, finished: Some(1_700_000_000.0), ..Record::default() };
        let (kind, label) = ("train".to_owned(), "x".to_owned());
        let (parameters, inputs, files) = (serde_json::Value::Null, BTreeMap::new(), BTreeMap::new());
        draft.publish(Manifest { kind, label, parameters, inputs, files, thinned: false, record }).unwrap();
    }

    /// Finishes a segment of the run.
    fn train(&self, segment: usize) -> Key {
        let row = |step| TrainRow { step, loss: 1.0 / step as f64, ..TrainRow::default() };
        let first = 100 * segment as u64;
        let rows: Vec<TrainRow> = (first + 1..=first + 100).map(row).collect();
        let key = self.plan.runs[0].segments[segment];
        self.publish(&key, "train.csv", &csv_bytes(&rows).unwrap());
        key
    }

    /// Finishes an evaluation of the run.
    fn evaluate(&self, index: usize) -> Key {
        let sample = |prompt| EvaluatedSample {
            prompt,
            reward: 0.75,
            proxy_reward: None,
            kl: 1.5,
            log_ratio: 1.0,
            entropy: 2.0,
            judge_nll: None,
            tokens: 4,
            truncated: false,
            bigrams: 3,
            new_bigrams: 3,
            text: "good".to_owned(),
        };
        let (.., key) = self.plan.runs[0].evaluations[index];
        self.publish(&key, "samples.csv", &csv_bytes(&[sample(0), sample(1)]).unwrap());
        key
    }

    fn event_file(&self) -> PathBuf {
        self.results().join("runs").join(&self.study.runs[0].name).join("events.out.tfevents.dpo-lab")
    }
}

fn finished(trackers: Trackers) {
    trackers.finish(|_| Some(Standing::Finished));
}

#[test]
fn an_event_file_only_grows_and_a_rerun_leaves_it_alone() {
    let bench = Bench::new("tensorboard = true");
    let mut trackers = bench.trackers();
    trackers.tell(&[bench.train(0)]);
    let first = std::fs::read(bench.event_file()).unwrap();
    // Columns that are there for every method: loss, gradient norm, learning rate, tokens, tokens per second.
    assert_eq!(events::read(&first).unwrap().len(), 2 + 100 * 5);
    trackers.tell(&[bench.evaluate(0), bench.train(1)]);
    finished(trackers);
    let second = std::fs::read(bench.event_file()).unwrap();
    assert!(second.starts_with(&first) && events::read(&second).unwrap().len() > 2 + 200 * 5);
    let modified = || std::fs::metadata(bench.event_file()).unwrap().modified().unwrap();
    let before = modified();
    finished(bench.trackers());
    assert_eq!((std::fs::read(bench.event_file()).unwrap(), modified()), (second.clone(), before));

    // What was written and not noted, as by a process that was killed, is not written again.
    std::fs::remove_dir_all(bench.results().join(".tracked")).unwrap();
    finished(bench.trackers());
    assert_eq!(std::fs::read(bench.event_file()).unwrap(), second);
    assert!(bench.said().is_empty(), "{:?}", bench.said());
}

#[test]
fn an_event_file_that_is_torn_or_of_another_plan_is_written_anew() {
    let mut bench = Bench::new("tensorboard = true");
    bench.train(0);
    finished(bench.trackers());
    let whole = std::fs::read(bench.event_file()).unwrap();
    std::fs::write(bench.event_file(), &whole[..whole.len() - 3]).unwrap();
    bench.train(1);
    finished(bench.trackers());
    let both = std::fs::read(bench.event_file()).unwrap();
    assert_eq!(events::read(&both).unwrap().len(), 2 + 200 * 5);
    // Another plan has only the first of these stages.
    bench.plan.runs[0].segments.truncate(1);
    finished(bench.trackers());
    assert_eq!(std::fs::read(bench.event_file()).unwrap(), whole);
}

#[test]
fn a_server_gets_each_number_once_in_one_run() {
    let server = Server::start(|_| Act::Keep);
    let bench = Bench::new(&format!("mlflow = \"{}\"", server.url()));
    let mut trackers = bench.trackers();
    trackers.tell(&[bench.train(0)]);
    trackers.tell(&[bench.train(1), bench.train(2), bench.evaluate(0)]);
    let kept = server.kept();
    assert_eq!(kept.runs.len(), 1);
    assert_eq!((kept.runs[0].name.as_str(), kept.runs[0].status.as_str()), (bench.study.runs[0].name.as_str(), "RUNNING"));
    assert!(kept.largest_batch <= 1000 && kept.runs[0].metrics.len() > 1500, "{}", kept.runs[0].metrics.len());
    assert_eq!(kept.runs[0].parameters["beta"], "0.1");
    assert_eq!(kept.runs[0].metrics.iter().filter(|(name, ..)| name == "evaluation/reward_mean").count(), 1);
    assert_eq!(kept.runs[0].metrics[0], ("loss".to_owned(), 1, 1_699_999_990_100));
    finished(trackers);
    assert_eq!(server.kept().runs[0].status, "FINISHED");

    let asked = server.asked();
    finished(bench.trackers());
    assert_eq!(server.asked(), asked, "a rerun asks nothing");
    // Without its notes it finds the run by its tag; MLflow drops numbers that it has.
    std::fs::remove_dir_all(bench.results().join(".tracked")).unwrap();
    finished(bench.trackers());
    assert_eq!(server.kept().runs.len(), 1);
    assert!(bench.said().is_empty(), "{:?}", bench.said());
}

#[test]
fn a_server_that_lost_everything_gets_it_again() {
    let server = Server::start(|_| Act::Keep);
    let bench = Bench::new(&format!("mlflow = \"{}\"\nmlflow_experiment = \"mine\"", server.url()));
    bench.train(0);
    finished(bench.trackers());
    server.forget();
    bench.train(1);
    finished(bench.trackers());
    let kept = server.kept();
    assert_eq!((kept.experiment.as_deref(), kept.runs.len()), (Some("mine"), 1));
    assert_eq!(kept.runs[0].metrics.len(), 200 * 5);
    assert!(bench.said().is_empty(), "{:?}", bench.said());
}

#[test]
fn a_server_that_fails_costs_one_warning_without_the_token_and_gets_the_rest_later() {
    let faults = [
        (Act::Answer(500, "", "{\"message\": \"your very-secret-token\"}"), "HTTP 500, \"your (the secret)\""),
        (Act::Answer(401, "", "very-secret-token is wrong"), "check MLFLOW_TRACKING_TOKEN"),
        (Act::Answer(302, "Location: http://127.0.0.1:1/", ""), "has moved (HTTP 302)"),
        (Act::Answer(200, "", "<html>"), "not JSON"),
        (Act::Answer(200, "", "{}"), "not one of MLflow's"),
        (Act::Sleep(Duration::from_secs(2)), "time limit"),
        (Act::HangUp, "does not answer"),
    ];
    for (fault, words) in faults {
        let broken = Arc::new(Mutex::new(Some(fault.clone())));
        let act = broken.clone();
        let server = Server::start(move |_| act.lock().unwrap().clone().unwrap_or(Act::Keep));
        let bench = Bench::new(&format!("mlflow = \"{}\"", server.url()));
        let mut trackers = bench.with_token(&server.url());
        trackers.tell(&[bench.train(0)]);
        // A server that has failed is left alone for a while.
        let asked = server.asked();
        trackers.tell(&[bench.train(1)]);
        assert_eq!(server.asked(), asked, "{fault:?}");
        *broken.lock().unwrap() = None;
        finished(trackers);
        let said = bench.said().join("\n");
        assert!(bench.said().len() == 1 && said.contains(words), "{fault:?}: {said}");
        assert!(!said.contains(SECRET), "{said}");
        assert_eq!(server.kept().runs[0].metrics.len(), 200 * 5, "{fault:?}");
        assert_eq!(server.authorization(), Some(format!("Bearer {SECRET}")));
    }
}

#[test]
fn a_server_that_is_not_there_is_said_once() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let bench = Bench::new(&format!("mlflow = \"http://127.0.0.1:{port}\"\ntensorboard = true"));
    let mut trackers = bench.trackers();
    trackers.tell(&[bench.train(0)]);
    finished(trackers);
    assert_eq!(bench.said().len(), 1);
    let said = &bench.said()[0];
    assert!(said.contains("does it run") && said.contains("dpo-lab report small sends what is missing"), "{said}");
    assert!(bench.event_file().is_file(), "the other tracker goes on");
}

#[test]
fn no_secret_goes_over_a_connection_that_others_can_read() {
    let account = |variables: &'static [(&str, &str)]| {
        let find = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value));
        Account::read(find).ok().unwrap()
    };
    let token = || account(&[("MLFLOW_TRACKING_TOKEN", SECRET)]);
    let login = || account(&[("MLFLOW_TRACKING_USERNAME", "me"), ("MLFLOW_TRACKING_PASSWORD", SECRET)]);
    for (server, account) in [("http://mlflow.example", token()), ("http://127.0.0.1.example:5000", login())] {
        let Err(Failure::Refused(why)) = Client::new(server, account, LIMIT) else { panic!("{server}") };
        assert!(why.contains("https") && !why.contains(SECRET), "{why}");
    }
    assert!(Client::new("https://mlflow.example", token(), LIMIT).is_ok());
    assert!(Client::new("http://mlflow.example", account(&[]), LIMIT).is_ok());
    let server = Server::start(|_| Act::Keep);
    let client = Client::new(&server.url(), login(), LIMIT).ok().unwrap();
    let _ = client.get("experiments/get-by-name", ("experiment_name", "a b"));
    // base64 of me:very-secret-token
    assert_eq!(server.authorization().as_deref(), Some("Basic bWU6dmVyeS1zZWNyZXQtdG9rZW4="));
    let two_words = Account::read(|name| (name == "MLFLOW_TRACKING_TOKEN").then(|| OsString::from("two words")));
    assert!(matches!(two_words, Err(Failure::Refused(why)) if !why.contains("two words")));
}

#[test]
fn nothing_is_tracked_unless_a_study_asks_for_it() {
    let bench = Bench::new("");
    assert!(Trackers::new(&bench.study, &bench.plan, &bench.store, bench.results(), Box::new(|_| ())).is_none());
    let file = |path: &Path| std::fs::exists(path).unwrap();
    assert!(!file(&bench.results().join(".tracked")));
}

#[test]
fn tracking_changes_no_key_and_no_name() {
    let (plain, tracked) = (Bench::new(""), Bench::new("tensorboard = true\nmlflow = \"http://127.0.0.1:1\""));
    assert_eq!(plain.study.runs, tracked.study.runs);
    assert_eq!(plain.plan.stages, tracked.plan.stages);
}
