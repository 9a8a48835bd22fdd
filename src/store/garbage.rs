//! What the store can do without: artifacts that nobody's plan names, traces of work that led to nothing, and weights that a
//! study does not want to keep.

use super::manifest::Manifest;
use super::{Key, MANIFEST, Store, write_atomically};
use crate::error::{Doing, Error, Result};
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A file or folder of the store that is not needed.
#[derive(Clone, Debug)]
pub struct Garbage {
    /// What people know it by.
    pub what: String,
    /// Bytes on disk.
    pub bytes: u64,
    paths: Vec<PathBuf>,
}

impl Store {
    /// Everything that these keys do not need and nobody works on.
    pub fn garbage(&self, used: &HashSet<Key>) -> Vec<Garbage> {
        let unused = |key: &Key| !used.contains(key) && !self.work(key).is_held();
        let artifacts = self.keys().into_iter().filter(unused).map(|key| {
            let label = self.manifest(&key).map(|manifest| manifest.label).unwrap_or_default();
            let work = self.root.join("work").join(key.to_string());
            Garbage::of(format!("{}  {label}", key.short()), vec![self.path(&key), work, self.stat_path(&key)])
        });
        let mut garbage: Vec<Garbage> = artifacts.collect();
        for (folder, what) in [("work", "work that was not finished"), ("drafts", "a draft"), ("aside", "set aside")] {
            let names = fs::read_dir(self.root.join(folder)).into_iter().flatten().flatten();
            for name in names.filter_map(|entry| entry.file_name().into_string().ok()) {
                let Ok(key) = Key::parse(name.split('.').next().unwrap_or_default()) else { continue };
                // What was set aside is there to be looked at, and needed by no plan. Work of a known key is its status and log.
                let needed = folder != "aside" && (used.contains(&key) || self.path(&key).exists());
                if !needed && !self.work(&key).is_held() {
                    garbage.push(Garbage::of(format!("{}  {what}", key.short()), vec![self.root.join(folder).join(name)]));
                }
            }
        }
        garbage
    }

    /// Removes what [`garbage`](Self::garbage) found. An artifact goes by one rename first, so that none is ever half there.
    pub fn remove(&self, garbage: &Garbage) -> Result<()> {
        for (number, path) in garbage.paths.iter().enumerate() {
            let doomed = self.root.join(format!("doomed.{}.{number}", std::process::id()));
            match fs::rename(path, &doomed) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                renamed => renamed.doing("remove", path)?,
            }
            let removed = if doomed.is_dir() { fs::remove_dir_all(&doomed) } else { fs::remove_file(&doomed) };
            removed.doing("remove", &doomed)?;
        }
        Ok(())
    }

    /// Removes those files of an artifact that `is_weight` names; the rest stays what it is. Returns the bytes that were freed.
    pub fn thin(&self, key: &Key, is_weight: impl Fn(&str) -> bool) -> Result<u64> {
        let folder = self.path(key);
        let path = folder.join(MANIFEST);
        let mut manifest = Manifest::read(&path)?;
        let doomed: Vec<String> = manifest.files.keys().filter(|name| is_weight(name)).cloned().collect();
        if doomed.is_empty() {
            return Ok(0);
        }
        let freed = doomed.iter().filter_map(|name| manifest.files.remove(name)).map(|record| record.bytes).sum();
        manifest.thinned = true;
        // The manifest first: files that it does not name are no part of the artifact, whether they are still there or not.
        write_atomically(&path, serde_json::to_string_pretty(&manifest).map_err(Error::other)?.as_bytes())?;
        for name in &doomed {
            let file = folder.join(name);
            fs::remove_file(&file).doing("remove", &file)?;
            // A folder that held nothing else goes, too.
            let _ = file.parent().filter(|parent| *parent != folder).map(fs::remove_dir);
        }
        self.remember(key);
        Ok(freed)
    }

    /// Whether an artifact is there without its weights.
    pub fn is_thinned(&self, key: &Key) -> bool {
        self.manifest(key).is_some_and(|manifest| manifest.thinned)
    }
}

impl Garbage {
    fn of(what: String, paths: Vec<PathBuf>) -> Self {
        Garbage { what, bytes: paths.iter().map(|path| size(path)).sum(), paths }
    }
}

/// Bytes of a file or of everything in a folder; links count for themselves and are not followed.
pub fn size(path: &Path) -> u64 {
    let Ok(metadata) = fs::symlink_metadata(path) else { return 0 };
    if !metadata.is_dir() {
        return metadata.len();
    }
    fs::read_dir(path).into_iter().flatten().flatten().map(|entry| size(&entry.path())).sum()
}
