//! The side that a switch of writes has closed: what it had then, how far it was watched since, and what was seen there.
//!
//! Invariant: as long as it is not [`Broken`], nothing has changed the moved tables there since it was closed but the
//! workflow's own streams; so traffic can be switched to it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::names::{ShardName, TabletAlias};
use super::position::GtidSet;
use super::switch::Direction;

/// The side that takes no writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClosedSide {
    /// The switch that closed it.
    pub by: Uuid,
    /// Which way that went: forward closes the source.
    pub direction: Direction,
    /// Its shards.
    pub shards: BTreeMap<ShardName, ClosedShard>,
    /// What each shard of the other side had executed when it was about to be opened: all that was moved there, settled and
    /// counted. A primary of it that lacks any of that must not take its place. Empty where nothing was waited for.
    #[serde(default)]
    pub opened: BTreeMap<ShardName, GtidSet>,
    /// Why traffic must not be switched to it any more.
    #[serde(default)]
    pub broken: Option<Broken>,
}

/// One of its shards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClosedShard {
    /// The primary whose fence was closed; `None` where that is yet to be done.
    pub primary: Option<TabletAlias>,
    /// Whether the operator has given that server up (`workflow repair --drop-unreachable`): nothing waits for it.
    #[serde(default)]
    pub given_up: bool,
    /// What it had then, the closing included (F of design §5.2): everything that the other side was given.
    pub drained: GtidSet,
    /// Up to where its binlog was looked through since; saved now and then.
    pub watched: GtidSet,
}

/// What has happened on a closed side that must not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Broken {
    /// The first cause, in words, with server, transaction and table.
    pub why: String,
    /// All transactions that were seen to do it.
    pub strangers: GtidSet,
    /// When, seconds since the Unix epoch.
    pub at: u64,
}
