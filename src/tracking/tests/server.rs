//! What an MLflow server does with experiments and runs, as far as dpo-lab asks; and what a test makes of it.

use crate::web::loopback::{self, Reply, Request};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the server does with a request.
#[derive(Clone, Debug)]
pub enum Act {
    /// What MLflow does.
    Keep,
    /// Answers with this status, header line (or none) and body.
    Answer(u16, &'static str, &'static str),
    /// Waits, then does what MLflow does.
    Sleep(Duration),
    /// Ends the connection without an answer.
    HangUp,
}

#[derive(Clone, Debug, Default)]
pub struct Run {
    pub name: String,
    pub status: String,
    pub parameters: BTreeMap<String, String>,
    /// Name, step and time of each.
    pub metrics: Vec<(String, u64, u64)>,
    tag: String,
}

/// What the server has.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    pub experiment: Option<String>,
    pub runs: Vec<Run>,
    pub largest_batch: usize,
}

/// What came to the server.
#[derive(Default)]
struct Shared {
    kept: Mutex<Kept>,
    asked: Mutex<Vec<String>>,
    authorization: Mutex<Option<String>>,
}

/// Answers until it is dropped.
pub struct Server {
    server: loopback::Server,
    shared: Arc<Shared>,
}

impl Server {
    pub fn start(act: impl Fn(usize) -> Act + Send + Sync + 'static) -> Server {
        let shared = Arc::new(Shared::default());
        let of_thread = shared.clone();
        Server { server: loopback::Server::start(move |request| reply(request, &of_thread, &act)), shared }
    }

    pub fn url(&self) -> String {
        self.server.url()
    }

    pub fn kept(&self) -> Kept {
        self.shared.kept.lock().unwrap().clone()
    }

    /// Loses everything.
    pub fn forget(&self) {
        *self.shared.kept.lock().unwrap() = Kept::default();
    }

    /// The number of requests so far.
    pub fn asked(&self) -> usize {
        self.shared.asked.lock().unwrap().len()
    }

    /// Who asked last.
    pub fn authorization(&self) -> Option<String> {
        self.shared.authorization.lock().unwrap().clone()
    }
}

fn reply(request: &Request, shared: &Shared, act: &impl Fn(usize) -> Act) -> Option<Reply> {
    let method = request.path.trim_start_matches("/api/2.0/mlflow/").to_owned();
    *shared.authorization.lock().unwrap() = request.header("authorization").map(str::to_owned);
    let number = {
        let mut asked = shared.asked.lock().unwrap();
        asked.push(method.clone());
        asked.len() - 1
    };
    match act(number) {
        Act::HangUp => return None,
        Act::Answer(status, header, text) => return Some(Reply::of(status, header, text)),
        Act::Sleep(length) => std::thread::sleep(length),
        Act::Keep => {}
    }
    let body = serde_json::from_slice(&request.body).unwrap_or_default();
    Some(match answer(&method, &body, &mut shared.kept.lock().unwrap()) {
        Some(answer) => Reply::ok(answer.to_string()),
        None => {
            Reply { status: 404, ..Reply::ok(json!({ "error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no" }).to_string()) }
        }
    })
}

/// MLflow's answer; nothing for what it does not have.
fn answer(method: &str, body: &Value, kept: &mut Kept) -> Option<Value> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    match method.split('?').next()? {
        "experiments/get-by-name" => {
            kept.experiment.as_ref()?;
            Some(json!({ "experiment": { "experiment_id": "7", "lifecycle_stage": "active" } }))
        }
        "experiments/create" => {
            kept.experiment = Some(text(&body["name"]));
            Some(json!({ "experiment_id": "7" }))
        }
        "runs/search" => {
            let filter = text(&body["filter"]);
            let found = kept.runs.iter().position(|run| filter == format!("tags.dpo_lab.id = '{}'", run.tag));
            Some(found.map_or(json!({}), |index| json!({ "runs": [{ "info": { "run_id": index.to_string() } }] })))
        }
        "runs/create" => {
            let tag = body["tags"].as_array().unwrap().iter().find(|tag| tag["key"] == "dpo_lab.id").unwrap();
            let run = Run { name: text(&body["run_name"]), status: "RUNNING".into(), tag: text(&tag["value"]), ..Run::default() };
            kept.runs.push(run);
            Some(json!({ "run": { "info": { "run_id": (kept.runs.len() - 1).to_string() } } }))
        }
        "runs/log-batch" => {
            let count = |key: &str| body[key].as_array().map_or(0, Vec::len);
            kept.largest_batch = kept.largest_batch.max(count("metrics") + count("params"));
            let run = kept.runs.get_mut(text(&body["run_id"]).parse::<usize>().unwrap())?;
            for metric in body["metrics"].as_array().into_iter().flatten() {
                let number = |key: &str| metric[key].as_u64().unwrap();
                let metric = (text(&metric["key"]), number("step"), number("timestamp"));
                if !run.metrics.contains(&metric) {
                    run.metrics.push(metric);
                }
            }
            for parameter in body["params"].as_array().into_iter().flatten() {
                run.parameters.insert(text(&parameter["key"]), text(&parameter["value"]));
            }
            Some(json!({}))
        }
        "runs/update" => {
            kept.runs.get_mut(text(&body["run_id"]).parse::<usize>().unwrap())?.status = text(&body["status"]);
            Some(json!({}))
        }
        _ => None,
    }
}
