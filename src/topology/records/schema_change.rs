//! DDL on its way to a keyspace's shards.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Record;
use crate::model::ShardName;

/// Statements that not all shards have run yet. There is none where all have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaChange {
    /// The statements in order.
    pub statements: Vec<String>,
    /// How far each shard is.
    pub shards: BTreeMap<ShardName, ShardProgress>,
}

/// How far a shard is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardProgress {
    /// The statements it has run.
    pub done: usize,
    /// That the next statement was sent, while it is not known what became of it.
    #[serde(default)]
    pub sent: Option<Sent>,
    /// That it was sent by an earlier release, which has noted nothing that would tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
}

/// A statement on its way to a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// What stands in the comment before it, and before no other.
    pub uid: Uuid,
    /// What the server had executed before; `None` where it would not log the statement under a GTID.
    pub after: Option<String>,
}

impl Record for SchemaChange {
    const KIND: &'static str = "schema change";
    /// 2: what became of a statement is sought in the binlog; an earlier release would run it again.
    const VERSION: u32 = 2;
}
