//! The cluster's shared state: what is declared, what is moving, who owns what.
//!
//! [`Topology`] speaks in records and paths; a [`store::Store`] behind it in keys and bytes. All safety rests on
//! compare-and-swap there: nothing here is cached, and a write says what it was based on.

mod catalog;
pub mod error;
pub mod etcd;
pub mod lease;
mod open;
pub mod owner;
pub mod paths;
pub mod records;
pub mod sqlite;
pub mod store;
pub mod transfer;
pub mod watch;

use std::sync::Arc;
use std::time::Duration;

pub use self::error::TopologyError;
pub use self::lease::Lease;
pub use self::open::default_address;
pub use self::owner::OwnerGuard;
pub use self::paths::{Folder, Path, Paths};
pub use self::records::{Record, RecordError};
pub use self::store::{Compare, Entry, Revision, Store, StoreError, Txn, TxnOutcome};
pub use self::watch::View;
use crate::model::ClusterName;

/// How often an update is tried anew when someone else wrote in between.
const TRIES: u32 = 20;

/// One cluster in one store. Clones share the store.
#[derive(Debug, Clone)]
pub struct Topology {
    store: Arc<dyn Store>,
    paths: Paths,
}

/// A record and the revision that wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned<R> {
    /// The record.
    pub record: R,
    /// The revision, for [`Compare::ModRevision`].
    pub revision: Revision,
}

/// All records of a folder as of one revision, in path order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Records<R> {
    /// The store's revision at the read.
    pub revision: Revision,
    /// The records.
    pub records: Vec<(Path, Versioned<R>)>,
}

impl Topology {
    /// `cluster` in `store`.
    pub fn new(store: Arc<dyn Store>, cluster: &ClusterName) -> Self {
        Self { store, paths: Paths::new(cluster) }
    }

    /// The store below.
    pub fn store(&self) -> &dyn Store {
        self.store.as_ref()
    }

    /// The cluster's keys.
    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// Reads a record.
    pub async fn get<R: Record>(&self, path: &Path) -> Result<Option<Versioned<R>>, TopologyError> {
        let reading = self.store.get(&self.paths.key(path)).await?;
        reading.entry.map(|entry| decode(path, &entry)).transpose()
    }

    /// Reads a record that must be there.
    pub async fn need<R: Record>(&self, path: &Path) -> Result<Versioned<R>, TopologyError> {
        self.get(path).await?.ok_or_else(|| missing::<R>(path))
    }

    /// Reads all records of a folder.
    pub async fn list<R: Record>(&self, folder: &Folder) -> Result<Records<R>, TopologyError> {
        let listing = self.store.list(&self.paths.prefix(folder)).await?;
        let mut records = Vec::with_capacity(listing.entries.len());
        for entry in &listing.entries {
            if let Some(path) = self.paths.path(&entry.key).filter(|path| folder.holds(path)) {
                let record = decode(&path, entry)?;
                records.push((path, record));
            }
        }
        Ok(Records { revision: listing.revision, records })
    }

    /// Applies `txn`, whose keys come from [`Paths`]; see also [`Self::put`] and friends for its parts.
    pub async fn txn(&self, txn: Txn) -> Result<TxnOutcome, TopologyError> {
        Ok(self.store.txn(txn).await?)
    }

    /// `txn` with a record written to `path`.
    pub fn put<R: Record>(&self, txn: Txn, path: &Path, record: &R) -> Result<Txn, TopologyError> {
        Ok(txn.put(self.paths.key(path), record.encode().map_err(record_error(path))?))
    }

    /// `txn` with a record written to `path` that dies with `lease`.
    pub fn put_leased<R: Record>(
        &self,
        txn: Txn,
        path: &Path,
        record: &R,
        lease: &Lease,
    ) -> Result<Txn, TopologyError> {
        Ok(txn.put_leased(self.paths.key(path), record.encode().map_err(record_error(path))?, lease.id()))
    }

    /// `txn` on the condition that `path` was last written by `revision`.
    pub fn unchanged(&self, txn: Txn, path: &Path, revision: Revision) -> Txn {
        txn.when(Compare::ModRevision(self.paths.key(path), revision))
    }

