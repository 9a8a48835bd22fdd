//! CSV to standard output, or to a file that appears whole or not at all.

use crate::error::{Doing, Error, Result};
use serde::Serialize;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Where rows go.
pub(super) struct Output {
    writer: csv::Writer<BufWriter<Box<dyn Write>>>,
    file: Option<(NamedTempFile, PathBuf)>,
}

impl Output {
    /// Finds out whether the file can be written before anything is computed.
    pub(super) fn create(path: Option<&Path>) -> Result<Self> {
        let (inner, file): (Box<dyn Write>, _) = match path {
            None => (Box::new(std::io::stdout()), None),
            Some(path) => {
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
                let file = NamedTempFile::new_in(folder).doing("write", path)?;
                (Box::new(file.reopen().doing("write", path)?), Some((file, path.to_owned())))
            }
        };
        Ok(Output { writer: csv::WriterBuilder::new().from_writer(BufWriter::new(inner)), file })
    }

    /// Writes one row, and before the first one the header.
    pub(super) fn row(&mut self, row: &impl Serialize) -> Result<()> {
        quietly(self.writer.serialize(row))
    }

    /// Writes one row of fields.
    pub(super) fn fields(&mut self, fields: &[String]) -> Result<()> {
        quietly(self.writer.write_record(fields))
    }

    /// Writes what is left, and puts the file in its place.
    pub(super) fn finish(mut self) -> Result<()> {
        quietly(self.writer.flush().map_err(csv::Error::from))?;
        let Some((file, path)) = self.file.take() else { return Ok(()) };
        file.as_file().sync_all().doing("write", &path)?;
        file.persist(&path).map_err(|error| error.error).doing("write", &path)?;
        Ok(())
    }
}

/// Nobody reading any more is no failure: `dpo-lab score ... | head`.
fn quietly(result: Result<(), csv::Error>) -> Result<()> {
    match result {
        Err(error) if matches!(error.kind(), csv::ErrorKind::Io(io) if io.kind() == std::io::ErrorKind::BrokenPipe) => Ok(()),
        other => other.map_err(|error| Error::Other(format!("cannot write the rows: {error}"))),
    }
}
