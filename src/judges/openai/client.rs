//! One request to a chat endpoint (POST BASE_URL/chat/completions, as OpenAI's API reference and the servers that follow it
//! have it), what may come of it, and the words for what went wrong.

use super::backoff::retry_after;
use super::settings::{Key, Settings};
use super::templates::SYSTEM;
use crate::error::{Error, Result};
use crate::web::{self, presentable, why};
use serde_json::{Value, json};
use std::fmt;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};
use ureq::http::header::{AUTHORIZATION, RETRY_AFTER, USER_AGENT};
use ureq::{Agent, Timeout};

/// The longest answer that is read, in bytes; a verdict is some hundred.
const LONGEST_ANSWER: u64 = 1 << 20;

/// An answer.
#[derive(Debug, PartialEq)]
pub(super) struct Reply {
    /// What the judge wrote; empty where it declined.
    pub text: String,
    /// Tokens of the question and of the answer, where the server says.
    pub tokens: Option<(u64, u64)>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// The server answered with an error.
    Status {
        /// The HTTP status.
        code: u16,
        /// The server's own words, cut, without the key.
        message: String,
        /// How long the server asks to wait.
        retry_after: Option<Duration>,
        /// Whether the same question may be answered a moment later.
        may_pass: bool,
    },
    /// There was no answer, or it broke off.
    Lost {
        why: String,
        /// Whether the server may have had the question.
        was_sent: bool,
    },
    /// The answer is not what a chat endpoint answers.
    Malformed(String),
}

impl Failure {
    /// Whether the same request may succeed a moment later.
    pub fn may_pass(&self) -> bool {
        matches!(self, Failure::Status { may_pass: true, .. } | Failure::Lost { .. } | Failure::Malformed(_))
    }

    /// How long the server asks to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        if let Failure::Status { retry_after, .. } = self { *retry_after } else { None }
    }

    /// Whether the server may have had the question.
    pub fn was_sent(&self) -> bool {
        !matches!(self, Failure::Lost { was_sent: false, .. })
    }

    /// Whether the server surely takes no money for it.
    pub fn is_free(&self) -> bool {
        matches!(self, Failure::Status { .. })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Status { code, message, .. } if message.is_empty() => write!(formatter, "HTTP {code}"),
            Failure::Status { code, message, .. } => write!(formatter, "HTTP {code}, {message:?}"),
            Failure::Lost { why, .. } => formatter.write_str(why),
            Failure::Malformed(what) => write!(formatter, "the answer is none of a chat endpoint: {what}"),
        }
    }
}

/// Sends questions to one endpoint.
pub(super) struct Client {
    agent: Agent,
    settings: Settings,
    key: Option<Key>,
    /// Newer models of OpenAI's call the limit of an answer `max_completion_tokens`; they say so when they get the old name.
    new_name_of_limit: AtomicBool,
}

impl Client {
    /// A client for the endpoint of the settings, which have been checked.
    pub fn new(settings: &Settings, key: Option<Key>) -> Client {
        let limit = Duration::from_secs_f64(settings.timeout_s);
        let connect = limit.min(Duration::from_secs(20));
        let builder = web::settings(settings.endpoint()).timeout_connect(Some(connect)).timeout_global(Some(limit));
        let agent = builder.build().into();
        Client { agent, settings: settings.clone(), key, new_name_of_limit: AtomicBool::new(false) }
    }

    /// Fails where the server needs a key and there is none.
    pub fn check_key(&self) -> Result<()> {
        self.settings.check_key(self.key.as_ref())
    }

