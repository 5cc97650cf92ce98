//! DDL on its way to a keyspace's shards.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

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
    /// What the tables of the next statement looked like before it was sent, while it is not known what became of it.
    #[serde(default)]
    pub before: Option<String>,
}

impl Record for SchemaChange {
    const KIND: &'static str = "schema change";
    const VERSION: u32 = 1;
}
