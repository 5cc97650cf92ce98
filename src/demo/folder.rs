//! The folder that holds everything the demo makes.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::DemoError;

/// A folder to remove in the end.
#[derive(Debug)]
pub(super) enum Folder {
    /// Ours, under the system's folder for such; removed even on a panic.
    Temporary(TempDir),
    /// Named by the user; new or empty when we came.
    Named(PathBuf),
}

impl Folder {
    pub(super) fn create(dir: Option<PathBuf>) -> Result<Self, DemoError> {
        let Some(dir) = dir else {
            let made = tempfile::Builder::new().prefix("shardlift-demo-").tempdir();
            return made.map(Self::Temporary).map_err(failed("make a folder in", &std::env::temp_dir()));
        };
        let dir = std::path::absolute(&dir).map_err(failed("resolve", &dir))?;
        fs::create_dir_all(&dir).map_err(failed("create", &dir))?;
        let mut entries = fs::read_dir(&dir).map_err(failed("list", &dir))?;
        if entries.next().is_some() { Err(DemoError::NotEmpty(dir)) } else { Ok(Self::Named(dir)) }
    }

    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Temporary(dir) => dir.path(),
            Self::Named(dir) => dir,
        }
    }

    /// Leaves it where it is.
    pub(super) fn keep(self) {
        if let Self::Temporary(dir) = self {
            let _ = dir.keep();
        }
    }

    /// Removes it with all that is in it.
    pub(super) async fn remove(self) -> Result<(), DemoError> {
        let path = self.path().to_path_buf();
        let removed = tokio::task::spawn_blocking(move || match self {
            Self::Temporary(dir) => dir.close(),
            Self::Named(dir) => fs::remove_dir_all(dir),
        });
        removed.await?.map_err(failed("remove", &path))
    }
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> DemoError {
    let path = path.to_path_buf();
    move |cause| DemoError::Folder { doing, path, cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_folder_in_use_is_refused_and_left_alone() {
        let outer = tempfile::tempdir().unwrap();
        let named = outer.path().join("new");
        Folder::create(Some(named.clone())).unwrap().remove().await.unwrap();
        assert!(!named.exists());
        fs::write(outer.path().join("precious"), "x").unwrap();
        assert!(matches!(Folder::create(Some(outer.path().into())), Err(DemoError::NotEmpty(_))));
        assert!(outer.path().join("precious").exists());
    }
}
