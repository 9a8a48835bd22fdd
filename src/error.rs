//! Every way dpo-lab can fail, as a person reads it, and the exit code it ends with.

use std::path::Path;

/// How a process of dpo-lab ends. A panic is a bug and has no code here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything asked for is done.
    Done = 0,
    /// The environment, or something else that is not the experiment file, failed.
    Failed = 1,
    /// The command line or the experiment file is wrong; nothing was started.
    Usage = 2,
    /// Some stages failed; everything that does not depend on them is done and kept.
    StagesFailed = 100,
    /// Interrupted; finished stages are kept and the same command goes on from there.
    Interrupted = 130,
}

/// An error with a message that says what, where, and what to do: lowercase, no full stop at the end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A mistake in the experiment file or on the command line, already rendered with its source line.
    #[error("{0}")]
    Usage(String),
    /// Data that a person gave is not what it should be: `file:row: what, and what to do`.
    #[error("{0}")]
    Data(String),
    /// Reading or writing failed.
    #[error("{what}: {source}")]
    Io {
        /// The operation and the path, for example `cannot write results/a.csv`.
        what: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// An artifact in the store is not what its manifest says.
    #[error("{0}")]
    Corrupt(String),
    /// Everything else: a diverged run, a device that is not there, a worker that died.
    #[error("{0}")]
    Other(String),
    /// A person pressed Ctrl-C.
    #[error("interrupted; finished stages are kept, and the same command goes on from there")]
    Interrupted,
}

/// The result of nearly everything here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The exit code of a command that ends with this error.
    pub fn exit(&self) -> Exit {
        match self {
            Error::Usage(_) | Error::Data(_) => Exit::Usage,
            Error::Io { .. } | Error::Corrupt(_) | Error::Other(_) => Exit::Failed,
            Error::Interrupted => Exit::Interrupted,
        }
    }

    /// A mistake in row `row` (from 1) of a data file.
    pub fn row(path: &Path, row: usize, what: impl std::fmt::Display) -> Self {
        Error::Data(format!("{}, row {row}: {what}", path.display()))
    }

    /// Anything that has a message of its own.
    pub fn other(what: impl std::fmt::Display) -> Self {
        Error::Other(what.to_string())
    }
}

/// Adds the operation and the path to an I/O error: `read(path).doing("read", path)?`.
pub trait Doing<T> {
    /// `verb` as in "cannot VERB PATH: why".
    fn doing(self, verb: &str, path: &Path) -> Result<T>;
}

impl<T> Doing<T> for std::io::Result<T> {
    fn doing(self, verb: &str, path: &Path) -> Result<T> {
        self.map_err(|source| Error::Io { what: format!("cannot {verb} {}", path.display()), source })
    }
}
