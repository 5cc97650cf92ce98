//! The contract every topology backend keeps: a small key-value store with revisions, leases and watches.
//!
//! Invariants, checked over all backends by `tests/it/topology.rs`:
//! - One transaction is one revision, and one revision is one batch for every watcher.
//! - A watcher sees every revision that touches its prefix, in order, or a [`WatchEvent::Snapshot`] in their place.
//! - An expired lease takes its keys with it; watchers see them deleted.
//! - Every call ends within [`DEADLINE`] and a little; only [`Watch::next`] waits for as long as nothing happens.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tokio::sync::mpsc;

/// How long one call may take before it is given up.
pub const DEADLINE: Duration = Duration::from_secs(5);
/// Compares one transaction may carry.
pub const MAX_COMPARES: usize = 64;
/// Puts and deletes one transaction may carry.
pub const MAX_WRITES: usize = 4096;
/// Bytes of keys and values one transaction may carry; etcd's default request limit is 1.5 MiB.
pub const MAX_BYTES: usize = 1_500_000;
/// Batches a watch buffers before it stops reading from the store.
pub(super) const WATCH_BUFFER: usize = 64;

/// A point in the store's history. Each committed transaction that changes something raises it by one.
pub type Revision = i64;

/// A lease's name within the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeaseId(pub i64);

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// A stored key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The whole key.
    pub key: String,
    /// Its value.
    pub value: Vec<u8>,
    /// The revision that wrote the value.
    pub mod_revision: Revision,
    /// The lease the key dies with, if any.
    pub lease: Option<LeaseId>,
}

/// One key as of `revision`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The store's revision at the read.
    pub revision: Revision,
    /// The key, if it exists.
    pub entry: Option<Entry>,
}

/// All keys under a prefix as of `revision`, in key order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The store's revision at the read.
    pub revision: Revision,
    /// The keys.
    pub entries: Vec<Entry>,
}

/// What must hold for a transaction to be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compare {
    /// The key exists.
    Exists(String),
    /// The key does not exist.
    Absent(String),
    /// The key exists and was last written by this revision.
    ModRevision(String, Revision),
    /// The key exists and holds these bytes.
    Value(String, Vec<u8>),
    /// No key under the prefix was written after this revision; with revision 0: there is no key under it. A key
    /// deleted since does not count.
    NoneAfter(String, Revision),
}

impl Compare {
    /// The key or prefix looked at.
    pub fn key(&self) -> &str {
        match self {
            Self::Exists(key) | Self::Absent(key) | Self::ModRevision(key, _) => key,
            Self::Value(key, _) | Self::NoneAfter(key, _) => key,
        }
    }
}

/// A key to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// The whole key.
    pub key: String,
    /// Its new value.
    pub value: Vec<u8>,
    /// The lease it dies with; without one the key stays, and a lease it had is detached.
    pub lease: Option<LeaseId>,
}

/// All compares, then all writes, or nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Txn {
    /// All must hold.
    pub compares: Vec<Compare>,
    /// Keys to write.
    pub puts: Vec<Put>,
    /// Keys to delete; one that does not exist is no error.
    pub deletes: Vec<String>,
}

impl Txn {
    /// A transaction that demands and does nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a demand.
    pub fn when(mut self, compare: Compare) -> Self {
        self.compares.push(compare);
        self
    }

    /// Adds a write.
    pub fn put(mut self, key: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.puts.push(Put { key: key.into(), value: value.into(), lease: None });
        self
    }

    /// Adds a write that dies with `lease`.
    pub fn put_leased(mut self, key: impl Into<String>, value: impl Into<Vec<u8>>, lease: LeaseId) -> Self {
        self.puts.push(Put { key: key.into(), value: value.into(), lease: Some(lease) });
        self
    }

    /// Adds a deletion.
    pub fn delete(mut self, key: impl Into<String>) -> Self {
        self.deletes.push(key.into());
        self
    }

    /// Refuses what one of the backends could not do as one change, so that all of them refuse it alike.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let refuse = |why: String| Err(StoreError::Refused { what: "transaction".into(), why });
        let writes = self.puts.len() + self.deletes.len();
        if self.compares.len() > MAX_COMPARES || writes > MAX_WRITES {
            let compares = self.compares.len();
            return refuse(format!(
                "{compares} compares and {writes} writes are more than {MAX_COMPARES} and {MAX_WRITES}"
            ));
        }
        let compared: usize = self.compares.iter().map(|c| c.key().len()).sum();
        let put: usize = self.puts.iter().map(|put| put.key.len() + put.value.len()).sum();
        let bytes = compared + put + self.deletes.iter().map(String::len).sum::<usize>();
        if bytes > MAX_BYTES {
            return refuse(format!("{bytes} bytes are more than {MAX_BYTES}"));
        }
        let mut keys: Vec<&str> = self.puts.iter().map(|put| put.key.as_str()).collect();
        keys.extend(self.deletes.iter().map(String::as_str));
        keys.sort_unstable();
        match keys.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => refuse(format!("key {} is written twice", pair[0])),
            None if keys.first().is_some_and(|key| key.is_empty()) => refuse("a key is empty".into()),
            None => Ok(()),
        }
    }
}

