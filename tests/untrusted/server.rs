//! A server on loopback that answers every request by a function of its method and its head.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A request, as far as these tests need it.
pub struct Request {
    pub method: String,
    /// Its whole head, which holds the key or the token.
    pub head: String,
}

/// The whole answer, from its status line on.
type Answer = dyn Fn(&Request) -> String + Send + Sync;

/// A server that lives as long as the test's process.
pub struct Server {
    pub port: u16,
    /// Requests that carried an Authorization header.
    pub authorized: Arc<AtomicUsize>,
}

impl Server {
    pub fn start(answer: impl Fn(&Request) -> String + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let (port, authorized) = (listener.local_addr().expect("an address").port(), Arc::new(AtomicUsize::new(0)));
        let (answer, count): (Arc<Answer>, _) = (Arc::new(answer), authorized.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, count) = (answer.clone(), count.clone());
                std::thread::spawn(move || serve(stream, &*answer, &count));
            }
        });
        Server { port, authorized }
    }
}

fn serve(stream: TcpStream, answer: &Answer, authorized: &AtomicUsize) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 || line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        head.push_str(&line);
    }
    reader.read_exact(&mut vec![0; length]).ok()?;
    authorized.fetch_add(usize::from(head.to_ascii_lowercase().contains("authorization:")), Ordering::SeqCst);
    let request = Request { method: head.split(' ').next()?.to_owned(), head: head.clone() };
    let mut stream = stream;
    stream.write_all(answer(&request).as_bytes()).ok()
}

/// An answer with a body of JSON or anything else.
pub fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n{body}", body.len())
}
