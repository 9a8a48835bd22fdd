//! File names and patterns of an experiment file as the files they mean.

use std::path::{Path, PathBuf};

use super::read;
use crate::error::{Error, Result};

/// The files that `patterns` name, which are relative to `folder`: names, or globs such as `imdb_*.jsonl.gz`. Sorted,
/// each once. A pattern without a file is an error, since a run on less data than was meant would go unnoticed.
pub fn expand(patterns: &[String], folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for pattern in patterns {
        let literal = folder.join(pattern);
        // A file may have a name with brackets in it, which a glob would not find.
        let found = if literal.is_file() { vec![literal] } else { matches(pattern, folder)? };
        if found.is_empty() {
            return Err(complain(pattern, folder, &hint(pattern, folder)));
        }
        files.extend(found);
    }
    files.sort();
    files.dedup();
    Ok(files)
}

fn complain(pattern: &str, folder: &Path, hint: &str) -> Error {
    Error::Data(format!("no file matches \"{pattern}\" in {}; {hint}", folder.display()))
}

fn matches(pattern: &str, folder: &Path) -> Result<Vec<PathBuf>> {
    let absolute = if Path::new(pattern).is_absolute() || folder.as_os_str().is_empty() {
        pattern.to_string()
    } else {
        let name = folder.to_str().ok_or_else(|| complain(pattern, folder, "rename the folder, its name is not UTF-8"))?;
        format!("{}/{pattern}", glob::Pattern::escape(name))
    };
    let options = glob::MatchOptions { require_literal_leading_dot: true, ..Default::default() };
    let paths = glob::glob_with(&absolute, options)
        .map_err(|e| complain(pattern, folder, &format!("it is not a valid pattern ({}); correct it", e.msg)))?;
    let mut files = Vec::new();
    for path in paths {
        let path = path.map_err(|e| Error::Io { what: format!("cannot read {}", e.path().display()), source: e.into() })?;
        if path.is_file() {
            files.push(path);
        }
    }
    Ok(files)
}

/// What a person can do about a pattern without files: it depends on what is there instead.
fn hint(pattern: &str, folder: &Path) -> String {
    let target = folder.join(pattern);
    if target.is_dir() {
        return format!("it is a folder; write \"{}/*.jsonl.gz\" for the files in it", pattern.trim_end_matches('/'));
    }
    // The folder to look into is the one that the pattern names, where that has no wildcard.
    let near = target.parent().filter(|near| near.is_dir()).unwrap_or(folder);
    let Ok(entries) = std::fs::read_dir(near) else {
        return format!("the folder {} cannot be read; create it, or correct the path", near.display());
    };
    let data = entries.flatten().map(|entry| entry.path()).filter(|path| read::reads(path));
    let mut names: Vec<String> = data.filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect();
    names.sort();
    let more = if names.len() > 5 { ", ..." } else { "" };
    names.truncate(5);
    if names.is_empty() {
        format!("{} has no .jsonl, .json, .csv, .tsv or .parquet files; put the data there, or correct the path", near.display())
    } else {
        format!("correct the name: {} has {}{more}", near.display(), names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn patterns_become_sorted_files_each_once() {
        let folder = TempDir::new().unwrap();
        for name in ["b.csv", "a.csv", "c [1].csv", ".hidden.csv", "x.jsonl"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        std::fs::create_dir(folder.path().join("d.csv")).unwrap();
        let absolute = folder.path().join("b.csv").display().to_string();
        let patterns = ["*.csv", "c [1].csv", "a.csv", "./a.csv", &absolute].map(String::from);
        let wanted = ["a.csv", "b.csv", "c [1].csv"].map(|name| folder.path().join(name));
        assert_eq!(expand(&patterns, folder.path()).unwrap(), wanted);
        // The folder itself is not a pattern.
        let odd = folder.path().join("odd [x]*");
        std::fs::create_dir(&odd).unwrap();
        std::fs::write(odd.join("a.csv"), "").unwrap();
        assert_eq!(expand(&["*.csv".into()], &odd).unwrap(), [odd.join("a.csv")]);
    }

    #[test]
    fn a_pattern_without_files_says_what_is_there() {
        let folder = TempDir::new().unwrap();
        std::fs::create_dir(folder.path().join("empty")).unwrap();
        std::fs::write(folder.path().join("imdb_train.jsonl.gz"), "").unwrap();
        let here = folder.path().display().to_string();
        for (pattern, hint) in [
            ("imbd_*.gz", "correct the name: HERE has imdb_train.jsonl.gz"),
            ("empty", "it is a folder; write \"empty/*.jsonl.gz\" for the files in it"),
            (
                "empty/a.csv",
                "HERE/empty has no .jsonl, .json, .csv, .tsv or .parquet files; put the data there, or correct the path",
            ),
            ("none/a.csv", "correct the name: HERE has imdb_train.jsonl.gz"),
            ("a***", "it is not a valid pattern (wildcards are either regular `*` or recursive `**`); correct it"),
        ] {
            let error = expand(&[pattern.into()], folder.path()).unwrap_err();
            assert!(matches!(error, Error::Data(_)));
            assert_eq!(error.to_string().replace(&here, "HERE"), format!("no file matches \"{pattern}\" in HERE; {hint}"));
        }
        let error = expand(&["a.csv".into()], &folder.path().join("none")).unwrap_err().to_string().replace(&here, "HERE");
        assert_eq!(
            error,
            "no file matches \"a.csv\" in HERE/none; the folder HERE/none cannot be read; create it, or correct the path"
        );
    }
}
