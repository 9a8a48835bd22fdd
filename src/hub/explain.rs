//! Failures of requests as a person reads them: what, where, and what to do.

use super::client::Failure;
use super::repository::Repository;
use crate::error::Error;

impl Repository<'_> {
    /// The error for a failure with the list of files, or with one file.
    pub(super) fn explain(&self, failure: Failure, file: Option<&str>) -> Error {
        let label = self.label();
        let (kind, other) = if self.is_model { ("model", "data set") } else { ("data set", "model") };
        let what = match file {
            Some(file) => format!("{file} of {label}"),
            None => format!("the list of files of {label}"),
        };
        let endpoint = self.hub.client.endpoint();
        let page = format!("{endpoint}/{}{}", if self.is_model { "" } else { "datasets/" }, self.name.repository);
        let token = if self.hub.client.has_token() {
            "check that the token (HF_TOKEN, or the file `token` in HF_HOME) is valid and may read it"
        } else {
            "set HF_TOKEN to a token that may read it"
        };
        match failure {
            // Nothing of the file system is a matter of the repository.
            Failure::Here(Error::Other(why)) => Error::other(format!("cannot download {what} from {endpoint}: {why}")),
            Failure::Here(error) => error,
            Failure::Status { code: 401 | 403, reason } if reason == "GatedRepo" => {
                Error::Usage(format!("the hub refuses {what}: the {kind} is gated; accept its licence at {page} and {token}"))
            }
            Failure::Status { code: code @ (401 | 403), .. } => Error::Usage(format!(
                "the hub refuses {what} (HTTP {code}): there is no such {kind}, or it is private or gated; check the name, {token}, \
                 and accept its licence at {page} if it has one"
            )),
            Failure::Status { code: 404, reason } => Error::Usage(match (reason.as_str(), file) {
                ("RepoNotFound", _) => {
                    format!("the hub has no {kind} {label}: check the name, and that it is no {other}; if it is private, {token}")
                }
                ("RevisionNotFound", _) => {
                    format!(
                        "hub:{} has no revision {:?}: see {page} for its branches, tags and commits",
                        self.name.repository, self.revision
                    )
                }
                (_, Some(_)) => format!("the hub does not find {what} (HTTP 404): check the name and the revision at {page}"),
                (_, None) => {
                    format!(
                        "the hub has no {kind} {label}, or not this revision of it (HTTP 404): check both, and that it is no {other}"
                    )
                }
            }),
            Failure::Status { code: 429, .. } => {
                Error::other(format!("the hub gets too many requests from here and refuses {what} (HTTP 429): wait, or {token}"))
            }
            Failure::Status { code: code @ 500.., .. } => Error::other(format!(
                "the hub at {endpoint} fails with {what} (HTTP {code}), three times: try again later; what has arrived is kept"
            )),
            Failure::Status { code, .. } => Error::other(format!(
                "the hub at {endpoint} answers {what} with HTTP {code}: is the address in HF_ENDPOINT a hub?"
            )),
            Failure::Lost { why, .. } => Error::other(format!(
                "cannot download {what} from {endpoint}, after three tries: {why}; check the network and give the same command \
                 again, which goes on from what has arrived, or work offline with what is in the cache"
            )),
        }
    }
}
