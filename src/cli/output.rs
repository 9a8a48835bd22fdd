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
    /// Finds out whether rows can be written before anything is computed. The file that they come from is not written over.
    pub(super) fn create(path: Option<&Path>, input: &Path) -> Result<Self> {
        let (inner, file): (Box<dyn Write>, _) = match path {
            None => (Box::new(std::io::stdout()), None),
            // A pipe or a device is written to, not replaced.
            Some(path) if path.exists() && !path.is_file() => (Box::new(open(path)?), None),
            Some(path) => {
                let path = target(path, input)?;
                let file = draft(&path)?;
                (Box::new(file.reopen().doing("write", &path)?), Some((file, path)))
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

fn open(path: &Path) -> Result<std::fs::File> {
    if path.is_dir() {
        return Err(Error::Usage(format!("error: {} is a folder\nhelp: name a file with --out", path.display())));
    }
    std::fs::OpenOptions::new().write(true).open(path).doing("write", path)
}

/// The file itself where a link is named, which must not be the input.
fn target(path: &Path, input: &Path) -> Result<PathBuf> {
    let Ok(real) = path.canonicalize() else { return Ok(path.to_owned()) };
    if input.canonicalize().is_ok_and(|input| input == real) {
        return Err(Error::Usage(format!(
            "error: {} is where the rows come from\nhelp: name another file with --out",
            path.display()
        )));
    }
    Ok(real)
}

/// A file beside the one that it becomes, with the permissions that any new file gets.
fn draft(path: &Path) -> Result<NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder).map_err(|error| {
        let why = if folder.is_dir() { error.to_string() } else { "the folder is not there".to_owned() };
        Error::Usage(format!("error: cannot write {}: {why}\nhelp: give a folder that can be written with --out", path.display()))
    })
}

/// Nobody reading any more is no failure: `dpo-lab score ... | head`.
fn quietly(result: Result<(), csv::Error>) -> Result<()> {
    match result {
        Err(error) if matches!(error.kind(), csv::ErrorKind::Io(io) if io.kind() == std::io::ErrorKind::BrokenPipe) => Ok(()),
        other => other.map_err(|error| Error::Other(format!("cannot write the rows: {error}"))),
    }
}
