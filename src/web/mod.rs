//! What all clients of servers share: how an address is reached, how requests present themselves, and what went wrong, in words.

#[cfg(test)]
pub mod loopback;

use std::net::IpAddr;
use ureq::config::ConfigBuilder;
use ureq::typestate::AgentScope;

/// How requests present themselves.
pub const USER_AGENT: &str = concat!("dpo-lab/", env!("CARGO_PKG_VERSION"));
/// The most characters of a server's message that are shown.
const LONGEST_MESSAGE: usize = 300;

/// What an address says, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// A server on this machine.
    Loopback,
    /// A server elsewhere, over an encrypted connection.
    Encrypted,
    /// A server elsewhere, over a connection that others can read.
    Plain,
}

impl Reach {
    /// How the server at an address is reached; nothing if it is no address of a server.
    pub fn of(address: &str) -> Option<Reach> {
        let uri = address.parse::<ureq::http::Uri>().ok()?;
        let host = uri.host().filter(|host| !host.is_empty() && uri.query().is_none())?;
        let number = host.trim_matches(['[', ']']).parse::<IpAddr>();
        let is_here = host == "localhost" || number.is_ok_and(|number| number.is_loopback());
        match uri.scheme_str()? {
            "http" | "https" if is_here => Some(Reach::Loopback),
            "https" => Some(Reach::Encrypted),
            "http" => Some(Reach::Plain),
            _ => None,
        }
    }
}

/// Settings of a client of one server: errors are answers, redirects are not followed since one could lead a secret elsewhere, and
/// no proxy stands between this machine and itself.
pub fn settings(address: &str) -> ConfigBuilder<AgentScope> {
    let builder = ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0);
    if Reach::of(address) == Some(Reach::Loopback) { builder.proxy(None) } else { builder }
}

/// What went wrong with a connection, without any address: those of redirects hold signatures.
pub fn why(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Io(error) => error.to_string(),
        ureq::Error::Timeout(_) => "no answer within the time limit".to_owned(),
        ureq::Error::HostNotFound => "the name of the server cannot be resolved".to_owned(),
        ureq::Error::ConnectionFailed => "no connection".to_owned(),
        ureq::Error::InvalidProxyUrl => "the proxy in HTTPS_PROXY, HTTP_PROXY or ALL_PROXY is not an address".to_owned(),
        ureq::Error::ConnectProxyFailed(_) => "the proxy refuses the connection".to_owned(),
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => "an address that is none".to_owned(),
        other => other.to_string(),
    }
}

/// A server's words as they can stand in a message: one line, and not long.
pub fn presentable(text: &str) -> String {
    let text = text.replace(|c: char| c.is_control(), " ");
    let short: String = text.trim().chars().take(LONGEST_MESSAGE).collect();
    if short.len() < text.trim().len() { short + "…" } else { short }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loopback() {
        for here in
            ["http://localhost:5000", "http://127.0.0.1", "http://127.8.0.1:1/x", "http://[::1]:5000", "https://localhost"]
        {
            assert_eq!(Reach::of(here), Some(Reach::Loopback), "{here}");
        }
        for there in
            ["http://127.0.0.1.example.com", "http://127.example.com", "http://10.0.0.1:5000", "http://localhost.example"]
        {
            assert_eq!(Reach::of(there), Some(Reach::Plain), "{there}");
        }
        assert_eq!(Reach::of("https://mlflow.example/base/"), Some(Reach::Encrypted));
        for bad in ["", "mlflow.example", "sqlite:///a.db", "ftp://a", "http://", "http://a?b=c", "file:///tmp"] {
            assert_eq!(Reach::of(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_servers_words_are_one_short_line() {
        assert_eq!(presentable(" two\nlines\u{1b}[31m "), "two lines [31m");
        assert_eq!(presentable(&"é".repeat(400)), format!("{}…", "é".repeat(300)));
    }
}
