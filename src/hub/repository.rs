//! One repository at one revision: its list of files on the hub, and its folders in the cache.

use std::path::{Path, PathBuf};

use hf_hub::api::RepoInfo;
use hf_hub::{Cache, CacheRepo, Repo, RepoType};

use super::client::Failure;
use super::transfer::{Content, fetch};
use super::{Hub, Name, Progress, Snapshot, choose};
use crate::error::{Doing, Error, Result};

/// More than the list of any repository: the largest have some 100,000 files.
const LIST_LIMIT: u64 = 256 << 20;

/// A repository as a person named it, at the revision that is wanted of it.
pub(super) struct Repository<'a> {
    pub hub: &'a Hub,
    pub name: &'a Name,
    pub revision: String,
    pub is_model: bool,
    repo: Repo,
    cache: CacheRepo,
}

/// What the hub says about a repository at a revision.
pub(super) struct Listing {
    /// The commit.
    pub commit: String,
    /// The paths of all files; they come from whoever made the repository.
    pub files: Vec<String>,
}

impl<'a> Repository<'a> {
    /// `revision` may be another than the one of the name.
    pub fn new(hub: &'a Hub, name: &'a Name, is_model: bool, revision: &str) -> Result<Repository<'a>> {
        name.check()?;
        let kind = if is_model { RepoType::Model } else { RepoType::Dataset };
        let repo = Repo::with_revision(name.repository.clone(), kind, revision.to_owned());
        let cache = Cache::new(hub.cache.clone()).repo(repo.clone());
        Ok(Repository { hub, name, revision: revision.to_owned(), is_model, repo, cache })
    }

    /// The repository and its revision in messages.
    pub fn label(&self) -> String {
        format!("hub:{} (revision {})", self.name.repository, self.revision)
    }

    /// The commit that the revision is at now, and its files.
    pub fn list(&self) -> Result<Listing> {
        let client = &self.hub.client;
        let url = format!("{}/api/{}", client.endpoint(), self.repo.api_url());
        let body = client.tries(|| {
            let mut answer = client.get(&url, 0)?;
            answer.body_mut().with_config().limit(LIST_LIMIT).read_to_vec().map_err(|error| Failure::lost(error.to_string()))
        });
        let body = body.map_err(|failure| self.explain(failure, None))?;
        let what = |why: String| {
            let endpoint = client.endpoint();
            Error::other(format!(
                "{}: the answer of {endpoint} is not a list of files: {why}; is HF_ENDPOINT right?",
                self.label()
            ))
        };
        let info: RepoInfo = serde_json::from_slice(&body).map_err(|error| what(error.to_string()))?;
        if !is_commit(&info.sha) {
            return Err(what("it names no commit".to_owned()));
        }
        if is_commit(&self.revision) && !info.sha.eq_ignore_ascii_case(&self.revision) {
            return Err(what(format!("it is about commit {}", info.sha)));
        }
        Ok(Listing { commit: info.sha, files: info.siblings.into_iter().map(|sibling| sibling.rfilename).collect() })
    }

    /// The path of a file's content in the cache, downloaded if it is not there yet.
    pub fn get(&self, commit: &str, file: &str, progress: &mut dyn FnMut(Progress)) -> Result<PathBuf> {
        if !choose::is_safe(file) {
            return Err(Error::Data(format!(
                "{} has a file {file:?}, which leads out of its folder: do not use it",
                self.label()
            )));
        }
        let there = self.cache.pointer_path(commit).join(file);
        if there.is_file() {
            return Ok(there);
        }
        let client = &self.hub.client;
        // The commit instead of the revision, so that all files are of one commit even if somebody pushes meanwhile.
        let url = format!("{}/{}/resolve/{commit}/{}", client.endpoint(), self.repo.url(), escape(file));
        let mut transfer = || {
            let content = client.tries(|| Content::of(&client.head(&url)?))?;
            let blob = self.cache.blob_path(&content.etag);
            let locks = self.hub.cache.join(".locks").join(self.repo.folder_name());
            let lock = locks.join(format!("{}.lock", content.etag));
            fetch(client, &url, file, &content, (&blob, &lock), progress)?;
            Ok(blob)
        };
        transfer().map_err(|failure| self.explain(failure, Some(file)))
    }

    /// Makes the snapshot of a commit out of files that are all in the cache: an interrupted download leaves no snapshot that
    /// looks whole. The reference comes last for the same reason.
    pub fn link(&self, commit: &str, files: &[(String, PathBuf)]) -> Result<Snapshot> {
        let folder = self.cache.pointer_path(commit);
        for (file, blob) in files {
            let path = folder.join(file);
            // What is no file is missing, or a link to a blob that somebody deleted.
            if !path.is_file() {
                put(&path, |path| link(blob, path, file))?;
            }
        }
        if !is_commit(&self.revision) {
            put(&self.reference(), |path| std::fs::write(path, commit))?;
        }
        Ok(Snapshot { folder, revision: commit.to_owned() })
    }

    /// The file that says which commit the revision was at.
    fn reference(&self) -> PathBuf {
        self.hub.cache.join(self.repo.folder_name()).join("refs").join(&self.revision)
    }

    /// The snapshot in the cache that the revision was at when it was downloaded.
    pub fn cached(&self) -> Option<Snapshot> {
        let commit = match std::fs::read_to_string(self.reference()) {
            Ok(commit) => commit.trim().to_owned(),
            Err(_) => self.revision.clone(),
        };
        let folder = self.cache.pointer_path(&commit);
        (is_commit(&commit) && folder.is_dir()).then_some(Snapshot { folder, revision: commit })
    }

    /// What to say where the cache has not got what is needed and the hub may not be asked.
    pub fn missing(&self, what: &str) -> Error {
        let cache = self.hub.cache.display();
        Error::other(format!(
            "{}: {what} not in the cache {cache}, and the hub is not asked (offline, or HF_HUB_OFFLINE is set): download it once \
             with a network, or copy the cache of a machine that has it and set HF_HOME",
            self.label()
        ))
    }
}

