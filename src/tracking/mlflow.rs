//! An MLflow experiment with a run for each of the study's: parameters, metrics and tags over the REST API, each sent once.

use super::client::{Client, Failure};
use super::curves::{Part, Tracked};
use crate::store::Key;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The most metrics that MLflow takes in one request.
const MOST_METRICS: usize = 1000;
/// The most parameters that MLflow takes in one request.
const MOST_PARAMETERS: usize = 100;
/// The tag by which a run of MLflow's is known as one of the study's.
const TAG: &str = "dpo_lab.id";

/// How a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Standing {
    /// More may come.
    Running,
    /// All of it is done.
    Finished,
    /// A stage that it needs failed.
    Failed,
    /// The study was stopped before it was done.
    Killed,
}

/// What a server was told of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Sent {
    server: String,
    experiment: String,
    id: String,
    run_id: String,
    standing: Standing,
    /// Stages whose metrics are there.
    keys: BTreeSet<Key>,
}

/// An experiment on a server.
pub(super) struct Mlflow {
    client: Client,
    experiment: String,
    experiment_id: Option<String>,
}

impl Mlflow {
    /// The experiment of this name; nothing is sent yet.
    pub fn new(client: Client, experiment: &str) -> Mlflow {
        Mlflow { client, experiment: experiment.to_owned(), experiment_id: None }
    }

    /// What happened, and what to do.
    pub fn explain(&self, failure: &Failure) -> String {
        self.client.explain(failure)
    }

    /// Sends what is finished and was not sent, and how the run stands, if that is known; `told` keeps track, also where this
    /// fails half-way.
    pub fn update(&mut self, tracked: &Tracked<'_>, told: &mut Option<Sent>, standing: Option<Standing>) -> Result<(), Failure> {
        let id = id(tracked);
        let here = |sent: &Sent| sent.server == self.client.server() && sent.experiment == self.experiment && sent.id == id;
        let mut sent = told.take().filter(here);
        let was_known = sent.is_some();
        let standing = standing.or(sent.as_ref().map(|sent| sent.standing)).unwrap_or(Standing::Running);
        let finished = tracked.finished();
        let is_new = |key: &Key| finished.contains(&key) && !sent.as_ref().is_some_and(|sent| sent.keys.contains(key));
        let anything = finished.iter().any(|key| is_new(key));
        if !anything && sent.as_ref().is_none_or(|sent| sent.standing == standing) {
            *told = sent;
            return Ok(());
        }
        let parts = tracked.parts(is_new);
        if parts.is_empty() && sent.is_none() {
            return Ok(());
        }
        let outcome = self.send(tracked, &mut sent, &parts, standing);
        if was_known && outcome.as_ref().is_err_and(Failure::is_unknown) {
            // A server that has lost its runs gets them again.
            self.experiment_id = None;
            return self.update(tracked, told, Some(standing));
        }
        *told = sent;
        outcome
    }

    fn send(
        &mut self,
        tracked: &Tracked<'_>,
        sent: &mut Option<Sent>,
        parts: &[Part],
        standing: Standing,
    ) -> Result<(), Failure> {
        let began = parts.iter().flat_map(|part| &part.points).map(|point| point.time).fold(f64::INFINITY, f64::min);
        let sent = match sent {
            Some(sent) => sent,
            None => sent.insert(self.run(tracked, began)?),
        };
        let mut metrics: Vec<Value> = Vec::new();
        let mut keys: Vec<&Key> = Vec::new();
        for part in parts {
            for point in &part.points {
                if metrics.len() == MOST_METRICS {
                    self.log(sent, &mut metrics, &mut keys)?;
                }
                let timestamp = milliseconds(point.time);
                metrics.push(json!({ "key": point.name, "value": point.value, "timestamp": timestamp, "step": point.step }));
            }
            keys.push(&part.key);
        }
        self.log(sent, &mut metrics, &mut keys)?;
        if sent.standing != standing {
            let mut body = json!({ "run_id": sent.run_id, "status": standing });
            if standing != Standing::Running {
                let end = parts.iter().flat_map(|part| &part.points).map(|point| point.time).fold(0.0, f64::max);
                body["end_time"] = json!(milliseconds(if end > 0.0 { end } else { crate::store::now() }));
            }
            self.client.post("runs/update", &body)?;
            sent.standing = standing;
        }
        Ok(())
    }

