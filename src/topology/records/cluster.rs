//! What an operator declares: cells, keyspaces, shards, tablets.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Record;
use crate::model::workflow::TabletType;
use crate::model::{CredentialName, DatabaseName, KeyspaceName, ShardName, TabletAlias};
use crate::mysql::endpoint::Endpoint;

/// A cell. Its name is all there is to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CellRecord {}

impl Record for CellRecord {
    const KIND: &'static str = "cell";
    const VERSION: u32 = 1;
}

/// A keyspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keyspace {
    /// The MySQL schema its tablets hold it in, unless a tablet says otherwise.
    pub database: DatabaseName,
}

impl Record for Keyspace {
    const KIND: &'static str = "keyspace";
    const VERSION: u32 = 1;
}

/// A shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// The tablet that takes its writes.
    pub primary: Option<TabletAlias>,
    /// Raised with every change of the primary, so that a change to another and back is seen.
    pub term: u64,
    /// When the primary became that, seconds since the Unix epoch, where known.
    #[serde(default)]
    pub primary_since: Option<u64>,
    /// The types this shard serves. Empty for one that a reshard has yet to fill, or has emptied: at any time the serving
    /// shards of a keyspace do not overlap in any type.
    pub serving: BTreeSet<TabletType>,
}

impl Record for Shard {
    const KIND: &'static str = "shard";
    const VERSION: u32 = 1;
}

/// A tablet: one MySQL schema on one server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tablet {
    /// The keyspace it belongs to.
    pub keyspace: KeyspaceName,
    /// The shard it belongs to.
    pub shard: ShardName,
    /// What it serves. PRIMARY if and only if its shard names it as the primary.
    #[serde(rename = "type")]
    pub tablet_type: TabletType,
    /// The server.
    pub endpoint: Endpoint,
    /// The schema on that server.
    pub database: DatabaseName,
    /// The credential to log in with, by name.
    pub credential: CredentialName,
}

impl Record for Tablet {
    const KIND: &'static str = "tablet";
    const VERSION: u32 = 1;
}
