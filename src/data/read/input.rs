//! The bytes of a text file: unpacked, without a byte order mark, and never more of one row than fits.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};

use flate2::read::MultiGzDecoder;

use super::source::{Packing, Source};
use crate::error::{Doing, Result};

const BUFFER: usize = 64 << 10;

/// The file's bytes, unpacked.
pub fn bytes(source: &Source) -> Result<Box<dyn Read>> {
    let file = File::open(source.path).doing("open", source.path)?;
    // A pipe has no size, and so no bound.
    let packed = file.metadata().doing("read", source.path)?;
    let most = if packed.is_file() { packed.len().saturating_mul(MOST_GROWTH).max(source.longest) } else { u64::MAX };
    let unpacked: Box<dyn Read> = match source.packing {
        Packing::Plain => return Ok(Box::new(file)),
        Packing::Gzip => Box::new(MultiGzDecoder::new(BufReader::with_capacity(BUFFER, file))),
        Packing::Zstd => Box::new(zstd::Decoder::new(file).doing("unpack", source.path)?),
    };
    Ok(Box::new(Bounded { inner: unpacked, left: most }))
}

/// Text grows to some ten times its packed size; what grows more was made to fill the memory.
pub const MOST_GROWTH: u64 = 100;

/// Says that a file unpacks to too much; it travels inside an [`io::Error`] as [`TooLong`] does.
#[derive(Debug, thiserror::Error)]
#[error("too much")]
pub struct TooMuch;

/// A reader that fails with [`TooMuch`] instead of giving more than so many bytes.
struct Bounded {
    inner: Box<dyn Read>,
    left: u64,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| io::Error::other(TooMuch))?;
        Ok(read)
    }
}

/// The file's text, unpacked and without a byte order mark.
pub fn text(source: &Source) -> Result<Box<dyn BufRead>> {
    let mut bytes = bytes(source)?;
    let mut start = Vec::new();
    bytes.by_ref().take(3).read_to_end(&mut start).map_err(|e| source.unreadable(1, None, e, ""))?;
    if start == b"\xef\xbb\xbf" {
        start.clear();
    }
    Ok(Box::new(Cursor::new(start).chain(BufReader::with_capacity(BUFFER, bytes))))
}

/// Says that a row does not end; it travels inside an [`io::Error`] through parsers that know nothing of rows.
#[derive(Debug, thiserror::Error)]
#[error("too long")]
pub struct TooLong;

/// Where a [`Metered`] reader is.
pub struct Meter {
    longest: u64,
    since: Cell<u64>,
    lines: Cell<u64>,
    line_open: Cell<bool>,
}

impl Meter {
    /// Allows `longest` bytes between two calls of [`Meter::begin`].
    pub fn new(longest: u64) -> Self {
        Self { longest, since: Cell::new(0), lines: Cell::new(0), line_open: Cell::new(true) }
    }

    /// A row begins.
    pub fn begin(&self) {
        self.since.set(0);
    }

    /// The line of the next byte, from 1.
    pub fn line(&self) -> u64 {
        self.lines.get() + 1
    }

    /// The line of the last byte; a line end belongs to the line that it ends.
    pub fn last_line(&self) -> u64 {
        self.lines.get() + u64::from(self.line_open.get())
    }
}

/// A reader that fails with [`TooLong`] instead of going on within one row for ever. It reads no more than a line at once, so
/// that a parser with a buffer of its own is never ahead of the line that it parses.
pub struct Metered<'a, R> {
    inner: R,
    meter: &'a Meter,
}

impl<'a, R: BufRead> Metered<'a, R> {
    /// Counts what is read from `inner`.
    pub fn new(inner: R, meter: &'a Meter) -> Self {
        Self { inner, meter }
    }
}

impl<R: BufRead> Read for Metered<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let meter = self.meter;
        let left = usize::try_from(meter.longest.saturating_sub(meter.since.get())).unwrap_or(usize::MAX);
        if left == 0 && !buffer.is_empty() {
            return Err(io::Error::other(TooLong));
        }
        let bytes = self.inner.fill_buf()?;
        let most = bytes.len().min(buffer.len()).min(left);
        let end = bytes[..most].iter().position(|&byte| byte == b'\n');
        let read = end.map_or(most, |end| end + 1);
        buffer[..read].copy_from_slice(&bytes[..read]);
        self.inner.consume(read);
        if read > 0 {
            meter.since.set(meter.since.get() + read as u64);
            meter.lines.set(meter.lines.get() + u64::from(end.is_some()));
            meter.line_open.set(end.is_none());
        }
        Ok(read)
    }
}