    fn log(&self, sent: &mut Sent, metrics: &mut Vec<Value>, keys: &mut Vec<&Key>) -> Result<(), Failure> {
        if !metrics.is_empty() {
            self.client.post("runs/log-batch", &json!({ "run_id": sent.run_id, "metrics": metrics }))?;
        }
        metrics.clear();
        sent.keys.extend(keys.drain(..).cloned());
        Ok(())
    }

    /// The run that the server has already, or a new one, with its parameters.
    fn run(&mut self, tracked: &Tracked<'_>, began: f64) -> Result<Sent, Failure> {
        let experiment_id = self.experiment_id()?;
        let id = id(tracked);
        let filter = format!("tags.{TAG} = '{id}'");
        let search = json!({ "experiment_ids": [experiment_id], "filter": filter, "max_results": 1 });
        let found = self.client.post("runs/search", &search)?;
        let known = found["runs"][0]["info"]["run_id"].as_str();
        let run_id = match known {
            Some(run_id) => run_id.to_owned(),
            None => {
                let tag = |key: &str, value: &str| json!({ "key": key, "value": value });
                let version = format!("dpo-lab {}", env!("CARGO_PKG_VERSION"));
                let tags = [tag(TAG, &id), tag("study", &tracked.study.name), tag("mlflow.source.name", &version)];
                let start = milliseconds(if began.is_finite() { began } else { crate::store::now() });
                let body =
                    json!({ "experiment_id": experiment_id, "run_name": tracked.run.name, "start_time": start, "tags": tags });
                let made = self.client.post("runs/create", &body)?;
                field(&made["run"]["info"]["run_id"])?
            }
        };
        let parameter = |(key, value): &(String, String)| json!({ "key": key, "value": value });
        let parameters: Vec<Value> = tracked.parameters().iter().map(parameter).collect();
        for batch in parameters.chunks(MOST_PARAMETERS) {
            self.client.post("runs/log-batch", &json!({ "run_id": run_id, "params": batch }))?;
        }
        let (server, experiment) = (self.client.server().to_owned(), self.experiment.clone());
        Ok(Sent { server, experiment, id, run_id, standing: Standing::Running, keys: BTreeSet::new() })
    }

    fn experiment_id(&mut self) -> Result<String, Failure> {
        if let Some(id) = &self.experiment_id {
            return Ok(id.clone());
        }
        let found = match self.client.get("experiments/get-by-name", ("experiment_name", &self.experiment)) {
            Ok(found) => {
                if found["experiment"]["lifecycle_stage"] == "deleted" {
                    let what = format!("its experiment {:?} is deleted: restore it, or set mlflow_experiment", self.experiment);
                    return Err(Failure::Refused(what));
                }
                field(&found["experiment"]["experiment_id"])?
            }
            Err(failure) if failure.is_unknown() => {
                let made = self.client.post("experiments/create", &json!({ "name": self.experiment }))?;
                field(&made["experiment_id"])?
            }
            Err(failure) => return Err(failure),
        };
        Ok(self.experiment_id.insert(found).clone())
    }
}

/// What tells a run from all others, also from one of the same name that learns from other data; without letters that mean something
/// in a filter.
fn id(tracked: &Tracked<'_>) -> String {
    let first = tracked.keys().next().map_or(String::new(), ToString::to_string);
    let digest = blake3::hash(format!("{}/{}/{first}", tracked.study.name, tracked.run.name).as_bytes());
    digest.to_hex()[..16].to_owned()
}

fn field(value: &Value) -> Result<String, Failure> {
    let lost = || Failure::Lost("the answer is not one of MLflow's".to_owned());
    value.as_str().map(str::to_owned).ok_or_else(lost)
}

/// MLflow counts time in milliseconds since 1970.
fn milliseconds(seconds: f64) -> u64 {
    (seconds * 1000.0) as u64
}
