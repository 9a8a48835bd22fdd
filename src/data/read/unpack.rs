//! A Parquet file that is packed as a whole, unpacked: its reader starts at the end and jumps about, which a compressed
//! stream cannot.

use std::fs::File;
use std::io::{self, Read, Seek, Write};

use super::input;
use super::source::{Packing, Source};
use crate::error::{Doing, Result};

/// The file, opened; where it is packed, a temporary copy without a name, gone when it is closed.
pub fn file(source: &Source) -> Result<File> {
    if source.packing == Packing::Plain {
        return File::open(source.path).doing("open", source.path);
    }
    let folder = std::env::temp_dir();
    let mut unpacked = tempfile::tempfile().doing("make a temporary file in", &folder)?;
    // Reading and writing fail for different reasons, so this is no `io::copy`.
    let (mut bytes, mut buffer) = (input::bytes(source)?, vec![0; 64 << 10]);
    loop {
        let read = match bytes.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(source.unreadable(1, None, error, "")),
        };
        unpacked.write_all(&buffer[..read]).doing("write a temporary file in", &folder)?;
    }
    unpacked.rewind().doing("read a temporary file in", &folder)?;
    Ok(unpacked)
}
