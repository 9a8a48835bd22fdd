//! A server on loopback for tests of clients: it speaks HTTP over a socket, a thread for each connection, and answers what a test
//! tells it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub body: Vec<u8>,
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

    /// A status with a header line such as `Retry-After: 1` (or none) and a body.
    pub fn of(status: u16, header: &'static str, body: impl Into<Vec<u8>>) -> Reply {
        let reply = Reply { status, body: body.into(), ..Reply::default() };
        match header.split_once(": ") {
            Some((name, value)) => reply.with(name, value),
            None => reply,
        }
    }
}

/// Answers until it is dropped, one request for each connection.
pub struct Server {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Vec<Request>>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    /// `answer` says what is answered; without an answer the connection ends.
    pub fn start(answer: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (stopped, requests, answer) = (stop.clone(), seen.clone(), Arc::new(answer));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let (requests, answer) = (requests.clone(), answer.clone());
                // A client that goes away is no failure of the server.
                std::thread::spawn(move || stream.and_then(|stream| serve(stream, &*answer, &requests)));
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

fn serve(mut stream: TcpStream, answer: &impl Fn(&Request) -> Option<Reply>, seen: &Mutex<Vec<Request>>) -> std::io::Result<()> {
    let request = read(&mut BufReader::new(stream.try_clone()?))?;
    seen.lock().unwrap().push(request.clone());
    let Some(reply) = answer(&request) else { return stream.shutdown(Shutdown::Both) };
    let mut text = format!("HTTP/1.1 {} X\r\nConnection: close\r\nContent-Length: {}\r\n", reply.status, reply.body.len());
    for (name, value) in &reply.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{text}\r\n").as_bytes())?;
    if request.method != "HEAD" {
        stream.write_all(&reply.body[..reply.cut.unwrap_or(reply.body.len()).min(reply.body.len())])?;
    }
    stream.shutdown(Shutdown::Write)
}

fn read(reader: &mut impl BufRead) -> std::io::Result<Request> {
    let mut line = || -> std::io::Result<String> {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    };
    let first = line()?;
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = Vec::new();
    while let Some((name, value)) = line()?.split_once(": ") {
        headers.push((name.to_owned(), value.to_owned()));
    }
    let mut request = Request { method, path, headers, body: Vec::new() };
    let length: u64 = request.header("content-length").map_or(0, |length| length.parse().unwrap());
    reader.take(length).read_to_end(&mut request.body)?;
    Ok(request)
}
