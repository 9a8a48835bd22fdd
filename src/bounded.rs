//! Whole files that somebody else made, read only where they are no larger than such files ever are.

use std::fs::File;
use std::io::{Error, Read, Result};
use std::path::Path;

/// Settings in JSON, lists of shards, templates. The largest have a megabyte or two.
pub const SETTINGS: u64 = 16 << 20;
/// Vocabularies. The largest tokenizer.json has some 35 MB.
pub const VOCABULARY: u64 = 128 << 20;

/// The bytes of a file of at most `most` bytes. Fails where it is larger, or none, such as a pipe or a device behind a link.
pub fn read(path: &Path, most: u64) -> Result<Vec<u8>> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(Error::other("it is no file"));
    }
    let mut bytes = Vec::new();
    // One byte more tells a file that is too large from one that just fits.
    File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(Error::other(format!("it has more than {} MiB, which no such file has; get it again", most >> 20)));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_bound() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        std::fs::write(&path, "1234").unwrap();
        assert_eq!(read(&path, 4).unwrap(), b"1234");
        assert!(read(&path, 3).unwrap_err().to_string().contains("it has more than"));
        assert_eq!(read(&folder.path().join("b.json"), 4).unwrap_err().kind(), std::io::ErrorKind::NotFound);
        assert!(read(folder.path(), 4).unwrap_err().to_string().contains("no file"));
    }

    #[test]
    #[cfg(unix)]
    fn a_link_to_a_device_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        assert!(read(&path, 4).is_err());
    }
}
