//! results/NAME/slurm.json: which stage is which job. Only what Slurm itself cannot say stands in it: whether a job still
//! lives is asked of squeue, and how a stage ended of the store.

use crate::error::{Doing, Error, Result};
use crate::store::{Key, write_atomically};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// What Slurm calls a job, or one task of a job array.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct JobId {
    /// The number that sbatch gave.
    pub job: u64,
    /// The task's number in its array.
    pub task: Option<u32>,
}

impl fmt::Display for JobId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.task {
            Some(task) => write!(out, "{}_{task}", self.job),
            None => write!(out, "{}", self.job),
        }
    }
}

impl FromStr for JobId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (job, task) = text.split_once('_').map_or((text, None), |(job, task)| (job, Some(task)));
        let wrong = |_| Error::Other(format!("`{text}` is not the number of a Slurm job"));
        Ok(JobId { job: job.parse().map_err(wrong)?, task: task.map(str::parse).transpose().map_err(wrong)? })
    }
}

impl From<JobId> for String {
    fn from(id: JobId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for JobId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

/// The jobs of a study's last submissions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jobs {
    /// The job that draws the report when all others have ended.
    pub report: Option<JobId>,
    /// The job of each stage.
    pub stages: BTreeMap<Key, JobId>,
}

impl Jobs {
    /// Reads the file of a study's folder; no file is no jobs.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                let what = "does not say which jobs are this study's";
                Error::Other(format!("{} {what}: {error}; move it away, and the study is submitted anew", path.display()))
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Jobs::default()),
            Err(error) => Err(error).doing("read", &path),
        }
    }

    /// Writes the file.
    pub fn write(&self, folder: &Path) -> Result<()> {
        write_atomically(&folder.join(FILE), &serde_json::to_vec_pretty(self).map_err(Error::other)?)
    }

    /// Removes the file.
    pub fn forget(folder: &Path) -> Result<()> {
        let path = folder.join(FILE);
        std::fs::remove_file(&path).doing("remove", &path)
    }

    /// Numbers as sbatch gave them, each array once.
    pub fn numbers(&self) -> BTreeSet<u64> {
        self.stages.values().chain(&self.report).map(|id| id.job).collect()
    }
}

const FILE: &str = "slurm.json";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(Jobs::read(folder.path()).expect("no file"), Jobs::default());
        let key = |digit: &str| Key::of(digit);
        let ids = ["12", "13_0", "13_7"].map(|text| text.parse::<JobId>().expect(text));
        let stages = [key("a"), key("b"), key("c")].into_iter().zip(ids).collect();
        let jobs = Jobs { report: Some(JobId { job: 14, task: None }), stages };
        jobs.write(folder.path()).expect("written");
        assert_eq!(Jobs::read(folder.path()).expect("the file"), jobs);
        assert_eq!(jobs.numbers().into_iter().collect::<Vec<_>>(), [12, 13, 14]);
        Jobs::forget(folder.path()).expect("removed");
        assert_eq!(Jobs::read(folder.path()).expect("no file"), Jobs::default());
    }

    #[test]
    fn a_file_that_is_none_of_ours_says_what_to_do() {
        let folder = tempfile::tempdir().expect("a folder");
        for text in ["{", "{\"report\": \"x\", \"stages\": {}}", "{\"report\": null, \"stages\": {\"k\": \"1_\"}}"] {
            std::fs::write(folder.path().join(FILE), text).expect("written");
            let message = Jobs::read(folder.path()).expect_err(text).to_string();
            assert!(message.contains("slurm.json") && message.contains("move it away"), "{message}");
        }
    }
}
