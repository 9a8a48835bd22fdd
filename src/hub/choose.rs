//! Which files of a repository are the model or the data.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::bounded;
use crate::error::{Doing, Error, Result};

/// The weights of a small model.
pub(super) const WEIGHTS: &str = "model.safetensors";
/// What lists the shards of a large model.
pub(super) const INDEX: &str = "model.safetensors.index.json";

/// What belongs to a model besides its weights, where the repository has it.
pub(super) const SMALL: [&str; 8] = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "vocab.json",
    "merges.txt",
];

/// JSON files that describe a data set and are no rows of it.
const DESCRIPTIONS: [&str; 5] = ["dataset_infos.json", "dataset_info.json", "dataset_dict.json", "state.json", "config.json"];

/// The file with the weights, or the index of the shards; `of` names the repository and the revision.
pub(super) fn weights(files: &[String], of: &str) -> Result<&'static str> {
    let has = |name: &str| files.iter().any(|file| file == name);
    if let Some(found) = [WEIGHTS, INDEX].into_iter().find(|name| has(name)) {
        return Ok(found);
    }
    let other = ["pytorch_model.bin", "pytorch_model.bin.index.json", "consolidated.00.pth"].into_iter().find(|name| has(name));
    Err(Error::Data(match other {
        Some(other) => format!(
            "{of} has its weights only as {other}, which can run code of its own: safetensors weights are needed; choose a \
             repository or a revision with {WEIGHTS}, or convert it and give the folder"
        ),
        None => format!("{of} has neither {WEIGHTS} nor {INDEX}: choose a repository that holds a whole model"),
    }))
}

/// The shards that an index names. Their names come from whoever made the repository and become paths.
pub(super) fn shards(index: &Path, of: &str) -> Result<BTreeSet<String>> {
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let text = bounded::read(index, bounded::SETTINGS).doing("read", index)?;
    let map = serde_json::from_slice::<Index>(&text).map_err(|error| {
        Error::Data(format!("{INDEX} of {of} is not an index of weights: {error}; choose another revision, or tell its authors"))
    })?;
    let names: BTreeSet<String> = map.weight_map.into_values().collect();
    if names.is_empty() {
        return Err(Error::Data(format!("{INDEX} of {of} names no shards: choose another revision, or tell its authors")));
    }
    match names.iter().find(|name| !is_safe(name) || name.contains('/') || !name.ends_with(".safetensors")) {
        None => Ok(names),
        Some(bad) => Err(Error::Data(format!(
            "{INDEX} of {of} names the shard {bad:?}, which is not the plain name of a safetensors file: do not use this repository"
        ))),
    }
}

/// The files with rows: Parquet, or else JSON, JSON Lines and CSV, also packed. Sorted; none where there are none.
pub(super) fn data(files: &[String]) -> Vec<String> {
    let ends = |file: &&String, endings: &[&str]| {
        let file = file.to_ascii_lowercase();
        let file = file.strip_suffix(".gz").or_else(|| file.strip_suffix(".zst")).unwrap_or(&file);
        endings.iter().any(|ending| file.ends_with(ending))
    };
    let visible = |file: &&String| !file.split('/').any(|part| part.starts_with('.'));
    let described = |file: &&String| DESCRIPTIONS.contains(&file.rsplit('/').next().unwrap_or_default());
    let mut chosen: Vec<String> =
        files.iter().filter(visible).filter(|file| file.to_ascii_lowercase().ends_with(".parquet")).cloned().collect();
    if chosen.is_empty() {
        let rows = |file: &&String| ends(file, &[".json", ".jsonl", ".csv"]) && !described(file);
        chosen = files.iter().filter(visible).filter(rows).cloned().collect();
    }
    chosen.sort();
    chosen.dedup();
    chosen
}

/// Whether a path of a repository stays below the folder that it is put in.
pub(super) fn is_safe(file: &str) -> bool {
    !file.contains(['\\', ':'])
        && !file.chars().any(char::is_control)
        && !file.split('/').any(|part| matches!(part, "" | "." | ".."))
}

/// The first data file of a numbered set, `train-00000-of-00003.parquet`, whose set is not whole.
pub(super) fn broken_set(files: &[String]) -> Option<&str> {
    let numbered = |file: &str| {
        let (before, after) = file.rsplit_once("-of-")?;
        let digits = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
        let total: usize = after.get(..digits)?.parse().ok()?;
        let (set, number) = before.rsplit_once('-')?;
        number.parse::<usize>().ok()?;
        Some((set.to_owned(), total))
    };
    let mut there: BTreeMap<(String, usize), usize> = BTreeMap::new();
    for set in files.iter().filter_map(|file| numbered(file)) {
        *there.entry(set).or_default() += 1;
    }
    let broken = |file: &&String| numbered(file).is_some_and(|set| there.get(&set).is_some_and(|count| *count < set.1));
    files.iter().find(broken).map(String::as_str)
}

/// The split that a data file of the hub belongs to, as its path says it: `train` for `data/train-00000-of-00003.parquet`,
/// for `train.jsonl.gz` and for `default/train/0000.parquet`.
pub fn split_of(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let stem = name.split('.').next()?;
    let words: Vec<&str> = stem.split('-').collect();
    let counted = words.iter().position(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit()));
    let split = words.get(..counted.unwrap_or(words.len()))?.join("-");
    if !split.is_empty() {
        return Some(split);
    }
    // The hub's own conversion puts numbered files into a folder for each split.
    Some(path.parent()?.file_name()?.to_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn parquet_comes_before_text_and_descriptions_are_no_rows() {
        let files = ["README.md", "data/train-0.parquet", "train.jsonl", "a/test.PARQUET", ".hidden/b.parquet"];
        assert_eq!(data(&names(&files)), ["a/test.PARQUET", "data/train-0.parquet"]);
        let files = ["b.csv", "a/train.jsonl.gz", "test.json.zst", "dataset_infos.json", "x.py", "c.zip", "d.gz", ".git/e.csv"];
        assert_eq!(data(&names(&files)), ["a/train.jsonl.gz", "b.csv", "test.json.zst"]);
        assert!(data(&names(&["imdb.py", "dataset_infos.json"])).is_empty());
    }

    #[test]
    fn paths_that_leave_the_folder_are_not_safe() {
        for good in ["a", "a/b.parquet", "..a", "a b"] {
            assert!(is_safe(good), "{good}");
        }
        for bad in ["", "/a", "a/", "../a", "a/../b", "a//b", "./a", "a\\b", "C:a", "a\nb", "a\0"] {
            assert!(!is_safe(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_path_says_the_split() {
        for (path, split) in [
            ("data/train-00000-of-00003.parquet", "train"),
            ("plain_text/train_prefs-00000-of-00001-7e11d5f8.parquet", "train_prefs"),
            ("harmless-base/test.jsonl.gz", "test"),
            ("default/partial-train/0000.parquet", "partial-train"),
            ("default/train/0000.parquet", "train"),
        ] {
            assert_eq!(split_of(Path::new(path)).as_deref(), Some(split), "{path}");
        }
        for path in ["", "/", "0.csv", ".."] {
            assert_eq!(split_of(Path::new(path)), None, "{path}");
        }
    }

    #[test]
    fn a_numbered_set_is_whole_or_broken() {
        let whole = names(&["a/train-00000-of-00002.parquet", "a/train-00001-of-00002.parquet", "test.parquet", "x-of-y.csv"]);
        assert_eq!(broken_set(&whole), None);
        assert_eq!(broken_set(&whole[1..]), Some("a/train-00001-of-00002.parquet"));
    }
}