    /// Asks once.
    pub fn send(&self, question: &str) -> Result<Reply, Failure> {
        let new_name = self.new_name_of_limit.load(Ordering::SeqCst);
        let limit = if new_name { "max_completion_tokens" } else { "max_tokens" };
        let body = json!({
            "model": self.settings.model,
            "messages": [{ "role": "system", "content": SYSTEM }, { "role": "user", "content": question }],
            "temperature": self.settings.temperature,
            limit: self.settings.max_tokens,
        });
        let mut request = self
            .agent
            .post(format!("{}/chat/completions", self.settings.endpoint()))
            .header(USER_AGENT, web::USER_AGENT)
            .content_type("application/json");
        if let Some(key) = &self.key {
            request = request.header(AUTHORIZATION, key.header());
        }
        let mut response = request.send(body.to_string()).map_err(|error| lost(&error))?;
        let code = response.status().as_u16();
        let asked = response.headers().get(RETRY_AFTER).and_then(|header| header.to_str().ok());
        let asked = asked.and_then(|header| retry_after(header, SystemTime::now()));
        let bytes = response.body_mut().with_config().limit(LONGEST_ANSWER).read_to_vec();
        if code == 200 {
            return self.read(&bytes.map_err(|error| lost(&error))?);
        }
        let complaint = Complaint::read(&bytes.unwrap_or_default());
        // A filter of the provider's refuses this text and may accept the next.
        if code == 400 && complaint.code == "content_filter" {
            return Ok(Reply { text: String::new(), tokens: Some((0, 0)) });
        }
        let renamed = code == 400 && !new_name && complaint.message.contains("max_completion_tokens");
        if renamed {
            self.new_name_of_limit.store(true, Ordering::SeqCst);
        }
        // An account without money answers 429, too, but not for a moment.
        let busy = matches!(code, 408 | 425 | 429 | 500..) && complaint.code != "insufficient_quota";
        let message = self.presentable(&complaint.message);
        Err(Failure::Status { code, message, retry_after: asked, may_pass: busy || renamed })
    }

    /// What is in the body of an answer.
    pub fn read(&self, bytes: &[u8]) -> Result<Reply, Failure> {
        let answer: Value = serde_json::from_slice(bytes).map_err(|error| Failure::Malformed(error.to_string()))?;
        let Some(message) = answer["choices"].get(0).and_then(|choice| choice["message"].as_object()) else {
            let complaint = self.presentable(&Complaint::read(bytes).message);
            let missing = "it has no choices[0].message".to_owned();
            return Err(Failure::Malformed(if complaint.is_empty() { missing } else { complaint }));
        };
        let text = message.get("content").and_then(Value::as_str).unwrap_or_default();
        let text = self.key.as_ref().map_or_else(|| text.to_owned(), |key| key.remove_from(text));
        let usage = |name: &str| answer["usage"][name].as_u64();
        Ok(Reply { text, tokens: usage("prompt_tokens").zip(usage("completion_tokens")) })
    }

    /// A server's words as they can stand in a message: one line, not long, without the key.
    fn presentable(&self, text: &str) -> String {
        let text = self.key.as_ref().map_or_else(|| text.to_owned(), |key| key.remove_from(text));
        presentable(&text)
    }

    /// The error for a failure that ends a batch after so many tries.
    pub fn explain(&self, failure: &Failure, tries: u32) -> Error {
        let server = self.settings.endpoint();
        let model = &self.settings.model;
        let kept = "what was answered is kept, and the same command goes on from there";
        match failure {
            // Servers repeat parts of the key here, so their words are left out.
            Failure::Status { code: 401, .. } => Error::Data(match &self.key {
                Some(_) => format!("the judge at {server} does not accept the key (HTTP 401): check DPO_LAB_JUDGE_API_KEY"),
                None => format!("the judge at {server} wants a key (HTTP 401): set DPO_LAB_JUDGE_API_KEY"),
            }),
            Failure::Status { code: 403, .. } => Error::Data(format!(
                "the judge at {server} refuses ({failure}): may the key in DPO_LAB_JUDGE_API_KEY use the model {model:?}?"
            )),
            Failure::Status { code: 404, .. } => Error::Data(format!(
                "the judge at {server} has no model {model:?}, or base_url is not right ({failure}): {server}/models lists its models"
            )),
            Failure::Status { code: 300..=399, .. } => Error::Data(format!(
                "the judge at {server} has moved ({failure}): give the address that it sends on to as base_url"
            )),
            Failure::Status { code: 429, may_pass: false, .. } => {
                Error::Other(format!("the account with the judge at {server} has no money left ({failure}); {kept}"))
            }
            Failure::Status { code: 429, .. } => Error::Other(format!(
                "the judge at {server} gets too many requests ({failure}), {tries} times: lower concurrency or wait; {kept}"
            )),
            Failure::Status { may_pass: true, .. } => {
                Error::Other(format!("the judge at {server} fails ({failure}), {tries} times: try again later; {kept}"))
            }
            Failure::Status { .. } => Error::Data(format!(
                "the judge at {server} does not accept the question ({failure}): check model, temperature and max_tokens in \
                 [judge.openai]"
            )),
            Failure::Lost { was_sent: false, .. } => Error::Other(format!(
                "the judge at {server} cannot be reached, after {tries} tries ({failure}): is base_url right, and does it run?"
            )),
            Failure::Lost { .. } => Error::Other(format!(
                "the judge at {server} does not answer, after {tries} tries ({failure}): check the network, or raise timeout_s; {kept}"
            )),
            Failure::Malformed(_) => Error::Other(format!(
                "the judge at {server} cannot be understood, after {tries} tries ({failure}): is base_url that of an \
                 OpenAI-compatible server? it often ends in /v1; {kept}"
            )),
        }
    }
}

