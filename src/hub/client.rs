//! Requests to the hub: redirects, the token, and what is worth another try.
//!
//! The synchronous client of `hf-hub` sends the token on to the servers that the hub redirects to, goes on with a partial
//! file without a look at the answer's range, and has no time limits; so the requests are made here, and `hf-hub` says how
//! addresses and the cache look.

use std::time::Duration;

use ureq::http::header::{ACCEPT_ENCODING, AUTHORIZATION, LOCATION, RANGE, USER_AGENT};
use ureq::http::{Response, Uri};
use ureq::{Agent, Body};

use super::settings::Settings;
use crate::error::Error;
use crate::web::{self, why};

/// How often a request is made before it counts as failed.
const TRIES: u32 = 3;
/// A connection that brought this much before it was lost does not count as a failed try.
const PROGRESS: u64 = 1 << 20;
/// The hub itself needs two or three.
const REDIRECTS: usize = 8;

/// Why a request failed.
pub(super) enum Failure {
    /// The hub answered, and not with what was asked for.
    Status {
        /// The HTTP status.
        code: u16,
        /// The hub's own name for it, such as `GatedRepo`, or nothing.
        reason: String,
    },
    /// There was no answer, or it broke off.
    Lost {
        /// What happened, without any address: addresses of redirects hold signatures.
        why: String,
        /// The bytes that this try brought.
        arrived: u64,
    },
    /// It has nothing to do with the network: a full disk, for example.
    Here(Error),
}

impl Failure {
    /// A lost connection that brought nothing.
    pub fn lost(why: impl Into<String>) -> Failure {
        Failure::Lost { why: why.into(), arrived: 0 }
    }

    /// Whether the same request may succeed a moment later.
    fn may_pass(&self) -> bool {
        match self {
            Failure::Status { code, .. } => matches!(code, 408 | 429 | 500..),
            Failure::Lost { .. } => true,
            Failure::Here(_) => false,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Here(error)
    }
}

/// Sends requests to one hub.
pub(super) struct Client {
    agent: Agent,
    endpoint: String,
    token: Option<String>,
    pause: Duration,
}

impl Client {
    /// A client for the hub of the settings.
    pub fn new(settings: &Settings) -> Client {
        // Redirects are followed below, where the token is left out.
        let builder = web::settings(&settings.endpoint)
            .timeout_resolve(Some(Duration::from_secs(20)))
            .timeout_connect(Some(Duration::from_secs(20)))
            .timeout_recv_response(Some(Duration::from_secs(60)))
            // Large files may take hours, but not without a byte for a minute.
            .timeout_per_read(Some(Duration::from_secs(60)));
        let agent = builder.build().into();
        Client { agent, endpoint: settings.endpoint.clone(), token: settings.token.clone(), pause: settings.pause }
    }

    /// The address of the hub.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Whether requests carry a token.
    pub fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Makes up to three tries with a short pause between them, as long as another try makes sense.
    pub fn tries<T>(&self, mut attempt: impl FnMut() -> Result<T, Failure>) -> Result<T, Failure> {
        let mut failed = 0;
        loop {
            let failure = match attempt() {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            };
            failed = match failure {
                Failure::Lost { arrived, .. } if arrived >= PROGRESS => 0,
                _ => failed + 1,
            };
            if failed >= TRIES || !failure.may_pass() {
                return Err(failure);
            }
            std::thread::sleep(self.pause * failed.max(1));
        }
    }

    /// What the hub says about a file: the answer with its headers. It is not followed off the hub, because only the hub's
    /// own answer names the digest.
    pub fn head(&self, url: &str) -> Result<Response<Body>, Failure> {
        self.send(url, |agent, url| agent.head(url), 0, false)
    }

    /// The content behind an address from byte `start` on, wherever the hub keeps it.
    pub fn get(&self, url: &str, start: u64) -> Result<Response<Body>, Failure> {
        self.send(url, |agent, url| agent.get(url), start, true)
    }

    fn send(
        &self,
        url: &str,
        method: impl Fn(&Agent, &str) -> ureq::RequestBuilder<ureq::typestate::WithoutBody>,
        start: u64,
        leave: bool,
    ) -> Result<Response<Body>, Failure> {
        let mut url = url.to_owned();
        for _ in 0..REDIRECTS {
            let mut request = method(&self.agent, &url)
                .header(USER_AGENT, web::USER_AGENT)
                // A packed answer has another length and another etag.
                .header(ACCEPT_ENCODING, "identity");
            if start > 0 {
                request = request.header(RANGE, format!("bytes={start}-"));
            }
            if let Some(token) = &self.token
                && same_origin(&url, &self.endpoint)
            {
                request = request.header(AUTHORIZATION, format!("Bearer {token}"));
            }
            let response = request.call().map_err(|error| Failure::lost(why(&error)))?;
            let status = response.status();
            if status.is_success() {
                return Ok(response);
            }
            // `304 Not Modified` is counted as a redirect, but leads nowhere.
            if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
                let reason = header(&response, "x-error-code").unwrap_or_default();
                return Err(Failure::Status { code: status.as_u16(), reason });
            }
            let next = header(&response, LOCATION.as_str())
                .and_then(|location| follow(&url, &location))
                .ok_or_else(|| Failure::lost("the answer leads to an address that is none"))?;
            if !leave && !same_origin(&next, &url) {
                return Ok(response);
            }
            if url.starts_with("https:") && !next.starts_with("https:") {
                return Err(Failure::lost("the answer leads from https to an address without encryption"));
            }
            url = next;
        }
        Err(Failure::lost(format!("the answer leads on more than {REDIRECTS} times")))
    }
}

/// A header of an answer, if it is there and is text.
pub(super) fn header(response: &Response<Body>, name: &str) -> Option<String> {
    response.headers().get(name)?.to_str().ok().map(|value| value.trim().to_owned())
}

/// Scheme, host and port of an address.
fn origin(url: &str) -> Option<(String, String)> {
    let uri: Uri = url.parse().ok()?;
    Some((uri.scheme_str()?.to_owned(), uri.authority()?.as_str().to_ascii_lowercase()))
}

/// Whether two addresses are on the same server; what cannot be read is on no server.
fn same_origin(left: &str, right: &str) -> bool {
    origin(left).is_some_and(|left| origin(right) == Some(left))
}

/// The address that a redirect from `url` leads to.
fn follow(url: &str, location: &str) -> Option<String> {
    let next = match location {
        path if path.starts_with('/') && !path.starts_with("//") => {
            let (scheme, authority) = origin(url)?;
            format!("{scheme}://{authority}{path}")
        }
        address => address.to_owned(),
    };
    let (scheme, _) = origin(&next)?;
    matches!(scheme.as_str(), "http" | "https").then_some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_compared_whole() {
        assert!(same_origin("https://hub.example/a", "https://HUB.example/b?c"));
        for other in
            ["http://hub.example/a", "https://hub.example:8443/a", "https://x@hub.example/a", "https://a.hub.example", "/a"]
        {
            assert!(!same_origin(other, "https://hub.example"), "{other}");
        }
    }

    #[test]
    fn redirects_lead_to_paths_and_addresses() {
        let from = "https://hub.example/a/b";
        assert_eq!(follow(from, "/c?d").as_deref(), Some("https://hub.example/c?d"));
        assert_eq!(follow(from, "https://cdn.example/c").as_deref(), Some("https://cdn.example/c"));
        for bad in ["", "c", "//cdn.example/c", "file:///etc/passwd", "https://", "http://a b/"] {
            assert_eq!(follow(from, bad), None, "{bad}");
        }
    }
}
