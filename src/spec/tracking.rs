//! `[tracking]`: where a study's numbers can be watched while it runs. It is no part of any key or name.

use super::study::Study;
use super::validate::Checker;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// `[tracking]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tracking {
    /// Whether runs get TensorBoard's event files.
    pub tensorboard: bool,
    /// Address of an MLflow server.
    pub mlflow: Option<String>,
    /// Name of the experiment there; that of the study if absent.
    pub mlflow_experiment: Option<String>,
}

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

/// Addresses and names that cannot be.
pub(super) fn tracking(study: &Study, check: &mut Checker<'_>) {
    let tracking = &study.tracking;
    if let Some(address) = &tracking.mlflow {
        // The address stands in messages and in files, so it must not hold a password.
        let what = "the address holds a user name or a password";
        let hint = "give it without them, and set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD";
        check.that(!address.contains('@'), "tracking.mlflow", what, hint);
        let what = "this is not the address of a server";
        check.that(Reach::of(address).is_some(), "tracking.mlflow", what, "write it like \"http://127.0.0.1:5000\"");
    }
    if let Some(name) = &tracking.mlflow_experiment {
        let fine = !name.trim().is_empty() && name.len() <= 500 && !name.contains(char::is_control);
        let hint = "leave it out: the name of the study is the default";
        check.that(fine, "tracking.mlflow_experiment", "an experiment needs a name of one line", hint);
        let what = "`mlflow_experiment` says nothing without `mlflow`";
        check.that(tracking.mlflow.is_some(), "tracking.mlflow_experiment", what, "add mlflow = \"http://HOST:PORT\"");
    }
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
}
