//! From what a person calls a run to the run: its name or the start of it, `STUDY/RUN`, or a path that ends so.

use super::study::read_saved;
use crate::error::{Error, Result};
use crate::report;
use crate::store::Store;
use std::path::{Path, PathBuf};

/// Names that a message lists at most.
const LISTED: usize = 8;

/// A run, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Folder of results.
    pub results: PathBuf,
    /// Name of its study.
    pub study: String,
    /// Its name.
    pub run: String,
}

impl Found {
    /// The study's folder.
    pub(super) fn study_folder(&self) -> PathBuf {
        self.results.join(&self.study)
    }

    /// The store beside its study, where there is one.
    pub(super) fn store(&self) -> Result<Option<Store>> {
        self.results.join(".store").is_dir().then(|| Store::open(&self.results)).transpose()
    }

    fn name(&self) -> String {
        format!("{}/{}", self.study, self.run)
    }
}

/// The one run that `text` says; an error lists those that it may mean, the nearest first.
pub(super) fn find(results: &Path, text: &str) -> Result<Found> {
    let mut parts: Vec<&str> = text.trim_end_matches('/').split('/').collect();
    let wanted = parts.pop().unwrap_or_default();
    if parts.last() == Some(&"runs") {
        parts.pop();
    }
    let study = parts.pop();
    let results = if parts.is_empty() { results.to_owned() } else { PathBuf::from(parts.join("/")) };
    let results = if text.starts_with('/') && parts.len() == 1 { PathBuf::from("/") } else { results };
    let mut runs = runs(&results);
    if let Some(study) = study {
        runs.retain(|found| found.study == study);
    }
    if runs.is_empty() {
        let place = study.map_or_else(|| results.clone(), |study| results.join(study));
        return Err(Error::Usage(format!(
            "error: there are no runs in {}\nhelp: name a folder of results with --results DIR, or start a study with: dpo-lab run FILE",
            place.display()
        )));
    }
    choose(runs, wanted)
}

fn choose(mut runs: Vec<Found>, wanted: &str) -> Result<Found> {
    let exact: Vec<&Found> = runs.iter().filter(|found| found.run == wanted).collect();
    let starting: Vec<&Found> = runs.iter().filter(|found| found.run.starts_with(wanted)).collect();
    let meant: Vec<Found> = if exact.is_empty() { starting } else { exact }.into_iter().cloned().collect();
    if let [one] = &meant[..] {
        return Ok(one.clone());
    }
    let what = if meant.is_empty() {
        format!("no run is called `{wanted}`, and none begins so; the nearest are")
    } else {
        runs = meant;
        format!("`{wanted}` may be any of {} runs", runs.len())
    };
    let distance = |found: &Found| 1.0 - strsim::jaro_winkler(&found.run, wanted);
    runs.sort_by(|a, b| distance(a).total_cmp(&distance(b)).then_with(|| a.name().cmp(&b.name())));
    let mut listed: Vec<String> = runs.iter().take(LISTED).map(|found| format!("  {}", found.name())).collect();
    if runs.len() > LISTED {
        listed.push(format!("  and {} more", runs.len() - LISTED));
    }
    Err(Error::Usage(format!("error: {what}\n{}\nhelp: say STUDY/RUN, or more of the name", listed.join("\n"))))
}

/// Every run of every study in a folder of results, sorted: those of its last plan, or without one those of its runs.csv.
fn runs(results: &Path) -> Vec<Found> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(results).into_iter().flatten().flatten() {
        let (folder, study) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        let names = match read_saved(&folder) {
            Some(saved) => saved.runs,
            None => report::statuses(&folder).into_iter().map(|(run, _)| run).collect(),
        };
        found.extend(names.into_iter().map(|run| Found { results: results.to_owned(), study: study.clone(), run }));
    }
    found.sort_by_key(Found::name);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for (study, names) in
            [("one", ["dpo-beta0.1-seed0-aaaa", "ppo-seed0-bbbb"]), ("two", ["dpo-beta0.1-seed0-aaaa", "sft-seed0-cccc"])]
        {
            std::fs::create_dir(folder.path().join(study)).expect("created");
            let rows = names.map(|name| format!("{name},done\n")).concat();
            std::fs::write(folder.path().join(study).join("runs.csv"), format!("run,status\n{rows}")).expect("written");
        }
        folder
    }

    #[test]
    fn a_run_is_found_by_its_start_its_study_or_a_path() {
        let folder = results();
        let name = |text: &str| find(folder.path(), text).map(|found| found.name()).map_err(|error| error.to_string());
        assert_eq!(name("ppo"), Ok("one/ppo-seed0-bbbb".into()));
        assert_eq!(name("two/dpo"), Ok("two/dpo-beta0.1-seed0-aaaa".into()));
        let elsewhere = |text: &str| find(Path::new("nowhere"), &folder.path().join(text).display().to_string());
        assert_eq!(elsewhere("two/sft").map(|found| found.name()).ok(), Some("two/sft-seed0-cccc".into()));
        assert_eq!(elsewhere("two/runs/sft-seed0-cccc/").map(|found| found.results).ok(), Some(folder.path().to_owned()));
    }

    #[test]
    fn what_may_be_several_runs_or_none_is_an_error_with_the_nearest_first() {
        let folder = results();
        let error = |text: &str| find(folder.path(), text).map(|found| found.name()).expect_err("no run").to_string();
        assert!(error("dpo-beta0.1-seed0-aaaa").contains("2 runs\n  one/dpo-beta0.1-seed0-aaaa\n  two/dpo"));
        assert!(error("ppo-sed0").contains("are\n  one/ppo-seed0-bbbb\n"), "{}", error("ppo-sed0"));
        assert!(error("three/dpo").contains("there are no runs in"));
    }
}
