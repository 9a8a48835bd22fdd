//! One file: from the hub into the cache, whole or not at all.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use ureq::Body;
use ureq::http::{Response, StatusCode};

use super::Progress;
use super::client::{Client, Failure, header};
use crate::error::{Doing, Error, Result};

/// What the hub says about the content of a file.
pub(super) struct Content {
    /// The name of the content in the cache; for large files its SHA-256.
    pub etag: String,
    /// The length in bytes, where the hub says it.
    pub size: Option<u64>,
}

impl Content {
    /// From the hub's answer to a `HEAD` request.
    pub fn of(answer: &Response<Body>) -> Result<Content, Failure> {
        let etag = header(answer, "x-linked-etag").or_else(|| header(answer, "etag")).unwrap_or_default();
        let etag = etag.strip_prefix("W/").unwrap_or(&etag).trim_matches('"').to_owned();
        // It becomes the name of a file.
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if etag.is_empty() || etag.len() > 128 || !etag.chars().all(plain) {
            return Err(Failure::Here(Error::other("the answer has no usable etag: is the address in HF_ENDPOINT a hub?")));
        }
        // The length of a redirect is its own, not the file's.
        let length = || if answer.status().is_success() { header(answer, "content-length") } else { None };
        let size = header(answer, "x-linked-size").or_else(length).and_then(|size| size.parse().ok());
        Ok(Content { etag, size })
    }

    /// The SHA-256 of the content, where the etag is one.
    fn digest(&self) -> Option<&str> {
        (self.etag.len() == 64 && self.etag.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(self.etag.as_str())
    }

    /// Whether this content lies whole at `path`. Nothing is put there before its digest is checked.
    fn is_at(&self, path: &Path) -> bool {
        path.metadata().is_ok_and(|there| there.is_file() && self.size.is_none_or(|size| there.len() == size))
    }
}

/// Puts the content of `file` at `blob` in the cache, unless it is there. The lock keeps a second process, of this or of
/// another tool, from writing the same partial file.
pub(super) fn fetch(
    client: &Client,
    url: &str,
    file: &str,
    content: &Content,
    (blob, lock): (&Path, &Path),
    progress: &mut dyn FnMut(Progress),
) -> Result<(), Failure> {
    if content.is_at(blob) {
        return Ok(());
    }
    for path in [blob, lock] {
        let folder = path.parent().unwrap_or(path);
        std::fs::create_dir_all(folder).doing("create", folder)?;
    }
    let held = File::create(lock).doing("create", lock)?;
    match held.lock() {
        // Some network file systems have no locks; lengths and digests are checked anyway.
        Err(error) if error.kind() == std::io::ErrorKind::Unsupported => {}
        locked => locked.doing("lock", lock)?,
    }
    if content.is_at(blob) {
        return Ok(());
    }
    let partial = partial(blob);
    client.tries(|| complete(client, url, file, content, &partial, progress))?;
    std::fs::rename(&partial, blob).doing("create", blob)?;
    Ok(())
}

/// The partial file of a blob, where other tools of the hub have it too.
fn partial(blob: &Path) -> PathBuf {
    let mut name = blob.file_name().unwrap_or_default().to_owned();
    name.push(".incomplete");
    blob.with_file_name(name)
}

/// One try: asks for what the partial file lacks, and checks the whole.
fn complete(
    client: &Client,
    url: &str,
    file: &str,
    content: &Content,
    partial: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), Failure> {
    let mut out = OpenOptions::new().create(true).append(true).open(partial).doing("write", partial)?;
    let mut have = out.metadata().doing("read", partial)?.len();
    if content.size.is_some_and(|size| have > size) {
        have = restart(&out, partial)?;
    }
    if content.size != Some(have) {
        have = receive(client, url, file, content, (&mut out, partial), have, progress)?;
    }
    if let Some(size) = content.size
        && have != size
    {
        // Too many bytes cannot be gone on from, too few can.
        if have > size {
            restart(&out, partial)?;
        }
        return Err(Failure::lost(format!("{have} bytes instead of {size}")));
    }
    if let Some(expected) = content.digest()
        && !sha256(partial).doing("read", partial)?.eq_ignore_ascii_case(expected)
    {
        restart(&out, partial)?;
        return Err(Failure::lost("the content does not have the SHA-256 that the hub says"));
    }
    // The name of the blob promises its content, also after a power cut.
    Ok(out.sync_all().doing("write", partial)?)
}

/// Appends what one answer brings to the first `have` bytes. Returns the new length.
fn receive(
    client: &Client,
    url: &str,
    file: &str,
    content: &Content,
    (out, partial): (&mut File, &Path),
    mut have: u64,
    progress: &mut dyn FnMut(Progress),
) -> Result<u64, Failure> {
    let response = match client.get(url, have) {
        Err(Failure::Status { code: 416, .. }) => {
            restart(out, partial)?;
            return Err(Failure::lost("the server has no bytes after those of the partial file"));
        }
        answer => answer?,
    };
    if response.status() == StatusCode::PARTIAL_CONTENT {
        let range = header(&response, "content-range").unwrap_or_default();
        if !range.starts_with(&format!("bytes {have}-")) {
            restart(out, partial)?;
            return Err(Failure::lost("the server answered with another part of the file than asked for"));
        }
    } else if have > 0 {
        // This server sends only whole files.
        have = restart(out, partial)?;
    }
    let start = have;
    let mut body = response.into_body().into_reader();
    let mut buffer = vec![0; 256 << 10];
    loop {
        progress(Progress { file: file.to_owned(), done: have, total: content.size });
        let count = match body.read(&mut buffer) {
            Ok(0) => return Ok(have),
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Failure::Lost { why: error.to_string(), arrived: have - start }),
        };
        out.write_all(buffer.get(..count).unwrap_or_default()).doing("write", partial)?;
        have += count as u64;
        if content.size.is_some_and(|size| have > size) {
            return Ok(have);
        }
    }
}

/// Empties a partial file that cannot be gone on from.
fn restart(out: &File, partial: &Path) -> Result<u64> {
    out.set_len(0).doing("write", partial)?;
    Ok(0)
}

/// The SHA-256 of a file in hexadecimal digits.
fn sha256(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let mut digest = ring::digest::Context::new(&ring::digest::SHA256);
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(digest.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()),
            Ok(count) => digest.update(buffer.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