/// What became of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TxnOutcome {
    /// Applied, as this revision (or, had it nothing to change, at it).
    Committed {
        /// The revision.
        revision: Revision,
    },
    /// A compare did not hold; nothing was changed.
    Refused {
        /// The store's revision at the compare.
        revision: Revision,
        /// What each compare's key held, in the order of the compares; `None` also for [`Compare::NoneAfter`].
        found: Vec<Option<Entry>>,
    },
}

/// One key's change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The key was written.
    Put(Entry),
    /// The key was deleted, or its lease expired.
    Delete(String),
}

impl Change {
    /// The key that changed.
    pub fn key(&self) -> &str {
        match self {
            Self::Put(entry) => &entry.key,
            Self::Delete(key) => key,
        }
    }
}

/// What a watch reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchEvent {
    /// Forget what you know of the prefix: this is all there is. Comes first where no revision was given to resume
    /// from, and later whenever changes since the last event can no longer be had one by one.
    Snapshot(Listing),
    /// What one revision changed under the prefix, in key order.
    Changes {
        /// The revision.
        revision: Revision,
        /// Its changes; never empty.
        changes: Vec<Change>,
    },
}

impl WatchEvent {
    /// Groups changes, ordered by revision, into one event each.
    pub(super) fn by_revision(rows: impl IntoIterator<Item = (Revision, Change)>) -> Vec<Self> {
        let mut events: Vec<Self> = Vec::new();
        for (at, change) in rows {
            match events.last_mut() {
                Some(Self::Changes { revision, changes }) if *revision == at => changes.push(change),
                _ => events.push(Self::Changes { revision: at, changes: vec![change] }),
            }
        }
        events
    }
}

/// A running watch. Dropping it ends it.
#[derive(Debug)]
pub struct Watch {
    events: mpsc::Receiver<Result<WatchEvent, StoreError>>,
}

impl Watch {
    pub(super) fn new(events: mpsc::Receiver<Result<WatchEvent, StoreError>>) -> Self {
        Self { events }
    }

    /// The next event. The watch outlives a store that cannot be reached; an error is final (access refused, data
    /// corrupt) and is the last thing it says.
    pub async fn next(&mut self) -> Result<WatchEvent, StoreError> {
        let ended = || StoreError::Unavailable { what: "watch".into(), why: "it has ended; start it anew".into() };
        self.events.recv().await.unwrap_or_else(|| Err(ended()))
    }
}

/// Why a call to the store failed, by what the caller may conclude.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Nothing was changed; trying again later may help.
    #[error("topology store cannot be reached for {what}: {why}; nothing was changed, try again")]
    Unavailable {
        /// The call.
        what: String,
        /// The cause.
        why: String,
    },
    /// The store declined; nothing was changed and trying again does not help.
    #[error("topology store refused {what}: {why}")]
    Refused {
        /// The call.
        what: String,
        /// The cause.
        why: String,
    },
    /// The store, or something in it, is not what it should be.
    #[error("topology store holds something unreadable at {what}: {why}")]
    Corrupt {
        /// The key or file.
        what: String,
        /// The cause.
        why: String,
    },
    /// The transaction may or may not have been applied, now or a little later. Read before concluding anything.
    #[error("topology store gave no answer to {what}: {why}; whether it was applied is unknown until it can be read")]
    Ambiguous {
        /// The call.
        what: String,
        /// The cause.
        why: String,
    },
    /// The lease has expired or was revoked, and its keys are gone or going.
    #[error("lease {0} has expired or was revoked")]
    LeaseGone(LeaseId),
}

/// What a [`Store`] call returns.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// A backend. Futures may be dropped at any await: a transaction already sent may still be applied.
pub trait Store: Send + Sync + fmt::Debug {
    /// Reads one key; sees every transaction committed before the call.
    fn get<'a>(&'a self, key: &'a str) -> Answer<'a, Reading>;

    /// Reads all keys that start with `prefix`, as of one revision, in key order.
    fn list<'a>(&'a self, prefix: &'a str) -> Answer<'a, Listing>;

    /// Applies `txn` if all its compares hold.
    fn txn<'a>(&'a self, txn: Txn) -> Answer<'a, TxnOutcome>;

    /// Reports changes under `prefix` later than revision `after`; without one, a snapshot first.
    fn watch(&self, prefix: &str, after: Option<Revision>) -> Watch;

    /// Grants a lease. The store may lengthen `ttl`; what it granted is returned. Counted from the store's receipt.
    fn grant(&self, ttl: Duration) -> Answer<'_, (LeaseId, Duration)>;

    /// Renews a lease for its whole time to live, counted from the store's receipt.
    fn keep_alive(&self, lease: LeaseId) -> Answer<'_, ()>;

    /// Ends a lease and deletes its keys. One that is gone already is no error.
    fn revoke(&self, lease: LeaseId) -> Answer<'_, ()>;

    /// Forgets the history up to `revision`; a watch that still needs it gets a snapshot. Affects the whole store.
    fn compact(&self, revision: Revision) -> Answer<'_, ()>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_backend_could_not_do_is_refused_for_all() {
        assert!(Txn::new().put("a", "1").delete("b").check().is_ok());
        for bad in [
            Txn::new().put("a", "1").delete("a"),
            Txn::new().put("", "1"),
            Txn::new().put("a", vec![0; MAX_BYTES]),
            (0..=MAX_COMPARES).fold(Txn::new(), |txn, n| txn.when(Compare::Absent(n.to_string()))),
        ] {
            assert!(matches!(bad.check(), Err(StoreError::Refused { .. })));
        }
    }
}