    /// `txn` on the condition that there is nothing at `path`.
    pub fn absent(&self, txn: Txn, path: &Path) -> Txn {
        txn.when(Compare::Absent(self.paths.key(path)))
    }

    /// `txn` on the condition that nothing in `folder` was written after `revision`.
    pub fn none_after(&self, txn: Txn, folder: &Folder, revision: Revision) -> Txn {
        txn.when(Compare::NoneAfter(self.paths.prefix(folder), revision))
    }

    /// `txn` with `path` deleted.
    pub fn delete(&self, txn: Txn, path: &Path) -> Txn {
        txn.delete(self.paths.key(path))
    }

    /// Writes a record where there is none yet.
    pub async fn create<R: Record>(&self, path: &Path, record: &R) -> Result<Revision, TopologyError> {
        let txn = self.put(self.absent(Txn::new(), path), path, record)?;
        match self.store.txn(txn).await? {
            TxnOutcome::Committed { revision } => Ok(revision),
            TxnOutcome::Refused { .. } => Err(TopologyError::Exists { what: format!("{} {}", R::KIND, path.name()) }),
        }
    }

    /// Writes a record where `revision` was the last to write; the new revision.
    pub async fn put_if<R: Record>(
        &self,
        path: &Path,
        record: &R,
        revision: Revision,
    ) -> Result<Revision, TopologyError> {
        let txn = self.put(self.unchanged(Txn::new(), path, revision), path, record)?;
        match self.store.txn(txn).await? {
            TxnOutcome::Committed { revision } => Ok(revision),
            TxnOutcome::Refused { .. } => {
                Err(TopologyError::Contended { what: format!("{} {}", R::KIND, path.name()) })
            }
        }
    }

    /// Reads a record, lets `change` alter it and writes it back if nobody else has meanwhile; else starts over. An error
    /// of `change` ends it. [`StoreError::Ambiguous`] is handed on: whether the change is in must be read.
    pub async fn update<R: Record>(
        &self,
        path: &Path,
        mut change: impl FnMut(&mut R) -> Result<(), TopologyError>,
    ) -> Result<Versioned<R>, TopologyError> {
        for attempt in 0..TRIES {
            let Versioned { mut record, revision } = self.need::<R>(path).await?;
            change(&mut record)?;
            match self.put_if(path, &record, revision).await {
                Ok(revision) => return Ok(Versioned { record, revision }),
                Err(TopologyError::Contended { .. }) => back_off(attempt).await,
                Err(error) => return Err(error),
            }
        }
        Err(TopologyError::Contended { what: format!("{} {}", R::KIND, path.name()) })
    }

    /// Takes a lease of at least `ttl` and keeps it alive.
    pub async fn lease(&self, ttl: Duration) -> Result<Lease, TopologyError> {
        Ok(Lease::take(self.store.clone(), ttl).await?)
    }

    /// Follows everything under `folder`.
    pub fn view(&self, folder: &Folder) -> View {
        View::new(self.paths.clone(), self.store.watch(&self.paths.prefix(folder), None))
    }

    /// Follows the whole cluster.
    pub fn view_all(&self) -> View {
        View::new(self.paths.clone(), self.store.watch(self.paths.root(), None))
    }
}

/// Waits a little before another try, longer and more at random each time.
async fn back_off(attempt: u32) {
    let most = 2u64.saturating_pow(attempt.min(6));
    tokio::time::sleep(Duration::from_millis(rand::random_range(0..=most))).await;
}

fn decode<R: Record>(path: &Path, entry: &Entry) -> Result<Versioned<R>, TopologyError> {
    let record = R::decode(&entry.value).map_err(record_error(path))?;
    Ok(Versioned { record, revision: entry.mod_revision })
}

fn missing<R: Record>(path: &Path) -> TopologyError {
    TopologyError::Missing { what: format!("{} {}", R::KIND, path.name()) }
}

fn record_error(path: &Path) -> impl FnOnce(RecordError) -> TopologyError {
    let path = path.to_string();
    move |source| TopologyError::Record { path, source }
}
