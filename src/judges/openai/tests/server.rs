//! A judge's server on loopback, which does with questions what a test tells it.

use crate::web::loopback::{self, Reply, Request};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A question as it arrived.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Which request this is, from 0.
    pub number: usize,
    pub path: String,
    pub authorization: Option<String>,
    pub body: Value,
}

impl Asked {
    /// The message of the user.
    pub fn text(&self) -> &str {
        self.body["messages"][1]["content"].as_str().unwrap()
    }

    /// The text behind a label such as "Summary A", read back from its quote; the quote must end its line.
    pub fn quote(&self, label: &str) -> String {
        let lines = || self.text().lines().filter_map(|line| line.strip_prefix(label)?.strip_prefix(": "));
        assert_eq!(lines().count(), 1, "{label} in {}", self.text());
        serde_json::from_str(lines().next().unwrap()).unwrap()
    }

    /// The texts of both summaries.
    pub fn pair(&self) -> (String, String) {
        (self.quote("Summary A"), self.quote("Summary B"))
    }
}

/// What the server does with a question.
#[derive(Clone, Debug)]
pub enum Act {
    /// Answers with this text.
    Say(String),
    /// Answers with this status, header line (or none) and body.
    Status(u16, &'static str, String),
    /// Answers with status 200 and this body.
    Body(String),
    /// Says nothing for a while, then answers "A".
    Sleep(Duration),
    /// Ends the connection in the middle of the answer.
    Cut,
    /// Ends the connection without an answer.
    Hang,
}

impl Act {
    pub fn say(text: &str) -> Act {
        Act::Say(text.to_owned())
    }
}

/// Answers until it is dropped.
pub struct Server {
    server: loopback::Server,
    seen: Arc<Mutex<Vec<Asked>>>,
    together: Arc<AtomicUsize>,
}

/// Tokens that the server says a question has.
pub const INPUT_TOKENS: u64 = 300;
/// Tokens that the server says an answer has.
pub const OUTPUT_TOKENS: u64 = 40;

impl Server {
    pub fn start(act: impl Fn(&Asked) -> Act + Send + Sync + 'static) -> Server {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (now, together) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
        let (requests, most) = (seen.clone(), together.clone());
        let server = loopback::Server::start(move |request| {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            let asked = asked(request, &requests);
            let reply = answer(act(&asked));
            // Before the answer, which the next request follows.
            now.fetch_sub(1, Ordering::SeqCst);
            reply
        });
        Server { server, seen, together }
    }

    pub fn url(&self) -> String {
        format!("{}/v1/", self.server.url())
    }

    /// The questions so far.
    pub fn seen(&self) -> Vec<Asked> {
        self.seen.lock().unwrap().clone()
    }

    /// The most requests that were open at one time.
    pub fn together(&self) -> usize {
        self.together.load(Ordering::SeqCst)
    }
}

fn asked(request: &Request, seen: &Mutex<Vec<Asked>>) -> Asked {
    assert_eq!(request.method, "POST");
    let mut seen = seen.lock().unwrap();
    let (path, authorization) = (request.path.clone(), request.header("authorization").map(str::to_owned));
    let asked = Asked { number: seen.len(), path, authorization, body: serde_json::from_slice(&request.body).unwrap() };
    seen.push(asked.clone());
    asked
}

fn answer(act: Act) -> Option<Reply> {
    match act {
        Act::Say(text) => Some(Reply::ok(completion(&text))),
        Act::Sleep(length) => {
            std::thread::sleep(length);
            Some(Reply::ok(completion("Slow.\nA")))
        }
        Act::Cut => {
            let body = completion("Cut.\nA");
            Some(Reply { cut: Some(body.len() / 2), ..Reply::ok(body) })
        }
        Act::Body(body) => Some(Reply::ok(body)),
        Act::Status(status, header, body) => Some(Reply::of(status, header, body)),
        Act::Hang => None,
    }
}

fn completion(text: &str) -> String {
    let usage = json!({ "prompt_tokens": INPUT_TOKENS, "completion_tokens": OUTPUT_TOKENS });
    let choice = json!({ "index": 0, "message": { "role": "assistant", "content": text }, "finish_reason": "stop" });
    json!({ "id": "x", "object": "chat.completion", "choices": [choice], "usage": usage }).to_string()
}
