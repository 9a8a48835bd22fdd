//! A Parquet file that is packed as a whole, unpacked: its reader starts at the end and jumps about, which a compressed
//! stream cannot.

use std::fs::File;
use std::io::{self, Read, Seek, Write};

use super::input;
use super::source::{Packing, Source};
use crate::error::{Doing, Error, Result};

/// Parquet is compressed inside, so that an honest file does not grow by more than this.
const MOST_GROWTH: u64 = 100;

/// The file, opened; where it is packed, a temporary copy without a name, gone when it is closed.
pub fn file(source: &Source) -> Result<File> {
    let packed = File::open(source.path).doing("open", source.path)?;
    if source.packing == Packing::Plain {
        return Ok(packed);
    }
    let size = packed.metadata().doing("read", source.path)?.len();
    let most = size.saturating_mul(MOST_GROWTH).max(source.longest);
    let folder = std::env::temp_dir();
    let mut unpacked = tempfile::tempfile().doing("make a temporary file in", &folder)?;
    // Reading and writing fail for different reasons, so this is no `io::copy`.
    let (mut bytes, mut buffer, mut length) = (input::bytes(source)?, vec![0; 64 << 10], 0u64);
    loop {
        let read = match bytes.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(source.unreadable(1, None, error, "")),
        };
        length += read as u64;
        if length > most {
            let what = format!("unpacks to more than {MOST_GROWTH} times its size; unpack it and give the .parquet file itself");
            return Err(Error::Data(format!("{}: {what}", source.path.display())));
        }
        unpacked.write_all(&buffer[..read]).doing("write a temporary file in", &folder)?;
    }
    unpacked.rewind().doing("read a temporary file in", &folder)?;
    Ok(unpacked)
}
