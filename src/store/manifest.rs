//! What an artifact says of itself: what it is, what it was made from, and the digest of each of its files.

use crate::error::{Doing, Error, Result};
use crate::machine::Machine;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// artifact.json
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Stage kind.
    pub kind: String,
    /// What people call the stage.
    pub label: String,
    /// Everything that is part of the key.
    pub parameters: Value,
    /// Role and key of every input.
    pub inputs: BTreeMap<String, super::Key>,
    /// Every file but this one, by its path in the folder.
    pub files: BTreeMap<String, FileRecord>,
    /// Whether weights were removed, by a rule of its study, after it was published.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub thinned: bool,
    /// How it was made; not part of the key.
    pub record: Record,
}

/// Size and digest of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Size in bytes.
    pub bytes: u64,
    /// BLAKE3 digest, hexadecimal.
    pub blake3: String,
}

/// How an artifact was made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Wall-clock seconds.
    pub seconds: f64,
    /// Tokens trained on, where the stage trains.
    pub tokens: Option<u64>,
    /// The device, in words.
    pub device: String,
    /// Version of dpo-lab.
    pub version: String,
    /// Commit that dpo-lab was built from, with `+` where files had been changed; nothing outside a repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Digest of the Cargo.lock that dpo-lab was built with; the store keeps the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<String>,
    /// The machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<Machine>,
    /// Threads that the stage had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threads: Option<usize>,
    /// Seconds since 1970 when it was finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<f64>,
    /// The greatest memory of its process, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_memory: Option<u64>,
    /// Energy that the processors took meanwhile, whoever used them, in joules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub energy: Option<f64>,
    /// Floating-point operations, as planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flops: Option<f64>,
}

impl FileRecord {
    /// Reads a file and digests it.
    pub fn of(path: &Path) -> Result<Self> {
        let mut hasher = blake3::Hasher::new();
        let mut file = fs::File::open(path).doing("read", path)?;
        let bytes = std::io::copy(&mut file, &mut hasher).doing("read", path)?;
        Ok(FileRecord { bytes, blake3: hasher.finalize().to_hex().to_string() })
    }
}

impl Manifest {
    /// Reads artifact.json.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).doing("read", path)?;
        serde_json::from_str(&text).map_err(|error| Error::Corrupt(format!("{} is damaged: {error}", path.display())))
    }

    /// Compares every file with its digest.
    pub fn check(&self, folder: &Path) -> Result<()> {
        for (name, wanted) in &self.files {
            let path = folder.join(name);
            let found = FileRecord::of(&path).map_err(|error| Error::Corrupt(error.to_string()))?;
            if found != *wanted {
                return Err(Error::Corrupt(format!("{} does not have the digest it was published with", path.display())));
            }
        }
        Ok(())
    }
}
