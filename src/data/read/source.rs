//! What a file's name says of how its rows are stored, and what it means when they cannot be read.

use std::io;
use std::path::Path;

use super::input::{MOST_GROWTH, TooLong, TooMuch};
use crate::error::{Error, Result};

/// How rows are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// One JSON object a line.
    JsonLines,
    /// A list of objects, alone or in an object; or JSON lines under the wrong name.
    Json,
    /// Values with this character between them, below a header line.
    Table {
        /// A comma or a tab.
        delimiter: u8,
    },
    /// Apache Parquet.
    Parquet,
}

/// How a whole file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// Not at all.
    Plain,
    /// As `.gz`, also of several members.
    Gzip,
    /// As `.zst`, also of several frames.
    Zstd,
}

/// How the file is stored, by its name in any case.
pub fn of_file(path: &Path) -> Result<(Storage, Packing)> {
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let (plain, packing) = match name.rsplit_once('.') {
        Some((plain, "gz")) => (plain, Packing::Gzip),
        Some((plain, "zst")) => (plain, Packing::Zstd),
        _ => (name.as_str(), Packing::Plain),
    };
    let storage = match plain.rsplit_once('.') {
        Some((_, "jsonl" | "ndjson")) => Storage::JsonLines,
        Some((_, "json")) => Storage::Json,
        Some((_, "csv")) => Storage::Table { delimiter: b',' },
        Some((_, "tsv")) => Storage::Table { delimiter: b'\t' },
        Some((_, "parquet")) => Storage::Parquet,
        _ => {
            let what = "not a format that is read; convert it to .jsonl, .json, .csv, .tsv or .parquet, each also as .gz or .zst";
            return Err(Error::Data(format!("{}: {what}", path.display())));
        }
    };
    Ok((storage, packing))
}

/// The file that is being read, as its readers and their complaints need it.
pub struct Source<'a> {
    /// Where it is.
    pub path: &'a Path,
    /// How it is compressed.
    pub packing: Packing,
    /// The most bytes of one row.
    pub longest: u64,
}

impl Source<'_> {
    /// What is wrong with a row.
    pub fn at(&self, row: usize, line: u64, what: impl std::fmt::Display) -> Error {
        super::at(self.path, row, Some(line), what)
    }

    /// What is wrong with the file as a whole.
    pub fn wrong(&self, what: impl std::fmt::Display) -> Error {
        Error::Data(format!("{}: {what}", self.path.display()))
    }

    /// A row that does not end.
    pub fn too_long(&self, row: usize, line: Option<u64>, what_to_do: &str) -> Error {
        let longest =
            if self.longest >= 1 << 20 { format!("{} MiB", self.longest >> 20) } else { format!("{} bytes", self.longest) };
        super::at(self.path, row, line, format!("longer than {longest}; {what_to_do}"))
    }

    /// A failure to read row `row`: the decompressor's complaints are about the data, all others about the machine.
    pub fn unreadable(&self, row: usize, line: Option<u64>, error: io::Error, too_long: &str) -> Error {
        if error.get_ref().is_some_and(|inner| inner.is::<TooLong>()) {
            return self.too_long(row, line, too_long);
        }
        if error.get_ref().is_some_and(|inner| inner.is::<TooMuch>()) {
            return self.wrong(format!("unpacks to more than {MOST_GROWTH} times its size; unpack it and give the file itself"));
        }
        let packed = match self.packing {
            Packing::Gzip => "gzip",
            Packing::Zstd => "zstd",
            Packing::Plain => return self.io(error),
        };
        if error.raw_os_error().is_some() {
            return self.io(error);
        }
        Error::row(
            self.path,
            row,
            format!("the {packed} data is damaged or ends too early ({error}); copy or download the file again"),
        )
    }

    fn io(&self, source: io::Error) -> Error {
        Error::Io { what: format!("cannot read {}", self.path.display()), source }
    }
}
