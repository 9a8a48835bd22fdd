//! A judge's server on loopback: it speaks HTTP over a socket, a thread for each connection, and does what a test tells it.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
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
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Vec<Asked>>>,
    together: Arc<AtomicUsize>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// Tokens that the server says a question has.
pub const INPUT_TOKENS: u64 = 300;
/// Tokens that the server says an answer has.
pub const OUTPUT_TOKENS: u64 = 40;

impl Server {
    pub fn start(answer: impl Fn(&Asked) -> Act + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (now, together) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (stopped, requests, most) = (stop.clone(), seen.clone(), together.clone());
        let answer = Arc::new(answer);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let (answer, requests, now, most) = (answer.clone(), requests.clone(), now.clone(), most.clone());
                std::thread::spawn(move || {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    // A client that goes away is no failure of the server.
                    let _ = stream.and_then(|stream| serve(stream, &*answer, &requests, &now));
                });
            }
        });
        Server { address, stop, seen, together, thread: Some(thread) }
    }

    pub fn url(&self) -> String {
        format!("http://{}/v1/", self.address)
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

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        let _ = self.thread.take().unwrap().join();
    }
}

fn serve(
    mut stream: TcpStream,
    answer: &impl Fn(&Asked) -> Act,
    seen: &Mutex<Vec<Asked>>,
    now: &AtomicUsize,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let (mut length, mut authorization) = (0, None);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap(),
            "authorization" => authorization = Some(value.to_owned()),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    assert!(first.starts_with("POST "), "{first}");
    let asked = {
        let mut seen = seen.lock().unwrap();
        let path = first.split(' ').nth(1).unwrap().to_owned();
        let asked = Asked { number: seen.len(), path, authorization, body: serde_json::from_slice(&body).unwrap() };
        seen.push(asked.clone());
        asked
    };
    let act = answer(&asked);
    if let Act::Sleep(length) = act {
        std::thread::sleep(length);
    }
    let (status, header, body) = match act {
        Act::Say(ref text) => (200, "", completion(text)),
        Act::Sleep(_) => (200, "", completion("Slow.\nA")),
        Act::Cut => (200, "", completion("Cut.\nA")),
        Act::Body(ref body) => (200, "", body.clone()),
        Act::Status(status, header, ref body) => (status, header, body.clone()),
        Act::Hang => {
            now.fetch_sub(1, Ordering::SeqCst);
            return stream.shutdown(Shutdown::Both);
        }
    };
    let header = if header.is_empty() { String::new() } else { format!("{header}\r\n") };
    let length = body.len();
    let text = format!("HTTP/1.1 {status} X\r\nConnection: close\r\n{header}Content-Length: {length}\r\n\r\n");
    // Before the answer, which the next request follows.
    now.fetch_sub(1, Ordering::SeqCst);
    stream.write_all(text.as_bytes())?;
    stream.write_all(if matches!(act, Act::Cut) { &body.as_bytes()[..length / 2] } else { body.as_bytes() })?;
    stream.shutdown(Shutdown::Write)
}

fn completion(text: &str) -> String {
    let usage = json!({ "prompt_tokens": INPUT_TOKENS, "completion_tokens": OUTPUT_TOKENS });
    let choice = json!({ "index": 0, "message": { "role": "assistant", "content": text }, "finish_reason": "stop" });
    json!({ "id": "x", "object": "chat.completion", "choices": [choice], "usage": usage }).to_string()
}
