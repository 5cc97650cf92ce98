//! What can go wrong with the topology, above the store.

use super::records::RecordError;
use super::store::StoreError;

/// Why a topology call failed. [`TopologyError::Store`] tells whether trying again helps.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopologyError {
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record could not be read or written.
    #[error("topology record {path}: {source}")]
    Record {
        /// The record's path.
        path: String,
        /// What is wrong with it.
        source: RecordError,
    },
    /// The record is not there.
    #[error("{what} does not exist")]
    Missing {
        /// What was looked for, e.g. "keyspace `commerce`".
        what: String,
    },
    /// The record is there already.
    #[error("{what} exists already")]
    Exists {
        /// What was to be created.
        what: String,
    },
    /// It changed under every one of our tries, or while we looked.
    #[error("{what} was changed by someone else at the same time; look at it and try again")]
    Contended {
        /// What changed.
        what: String,
    },
    /// The change would break something; the text says what and how to go about it.
    #[error("{0}")]
    Refused(String),
    /// We own the workflow no longer; another engine may.
    #[error("this process no longer owns {owner}; another engine may")]
    NotOwner {
        /// The owner key's path.
        owner: String,
    },
    /// The topology's address is not one.
    #[error("topology address `{address}`: {why}")]
    Address {
        /// The address, without secrets.
        address: String,
        /// What is wrong with it.
        why: String,
    },
}
