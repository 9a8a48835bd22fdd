//! A hub on loopback: the list of files, `resolve` with the hub's headers, and a second server that keeps the large files.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    headers: Vec<(String, String)>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// What is answered.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    /// The connection ends after this many bytes of the body.
    pub cut: Option<usize>,
}

impl Reply {
    pub fn status(status: u16) -> Reply {
        Reply { status, ..Reply::default() }
    }

    pub fn ok(body: impl Into<Vec<u8>>) -> Reply {
        Reply { status: 200, body: body.into(), ..Reply::default() }
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Reply {
        self.headers.push((name, value.into()));
        self
    }

    /// The part that a `Range` header asks for.
    pub fn part(self, request: &Request) -> Reply {
        let Some(range) = request.header("range") else { return self };
        let start: usize = range.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap().parse().unwrap();
        let size = self.body.len();
        if start >= size {
            return Reply::status(416);
        }
        let body = self.body[start..].to_vec();
        Reply { status: 206, body, ..self }.with("Content-Range", format!("bytes {start}-{}/{size}", size - 1))
    }
}

/// A server that answers until it is dropped, one request for each connection.
pub struct Server {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Vec<Request>>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    pub fn start(answer: impl Fn(&Request) -> Reply + Send + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (stopped, requests) = (stop.clone(), seen.clone());
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                // A client that goes away is no failure of the server.
                let _ = stream.and_then(|stream| serve(stream, &answer, &requests));
            }
        });
        Server { address, stop, seen, thread: Some(thread) }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests since the last call.
    pub fn seen(&self) -> Vec<Request> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        let _ = self.thread.take().unwrap().join();
    }
}

fn serve(stream: TcpStream, answer: &impl Fn(&Request) -> Reply, seen: &Mutex<Vec<Request>>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().unwrap_or(Ok(String::new()))?;
    let mut words = first.split(' ');
    let (method, path) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    let mut headers = Vec::new();
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(": ") else { break };
        headers.push((name.to_owned(), value.to_owned()));
    }
    let request = Request { method, path, headers };
    let reply = answer(&request);
    let is_head = request.method == "HEAD";
    seen.lock().unwrap().push(request);
    let mut text = format!("HTTP/1.1 {} X\r\nConnection: close\r\nContent-Length: {}\r\n", reply.status, reply.body.len());
    for (name, value) in &reply.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    let mut stream = stream;
    stream.write_all(format!("{text}\r\n").as_bytes())?;
    if !is_head {
        stream.write_all(&reply.body[..reply.cut.unwrap_or(reply.body.len()).min(reply.body.len())])?;
    }
    stream.shutdown(Shutdown::Write)
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
            fault(&cdn_faults, request).unwrap_or_else(|| Reply::ok(kept[number].clone()).part(request))
        });
        let (elsewhere, hub_faults) = (cdn.url(), faults.clone());
        let kind = if repository.starts_with("datasets/") { "" } else { "models/" };
        let list = format!("/api/{kind}{repository}/revision/{}", revision.replace('/', "%2F"));
        let resolve = format!("/{repository}/resolve/{COMMIT}/");
        let hub = Server::start(move |request| {
            if let Some(reply) = fault(&hub_faults, request) {
                return reply;
            }
            if request.path == list {
                let names: Vec<_> = files.iter().map(|(name, _)| serde_json::json!({ "rfilename": name })).collect();
                return Reply::ok(serde_json::json!({ "sha": COMMIT, "siblings": names, "private": false }).to_string());
            }
            let file = request.path.strip_prefix(&resolve);
            let Some(number) = file.and_then(|file| files.iter().position(|(name, _)| name == file)) else {
                let reason = if request.path.starts_with("/api") { "RepoNotFound" } else { "EntryNotFound" };
                return Reply::status(404).with("X-Error-Code", reason);
            };
            let (name, body) = &files[number];
            if name.ends_with(".safetensors") || name.ends_with(".parquet") {
                let digest = ring::digest::digest(&ring::digest::SHA256, body);
                let digest: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
                return Reply { status: 302, body: b"elsewhere".to_vec(), ..Reply::default() }
                    .with("Location", format!("{elsewhere}/kept/{number}?signature=hidden"))
                    .with("X-Repo-Commit", COMMIT)
                    .with("X-Linked-Etag", format!("\"{digest}\""))
                    .with("X-Linked-Size", body.len().to_string());
            }
            Reply::ok(body.clone()).with("ETag", format!("\"small-{number}\"")).part(request)
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
    Some(if reply.cut.is_some() { reply.part(request) } else { reply })
}
