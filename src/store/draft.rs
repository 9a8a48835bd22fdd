//! An artifact while it is written: a temporary folder that becomes the artifact by one rename, or leaves no trace.

use super::manifest::{FileRecord, Manifest};
use super::{Key, MANIFEST, Store};
use crate::error::{Doing, Error, Result};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// An artifact that is not published yet.
pub struct Draft {
    store: Store,
    key: Key,
    folder: PathBuf,
    published: bool,
}

impl Draft {
    pub(super) fn begin(store: Store, key: Key, drafts: &Path) -> Result<Self> {
        // The lock on the key means that whatever is here was left by a process that died.
        let folder = drafts.join(key.to_string());
        if folder.exists() {
            fs::remove_dir_all(&folder).doing("remove", &folder)?;
        }
        fs::create_dir_all(&folder).doing("create", &folder)?;
        Ok(Draft { store, key, folder, published: false })
    }

    /// Where the artifact's files are written.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Digests and syncs every file, writes the manifest, and renames the folder into its place.
    pub fn publish(mut self, mut manifest: Manifest) -> Result<()> {
        manifest.files = BTreeMap::new();
        let mut folders = vec![self.folder.clone()];
        let mut index = 0;
        while let Some(current) = folders.get(index).cloned() {
            index += 1;
            for entry in fs::read_dir(&current).doing("read", &current)? {
                let path = entry.doing("read", &current)?.path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let name = path.strip_prefix(&self.folder).unwrap_or(&path).to_string_lossy().into_owned();
                    sync(&path)?;
                    manifest.files.insert(name, FileRecord::of(&path)?);
                }
            }
        }
        let path = self.folder.join(MANIFEST);
        let json = serde_json::to_string_pretty(&manifest).map_err(Error::other)?;
        fs::write(&path, json).doing("write", &path)?;
        sync(&path)?;
        for folder in folders.iter().rev() {
            sync(folder)?;
        }
        let target = self.store.path(&self.key);
        let parent = target.parent().unwrap_or(&target).to_owned();
        fs::create_dir_all(&parent).doing("create", &parent)?;
        if let Err(error) = fs::rename(&self.folder, &target) {
            // Where hosts do not see each other's locks another one may have made the same artifact meanwhile.
            return if target.is_dir() { Ok(()) } else { Err(error).doing("publish", &target) };
        }
        self.published = true;
        sync(&parent)?;
        self.store.remember(&self.key);
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.published {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

fn sync(path: &Path) -> Result<()> {
    fs::File::open(path).and_then(|file| file.sync_all()).doing("sync", path)
}
