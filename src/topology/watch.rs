//! A watch over a cluster in terms of its paths, and a view kept by one.

use std::collections::BTreeMap;

use super::error::TopologyError;
use super::paths::{Path, Paths};
use super::record_error;
use super::records::Record;
use super::store::{Change, Entry, Revision, Watch, WatchEvent};

/// All records under a folder, or of a cluster, as of one revision.
///
/// Invariant: it only ever moves from one revision's state to a later one's: a transaction is seen whole.
#[derive(Debug)]
pub struct View {
    paths: Paths,
    watch: Watch,
    revision: Revision,
    entries: BTreeMap<Path, Entry>,
}

impl View {
    pub(super) fn new(paths: Paths, watch: Watch) -> Self {
        Self { paths, watch, revision: 0, entries: BTreeMap::new() }
    }

    /// Waits for the next revision that changes something here, applies it, and returns the paths it touched. The first
    /// call returns the state at hand.
    pub async fn changed(&mut self) -> Result<Vec<Path>, TopologyError> {
        match self.watch.next().await? {
            WatchEvent::Snapshot(listing) => Ok(self.replace(listing.revision, listing.entries)),
            WatchEvent::Changes { revision, changes } => {
                self.revision = revision;
                Ok(changes.into_iter().filter_map(|change| self.apply(change)).collect())
            }
        }
    }

    fn apply(&mut self, change: Change) -> Option<Path> {
        let path = self.paths.path(change.key())?;
        match change {
            Change::Put(entry) => drop(self.entries.insert(path.clone(), entry)),
            Change::Delete(_) => drop(self.entries.remove(&path)),
        }
        Some(path)
    }

    fn replace(&mut self, revision: Revision, entries: Vec<Entry>) -> Vec<Path> {
        self.revision = revision;
        let new: BTreeMap<Path, Entry> =
            entries.into_iter().filter_map(|entry| Some((self.paths.path(&entry.key)?, entry))).collect();
        let old = std::mem::replace(&mut self.entries, new);
        let gone = old.keys().filter(|path| !self.entries.contains_key(path));
        let changed = self.entries.iter().filter(|(path, entry)| old.get(path) != Some(entry)).map(|(path, _)| path);
        gone.chain(changed).cloned().collect()
    }

    /// The revision the view shows; 0 before the first [`Self::changed`].
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Everything in it.
    pub fn entries(&self) -> &BTreeMap<Path, Entry> {
        &self.entries
    }

    /// One record.
    pub fn get<R: Record>(&self, path: &Path) -> Result<Option<R>, TopologyError> {
        self.entries.get(path).map(|entry| R::decode(&entry.value).map_err(record_error(path))).transpose()
    }
}
