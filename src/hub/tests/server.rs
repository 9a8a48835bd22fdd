//! A hub on loopback: the list of files, `resolve` with the hub's headers, and a second server that keeps the large files.

pub use crate::web::loopback::{Reply, Request, Server};
use std::sync::{Arc, Mutex};

/// The part of a body that a `Range` header asks for.
fn part(reply: Reply, request: &Request) -> Reply {
    let Some(range) = request.header("range") else { return reply };
    let start: usize = range.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap().parse().unwrap();
    let size = reply.body.len();
    if start >= size {
        return Reply::status(416);
    }
    let body = reply.body[start..].to_vec();
    Reply { status: 206, body, ..reply }.with("Content-Range", format!("bytes {start}-{}/{size}", size - 1))
}

/// Answers that come once each before the right one: for a method and a part of the path.
pub type Faults = Arc<Mutex<Vec<(&'static str, &'static str, Reply)>>>;

/// A hub with one repository.
pub struct Fake {
    pub hub: Server,
    pub cdn: Server,
    pub faults: Faults,
}

/// The commit of everything on the fake hub.
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

impl Fake {
    /// `repository` as in addresses (`o/m`, `datasets/o/d`), at its one revision.
    pub fn start(repository: &str, revision: &str, files: &[(&str, &[u8])]) -> Fake {
        let files: Vec<(String, Vec<u8>)> = files.iter().map(|(name, body)| ((*name).to_owned(), body.to_vec())).collect();
        let faults = Faults::default();
        let kept: Vec<Vec<u8>> = files.iter().map(|(_, body)| body.clone()).collect();
        let cdn_faults = faults.clone();
        let cdn = Server::start(move |request| {
            let number: usize = request.path.trim_start_matches("/kept/").split('?').next().unwrap().parse().unwrap();
            fault(&cdn_faults, request).or_else(|| Some(part(Reply::ok(kept[number].clone()), request)))
        });
        let (elsewhere, hub_faults) = (cdn.url(), faults.clone());
        let kind = if repository.starts_with("datasets/") { "" } else { "models/" };
        let list = format!("/api/{kind}{repository}/revision/{}", revision.replace('/', "%2F"));
        let resolve = format!("/{repository}/resolve/{COMMIT}/");
        let hub = Server::start(move |request| {
            if let Some(reply) = fault(&hub_faults, request) {
                return Some(reply);
            }
            if request.path == list {
                let names: Vec<_> = files.iter().map(|(name, _)| serde_json::json!({ "rfilename": name })).collect();
                return Some(Reply::ok(serde_json::json!({ "sha": COMMIT, "siblings": names, "private": false }).to_string()));
            }
            let file = request.path.strip_prefix(&resolve);
            let Some(number) = file.and_then(|file| files.iter().position(|(name, _)| name == file)) else {
                let reason = if request.path.starts_with("/api") { "RepoNotFound" } else { "EntryNotFound" };
                return Some(Reply::status(404).with("X-Error-Code", reason));
            };
            let (name, body) = &files[number];
            if name.ends_with(".safetensors") || name.ends_with(".parquet") {
                let digest = ring::digest::digest(&ring::digest::SHA256, body);
                let digest: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
                let moved = Reply { status: 302, body: b"elsewhere".to_vec(), ..Reply::default() }
                    .with("Location", format!("{elsewhere}/kept/{number}?signature=hidden"))
                    .with("X-Repo-Commit", COMMIT)
                    .with("X-Linked-Etag", format!("\"{digest}\""))
                    .with("X-Linked-Size", body.len().to_string());
                return Some(moved);
            }
            Some(part(Reply::ok(body.clone()).with("ETag", format!("\"small-{number}\"")), request))
        });
        Fake { hub, cdn, faults }
    }

    /// The next request with this method and this in its path is answered with `reply`.
    pub fn fail(&self, method: &'static str, path: &'static str, reply: Reply) {
        self.faults.lock().unwrap().push((method, path, reply));
    }
}

fn fault(faults: &Faults, request: &Request) -> Option<Reply> {
    let mut faults = faults.lock().unwrap();
    let found = faults.iter().position(|(method, path, _)| *method == request.method && request.path.contains(path))?;
    let (_, _, reply) = faults.remove(found);
    Some(if reply.cut.is_some() { part(reply, request) } else { reply })
}
