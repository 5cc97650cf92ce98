//! The per-user cache: unpacked servers, data directory templates, port locks.
//!
//! Invariant: an entry appears by one rename, so it is complete or absent; whoever makes entries holds the lock.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::LocalError;

/// Another process may be downloading meanwhile; this is how long we watch it.
const LOCK_DEADLINE: Duration = Duration::from_secs(900);
/// Entries in the making are named so; finished ones never start with a dot.
const UNFINISHED: &str = ".making-";
const LOCK_POLL: Duration = Duration::from_millis(100);

/// The folder of everything kept between runs, readable by its owner only.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// Opens `root`, or the user's cache folder (`~/.cache/shardlift`), and creates it if needed.
    pub fn open(root: Option<&Path>) -> Result<Self, LocalError> {
        let root = match root {
            Some(root) => std::path::absolute(root).map_err(LocalError::io("resolve", root))?,
            None => directories::ProjectDirs::from("", "", "shardlift")
                .map(|dirs| dirs.cache_dir().to_path_buf())
                .ok_or(LocalError::NoCache)?,
        };
        private_dir(&root)?;
        Ok(Self { root })
    }

    /// A folder of the cache, created if needed.
    pub(super) fn folder(&self, name: &str) -> Result<PathBuf, LocalError> {
        let path = self.root.join(name);
        private_dir(&path)?;
        Ok(path)
    }

    /// Waits for the lock that makers of `name`'s entries hold. It is released on drop, and by the kernel on any death.
    /// `waiting` is called once if another process holds it.
    pub(super) async fn lock(&self, name: &str, waiting: impl FnOnce()) -> Result<File, LocalError> {
        let path = self.root.join(format!("{name}.lock"));
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(LocalError::io("open", &path))?;
        let mut waiting = Some(waiting);
        let deadline = Instant::now() + LOCK_DEADLINE;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    if let Some(tell) = waiting.take() {
                        tell();
                    }
                    sleep(LOCK_POLL).await;
                }
                Err(TryLockError::WouldBlock) => {
                    let doing = format!("waiting for the process that holds {}", path.display());
                    return Err(LocalError::Timeout { doing, after: LOCK_DEADLINE });
                }
                Err(TryLockError::Error(source)) => return Err(LocalError::Io { doing: "lock", path, source }),
            }
        }
    }
}

/// A folder to make an entry in, gone when dropped. The caller holds the lock, so what others left there is from processes
/// that were killed, and is removed.
pub(super) fn workplace(folder: &Path) -> Result<TempDir, LocalError> {
    let entries = fs::read_dir(folder).map_err(LocalError::io("list", folder))?;
    let is_left = |entry: &fs::DirEntry| entry.file_name().as_encoded_bytes().starts_with(UNFINISHED.as_bytes());
    for left in entries.filter_map(Result::ok).filter(is_left) {
        fs::remove_dir_all(left.path()).map_err(LocalError::io("remove the abandoned", &left.path()))?;
    }
    let place = tempfile::Builder::new().prefix(UNFINISHED).tempdir_in(folder);
    place.map_err(LocalError::io("create a folder in", folder))
}

/// Creates a folder and its parents; what is new is closed to other users, for keys and passwordless templates lie there.
pub(super) fn private_dir(path: &Path) -> Result<(), LocalError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(LocalError::io("create folder", path))
}

/// Writes a file that only its owner may read, from its first byte on.
pub(super) fn write_private(path: &Path, text: &str) -> Result<(), LocalError> {
    let file = File::options().create(true).truncate(true).write(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(LocalError::io("write", path))
}

/// Puts a finished folder in its place. The caller holds the lock, so whatever stands there is a broken older entry.
pub(super) fn publish(finished: &Path, place: &Path) -> Result<(), LocalError> {
    if place.exists() {
        fs::remove_dir_all(place).map_err(LocalError::io("replace", place))?;
    }
    fs::rename(finished, place).map_err(LocalError::io("rename into place", place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn abandoned_work_is_removed_and_entries_are_replaced_whole() {
        let root = tempfile::tempdir().unwrap();
        let folder = Cache::open(Some(root.path())).unwrap().folder("things").unwrap();
        let abandoned = workplace(&folder).unwrap().keep();
        let work = workplace(&folder).unwrap();
        assert!(!abandoned.exists() && work.path().exists());
        fs::create_dir(folder.join("entry")).unwrap();
        fs::write(folder.join("entry/old"), "").unwrap();
        fs::create_dir(work.path().join("new")).unwrap();
        publish(&work.path().join("new"), &folder.join("entry")).unwrap();
        assert!(folder.join("entry").is_dir() && !folder.join("entry/old").exists());
    }
}
