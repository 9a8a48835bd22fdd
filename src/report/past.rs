//! A run as the files of its study's folder tell of it: what `show` and `compare` read. No experiment file is needed.

use super::artifacts::Artifacts;
use super::judged_rows::WinRateRow;
use super::provenance::Provenance;
use super::rows::{BestOfNRow, FrontierRow, OracleRow, PreferencesRow};
use crate::stages::read_csv;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

/// What is written of one run.
#[derive(Clone, Debug, Serialize)]
pub struct PastRun {
    /// Name of the study.
    pub study: String,
    /// Name of the run.
    pub run: String,
    /// How it ended, as runs.csv says; nothing before the first report.
    pub status: Option<String>,
    /// Its rows of frontier.csv.
    pub frontier: Vec<FrontierRow>,
    /// Its rows of best_of_n.csv.
    pub best_of_n: Vec<BestOfNRow>,
    /// Its rows of preferences.csv.
    pub preferences: Vec<PreferencesRow>,
    /// Its rows of winrate.csv.
    pub win_rates: Vec<WinRateRow>,
    /// Its rows of oracle.csv.
    pub oracle: Vec<OracleRow>,
    /// Its artifacts.json, where there is one.
    pub artifacts: Option<Artifacts>,
    /// Its provenance.json, where there is one.
    pub provenance: Option<Provenance>,
    /// The run's own folder.
    #[serde(skip)]
    pub folder: PathBuf,
}

impl PastRun {
    /// Reads what the folder of a study has of a run.
    pub fn read(study_folder: &Path, study: &str, run: &str) -> Self {
        let folder = study_folder.join("runs").join(run);
        let file = |name: &str| study_folder.join(name);
        PastRun {
            study: study.to_owned(),
            run: run.to_owned(),
            status: statuses(study_folder).into_iter().find(|(name, _)| name == run).map(|(_, status)| status),
            frontier: rows(&file("frontier.csv"), |row: &FrontierRow| row.run == run),
            best_of_n: rows(&file("best_of_n.csv"), |row: &BestOfNRow| row.run == run),
            preferences: rows(&file("preferences.csv"), |row: &PreferencesRow| row.run == run),
            win_rates: rows(&file("winrate.csv"), |row: &WinRateRow| row.run == run),
            oracle: rows(&file("oracle.csv"), |row: &OracleRow| row.run == run),
            artifacts: Artifacts::read(&folder),
            provenance: Provenance::read(&folder),
            folder,
        }
    }

    /// `STUDY/RUN`
    pub fn name(&self) -> String {
        format!("{}/{}", self.study, self.run)
    }
}

/// Name and status of every run in runs.csv of a study's folder; none where there is no such file.
pub fn statuses(study_folder: &Path) -> Vec<(String, String)> {
    let reader = csv::Reader::from_path(study_folder.join("runs.csv")).ok();
    let Some(mut reader) = reader else { return Vec::new() };
    let place = |name: &str, reader: &mut csv::Reader<_>| reader.headers().ok()?.iter().position(|header| header == name);
    let (Some(run), Some(status)) = (place("run", &mut reader), place("status", &mut reader)) else { return Vec::new() };
    let cell = |record: &csv::StringRecord, at: usize| record.get(at).unwrap_or_default().to_owned();
    reader.records().flatten().map(|record| (cell(&record, run), cell(&record, status))).collect()
}

fn rows<T: DeserializeOwned>(path: &Path, wanted: impl Fn(&T) -> bool) -> Vec<T> {
    read_csv(path).unwrap_or_default().into_iter().filter(|row| wanted(row)).collect()
}
