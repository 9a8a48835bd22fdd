//! Who works on a stage: a lock that the operating system takes back from a process that dies, and a heartbeat for file systems
//! on which another host's locks are not seen.
//!
//! On a file system that shares locks between hosts (a local disk, NFS) the lock alone decides. Where hosts do not see each other's
//! locks, the file says whose it is, and its time says when the owner was last alive: the owner touches it every few seconds.

use crate::error::{Doing, Error, Result};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

/// How often an owner says that it lives.
const BEAT: Duration = Duration::from_secs(10);
/// An owner on another host that was not heard of for so long is dead.
const DEAD_AFTER: Duration = Duration::from_secs(90);

/// Whose process works on a stage.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worker {
    /// Name of the host.
    pub host: String,
    /// Process on that host.
    pub pid: u32,
}

impl Worker {
    /// This process.
    pub fn this() -> Self {
        Worker { host: gethostname::gethostname().to_string_lossy().into_owned(), pid: std::process::id() }
    }
}

/// A stage held by this process, until dropped.
pub struct Lock {
    file: File,
    heart: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Lock {
    /// Takes the lock at `path` unless a process that lives has it.
    pub(super) fn take(path: &Path) -> Result<Option<Lock>> {
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let mut file = open.doing("open", path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(source)) => {
                return Err(Error::Io { what: format!("cannot lock {}", path.display()), source });
            }
        }
        if lives_elsewhere(&mut file, path) {
            return Ok(None);
        }
        let owner = serde_json::to_vec(&Worker::this()).map_err(Error::other)?;
        file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(&owner)).doing("write", path)?;
        Ok(Some(Lock { heart: heart(&file), file }))
    }

    /// Whether a process that lives has the lock at `path`. Nothing is taken or written.
    pub(super) fn is_held(path: &Path) -> bool {
        let Ok(mut file) = File::open(path) else { return false };
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => true,
            _ => lives_elsewhere(&mut file, path),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Some((stop, heart)) = self.heart.take() {
            drop(stop);
            let _ = heart.join();
        }
        // Nobody owns it any more: a host that does not see our locks need not wait for our heart.
        let _ = self.file.set_len(0);
    }
}

/// Touches the file every few seconds until the sender is dropped. A file system that knows no times leaves the lock alone to decide.
fn heart(file: &File) -> Option<(Sender<()>, JoinHandle<()>)> {
    let file = file.try_clone().ok()?;
    let (stop, stopped) = channel::<()>();
    let beat = move || {
        while stopped.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) {
            let _ = file.set_modified(SystemTime::now());
        }
    };
    Some((stop, std::thread::spawn(beat)))
}

/// Whether the file, which this process could lock, names an owner on another host whose heart was heard lately.
fn lives_elsewhere(file: &mut File, path: &Path) -> bool {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.read_to_string(&mut text));
    let Some(owner) = read.ok().and_then(|_| serde_json::from_str::<Worker>(&text).ok()) else { return false };
    // The lock of a process of this host is gone with the process.
    owner.host != Worker::this().host && age(file, path).is_some_and(|age| age < DEAD_AFTER)
}

/// How long ago the file was touched, by the clock of the file system that it lies on: hosts' clocks may differ.
fn age(file: &File, path: &Path) -> Option<Duration> {
    let touched = file.metadata().and_then(|metadata| metadata.modified()).ok()?;
    let now = now_there(path).unwrap_or_else(SystemTime::now);
    Some(now.duration_since(touched).unwrap_or_default())
}

fn now_there(path: &Path) -> Option<SystemTime> {
    let probe: PathBuf = path.with_file_name(format!(".clock.{}.tmp", std::process::id()));
    let now = fs::write(&probe, b"now").and_then(|()| fs::metadata(&probe)).and_then(|metadata| metadata.modified());
    let _ = fs::remove_file(&probe);
    now.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lock");
        (folder, path)
    }

    fn owned_elsewhere(path: &Path, seconds_ago: u64) {
        let owner = Worker { host: "another-host.example".to_owned(), pid: 7 };
        fs::write(path, serde_json::to_vec(&owner).expect("json")).expect("written");
        let touched = SystemTime::now() - Duration::from_secs(seconds_ago);
        OpenOptions::new().write(true).open(path).and_then(|file| file.set_modified(touched)).expect("touched");
    }

    #[test]
    fn one_process_has_it_until_it_lets_go() {
        let (_folder, path) = path();
        assert!(!Lock::is_held(&path));
        let lock = Lock::take(&path).expect("no error").expect("free");
        assert!(Lock::is_held(&path));
        assert!(Lock::take(&path).expect("no error").is_none());
        drop(lock);
        assert!(!Lock::is_held(&path));
        assert!(Lock::take(&path).expect("no error").is_some());
    }

    #[test]
    fn a_host_whose_locks_are_not_seen_keeps_it_while_its_heart_beats() {
        let (_folder, path) = path();
        owned_elsewhere(&path, 5);
        assert!(Lock::is_held(&path));
        assert!(Lock::take(&path).expect("no error").is_none());
    }

    #[test]
    fn a_dead_process_of_another_host_loses_it() {
        let (_folder, path) = path();
        owned_elsewhere(&path, 3600);
        assert!(!Lock::is_held(&path));
        let lock = Lock::take(&path).expect("no error").expect("taken over");
        let owner: Worker = serde_json::from_slice(&fs::read(&path).expect("there")).expect("json");
        assert_eq!(owner, Worker::this());
        drop(lock);
    }

    #[test]
    fn a_dead_process_of_this_host_loses_it_at_once() {
        let (_folder, path) = path();
        // A pid that cannot be: what counts is that the system holds no lock for it.
        let owner = Worker { pid: u32::MAX, ..Worker::this() };
        fs::write(&path, serde_json::to_vec(&owner).expect("json")).expect("written");
        assert!(!Lock::is_held(&path));
        assert!(Lock::take(&path).expect("no error").is_some());
    }

    #[test]
    fn an_unreadable_owner_is_none() {
        let (_folder, path) = path();
        fs::write(&path, "{ half a").expect("written");
        assert!(Lock::take(&path).expect("no error").is_some());
    }
}