/// What a server says about an error.
#[derive(Default)]
struct Complaint {
    message: String,
    code: String,
}

impl Complaint {
    /// Reads `{"error": {"message", "code"}}`, `{"error": "..."}` and `{"message": "..."}`, the forms that servers use.
    fn read(bytes: &[u8]) -> Complaint {
        let Ok(body) = serde_json::from_slice::<Value>(bytes) else { return Complaint::default() };
        let error = if body["error"].is_null() { &body } else { &body["error"] };
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let message = text(error).or_else(|| text(&error["message"])).unwrap_or_default();
        Complaint { message, code: text(&error["code"]).unwrap_or_default() }
    }
}

/// What went wrong with a connection, without any address.
fn lost(error: &ureq::Error) -> Failure {
    let was_sent = match error {
        ureq::Error::Io(error) => !matches!(
            error.kind(),
            ErrorKind::ConnectionRefused
                | ErrorKind::HostUnreachable
                | ErrorKind::NetworkUnreachable
                | ErrorKind::AddrNotAvailable
        ),
        ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => false,
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed | ureq::Error::BadUri(_) | ureq::Error::Http(_) => false,
        ureq::Error::InvalidProxyUrl | ureq::Error::ConnectProxyFailed(_) | ureq::Error::Tls(_) | ureq::Error::Rustls(_) => false,
        _ => true,
    };
    Failure::Lost { why: why(error), was_sent }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::ffi::OsString;

    fn client(key: &str) -> Client {
        let key = Key::read(|_| Some(OsString::from(key))).unwrap();
        Client::new(&Settings { model: "m".into(), ..Settings::default() }, key)
    }

    #[test]
    fn answers_are_read_with_and_without_usage_and_content() {
        let read = |body: Value| client("sk-1").read(body.to_string().as_bytes());
        let reply = read(json!({ "choices": [{ "message": { "content": "Good.\nA" } }] })).unwrap();
        assert_eq!(reply, Reply { text: "Good.\nA".into(), tokens: None });
        let usage = json!({ "prompt_tokens": 12, "completion_tokens": 3 });
        let reply = read(json!({ "choices": [{ "message": { "content": null } }], "usage": usage })).unwrap();
        assert_eq!(reply, Reply { text: String::new(), tokens: Some((12, 3)) });
        let reply = read(json!({ "choices": [{ "message": { "content": "you sent sk-1\nB" } }] })).unwrap();
        assert_eq!(reply.text, "you sent (the key)\nB");
        for body in [json!([]), json!({}), json!({ "choices": [] }), json!({ "choices": [{ "text": "A" }] }), json!("A")] {
            assert!(matches!(read(body.clone()), Err(Failure::Malformed(_))), "{body}");
        }
        let failure = read(json!({ "error": { "message": "overloaded" } })).unwrap_err();
        assert!(failure.to_string().ends_with("overloaded"));
    }

    #[test]
    fn a_message_of_the_server_is_cut_and_harmless() {
        let text = client("sk-1").presentable(&format!("\u{1b}[31mbad\r\nkey sk-1 {}", "é".repeat(900)));
        assert!(text.starts_with("[31mbad  key (the key) éé") && text.ends_with("é…"), "{text}");
    }

    #[test]
    fn complaints_are_read_in_the_forms_that_servers_use() {
        for body in [r#"{"error": {"message": "no", "code": "c"}}"#, r#"{"error": "no"}"#, r#"{"message": "no", "code": 404}"#] {
            assert_eq!(Complaint::read(body.as_bytes()).message, "no", "{body}");
        }
        assert_eq!(Complaint::read(b"<html>").message, "");
    }

    proptest! {
        #[test]
        fn no_body_makes_the_reader_fail(body in prop::collection::vec(any::<u8>(), 0..60), key in "[!-~]{1,9}") {
            let _ = client(&key).read(&body);
            let message = client(&key).presentable(&Complaint::read(&body).message);
            prop_assert!(!message.chars().any(char::is_control));
        }
    }
}