/// All files below a folder, as paths relative to it with `/`, sorted.
pub(super) fn files_below(folder: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut open = vec![String::new()];
    while let Some(inside) = open.pop() {
        let here = folder.join(&inside);
        for entry in std::fs::read_dir(&here).doing("read", &here)? {
            let entry = entry.doing("read", &here)?;
            // The hub's file names are UTF-8; whatever else lies here is not of it.
            let Ok(name) = entry.file_name().into_string() else { continue };
            let path = if inside.is_empty() { name } else { format!("{inside}/{name}") };
            // Folders are never links in a snapshot, so this ends; files are links.
            if entry.file_type().doing("read", &here)?.is_dir() {
                open.push(path);
            } else if folder.join(&path).is_file() {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Whether this is the full name of a commit.
fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Puts what `make` makes at a path, at once, in place of what is there: another process may be putting the same there.
fn put(path: &Path, make: impl FnMut(&Path) -> std::io::Result<()>) -> Result<()> {
    let folder = path.parent().unwrap_or(path);
    std::fs::create_dir_all(folder).doing("create", folder)?;
    let made = tempfile::Builder::new().prefix(".").suffix(".tmp").make_in(folder, make).doing("create", path)?;
    made.persist(path).map_err(|error| error.error).doing("create", path)
}

/// The link that a snapshot has to a blob: relative, so that the cache can be moved as a whole.
#[cfg(unix)]
fn link(blob: &Path, path: &Path, file: &str) -> std::io::Result<()> {
    let up = "../".repeat(file.split('/').count() + 1);
    let name = blob.file_name().unwrap_or_default();
    std::os::unix::fs::symlink(PathBuf::from(up).join("blobs").join(name), path)
}

/// Where links need rights that few people have, the snapshot has the file itself.
#[cfg(not(unix))]
fn link(blob: &Path, path: &Path, _file: &str) -> std::io::Result<()> {
    std::fs::hard_link(blob, path).or_else(|_| std::fs::copy(blob, path).map(|_| ()))
}

/// A path of a repository as part of an address.
fn escape(file: &str) -> String {
    let mut text = String::with_capacity(file.len());
    for byte in file.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}
