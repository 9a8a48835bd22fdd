//! Requests to an MLflow server (its REST API, version 2.0): who asks, what may come of it, and the words for what went wrong.

use crate::web::{self, Reach, presentable, why};
use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::Value;
use std::ffi::OsString;
use std::time::Duration;
use ureq::http::header::{AUTHORIZATION, USER_AGENT};
use ureq::{Agent, Body};

/// The longest answer that is read, in bytes.
const LONGEST_ANSWER: u64 = 8 << 20;

/// Why a request failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The server answered with an error.
    Status {
        /// The HTTP status.
        code: u16,
        /// MLflow's own name for it, such as `RESOURCE_DOES_NOT_EXIST`, or nothing.
        name: String,
        /// The server's words, cut, without any secret.
        message: String,
    },
    /// There was no answer, or none that can be read; what happened, without any address.
    Lost(String),
    /// It was not sent; why, and what to do.
    Refused(String),
}

impl Failure {
    /// Whether the server does not know what was asked for.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Failure::Status { name, .. } if name == "RESOURCE_DOES_NOT_EXIST")
    }
}

/// Who asks; it has no `Debug`, so that it is never printed.
pub(super) struct Account {
    header: String,
    secret: String,
}

impl Account {
    /// Reads MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, through `variable`; the first two go
    /// before the last, as in MLflow's own client.
    pub fn read(variable: impl Fn(&str) -> Option<OsString>) -> Result<Option<Account>, Failure> {
        let read = |name: &str| {
            let text = variable(name).filter(|value| !value.is_empty()).map(OsString::into_string).transpose();
            // Never the value itself in a message.
            let wrong = || Failure::Refused(format!("{name} is not one word of plain characters: set it again"));
            match text {
                Ok(text) if text.as_ref().is_none_or(|text| text.chars().all(|c| c.is_ascii_graphic())) => Ok(text),
                _ => Err(wrong()),
            }
        };
        let name = read("MLFLOW_TRACKING_USERNAME")?;
        let password = read("MLFLOW_TRACKING_PASSWORD")?;
        if let (Some(name), Some(password)) = (name, password) {
            let header = format!("Basic {}", BASE64_STANDARD.encode(format!("{name}:{password}")));
            return Ok(Some(Account { header, secret: password }));
        }
        let token = read("MLFLOW_TRACKING_TOKEN")?;
        Ok(token.map(|token| Account { header: format!("Bearer {token}"), secret: token }))
    }
}

/// Sends requests to one server.
pub(super) struct Client {
    agent: Agent,
    server: String,
    account: Option<Account>,
}

impl Client {
    /// A client for the server at an address, with what one request may take. Refuses to send a secret over a connection that
    /// others can read.
    pub fn new(server: &str, account: Option<Account>, limit: Duration) -> Result<Client, Failure> {
        let reach = Reach::of(server);
        if account.is_some() && reach == Some(Reach::Plain) {
            let what = "a token or password would be sent without encryption: give an https address, or unset MLFLOW_TRACKING_*";
            return Err(Failure::Refused(what.to_owned()));
        }
        let settings = web::settings(server).timeout_connect(Some(limit / 2)).timeout_global(Some(limit));
        Ok(Client { agent: settings.build().into(), server: server.trim_end_matches('/').to_owned(), account })
    }

    /// The server's address.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// GET of a method such as `experiments/get-by-name`.
    pub fn get(&self, method: &str, query: (&str, &str)) -> Result<Value, Failure> {
        let request = self.agent.get(self.address(method)).query(query.0, query.1).header(USER_AGENT, web::USER_AGENT);
        let request = self.account.iter().fold(request, |request, account| request.header(AUTHORIZATION, &account.header));
        self.answer(request.call())
    }

    /// POST of a method such as `runs/create`.
    pub fn post(&self, method: &str, body: &Value) -> Result<Value, Failure> {
        let request = self.agent.post(self.address(method)).header(USER_AGENT, web::USER_AGENT).content_type("application/json");
        let request = self.account.iter().fold(request, |request, account| request.header(AUTHORIZATION, &account.header));
        self.answer(request.send(body.to_string()))
    }

    fn address(&self, method: &str) -> String {
        format!("{}/api/2.0/mlflow/{method}", self.server)
    }

    fn answer(&self, response: Result<ureq::http::Response<Body>, ureq::Error>) -> Result<Value, Failure> {
        let mut response = response.map_err(|error| Failure::Lost(why(&error)))?;
        let code = response.status().as_u16();
        let bytes = response.body_mut().with_config().limit(LONGEST_ANSWER).read_to_vec();
        if code == 200 {
            let bytes = bytes.map_err(|error| Failure::Lost(why(&error)))?;
            return serde_json::from_slice(&bytes).map_err(|_| Failure::Lost("the answer is not JSON".to_owned()));
        }
        let body: Value = serde_json::from_slice(&bytes.unwrap_or_default()).unwrap_or_default();
        let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
        Err(Failure::Status { code, name: text("error_code"), message: self.presentable(&text("message")) })
    }

    /// A server's words as they can stand in a message: one line, not long, without a secret.
    fn presentable(&self, text: &str) -> String {
        let text = self.account.as_ref().map_or_else(|| text.to_owned(), |account| text.replace(&account.secret, "(the secret)"));
        presentable(&text)
    }

    /// What happened, and what to do.
    pub fn explain(&self, failure: &Failure) -> String {
        let server = &self.server;
        match failure {
            // Servers may repeat a part of the token here, so their words are left out.
            Failure::Status { code: code @ (401 | 403), .. } => {
                let hint = match self.account {
                    Some(_) => "check MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
                    None => "set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
                };
                format!("MLflow at {server} refuses (HTTP {code}): {hint}")
            }
            Failure::Status { code: code @ 300..=399, .. } => {
                format!("MLflow at {server} has moved (HTTP {code}): give the address that it sends on to as tracking.mlflow")
            }
            Failure::Status { code, message, .. } if message.is_empty() => {
                format!("MLflow at {server} fails (HTTP {code}): is tracking.mlflow the address of an MLflow server?")
            }
            Failure::Status { code, message, .. } => format!("MLflow at {server} fails (HTTP {code}, {message:?})"),
            Failure::Lost(why) => {
                format!("MLflow at {server} does not answer ({why}): does it run, and is tracking.mlflow its address?")
            }
            Failure::Refused(why) => format!("MLflow at {server} is not asked: {why}"),
        }
    }
}
