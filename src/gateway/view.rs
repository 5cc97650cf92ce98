//! The cluster as the gateway sees it: immutable, whole as of one revision, swapped at once.
//!
//! Invariants:
//! - A View shows one revision of the topology: what a switch changes in one transaction is never seen half.
//! - What cannot be read is in it by name, with the reason, and refused; the rest goes on being served.
//! - While the topology cannot be reached the last View stands; [`follow`] tells how long ago it was last heard of.

mod build;
mod follow;
mod pauses;
mod unreadable;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

pub use self::build::Builder;
pub use self::follow::follow;
pub use self::pauses::Pause;
use crate::model::workflow::TabletType;
use crate::model::{KeyspaceName, ShardName, TabletAlias};
use crate::sharding::vschema::{KeyspaceSchema, TableRef, find_sequence};
use crate::sharding::{RoutingRules, ShardMap};
use crate::topology::records;
use crate::topology::store::Revision;

/// The schemas every MySQL server has. They are no keyspaces and can be asked through any tablet.
pub const SYSTEM_SCHEMAS: [&str; 4] = ["information_schema", "mysql", "performance_schema", "sys"];

/// Whether this is one of [`SYSTEM_SCHEMAS`], in any case.
pub fn is_system_schema(database: &str) -> bool {
    SYSTEM_SCHEMAS.iter().any(|schema| schema.eq_ignore_ascii_case(database))
}

/// The cluster as of one revision.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// The revision it shows; 0 before the first.
    pub revision: Revision,
    /// When it was built; `None` for the one that stands before the topology has answered.
    pub since: Option<SystemTime>,
    /// By name.
    pub keyspaces: BTreeMap<String, Keyspace>,
    /// The tablets that are no primaries; looked up for every statement.
    pub replicas: BTreeSet<TabletAlias>,
    /// Where tables are sought. The same from View to View for as long as no rule changes.
    pub rules: Arc<RoutingRules>,
    /// What is being switched now.
    pub pauses: Vec<Arc<Pause>>,
    /// Whether any keyspace's rows are spread over shards.
    pub spreads: bool,
}

/// A keyspace with its shards.
#[derive(Debug, Clone)]
pub struct Keyspace {
    /// Its name.
    pub name: KeyspaceName,
    /// In the order of their names.
    pub shards: Vec<Shard>,
    /// How its tables are spread over the shards, where it has a VSchema.
    pub vschema: Option<Arc<KeyspaceSchema>>,
    /// For each type that several shards serve (or one whose rows sequences number), which of them has which keyspace ids, or why that cannot be told.
    pub spread: BTreeMap<TabletType, Result<ShardMap, String>>,
    /// Why its record, its VSchema's or one of its shards' cannot be read; nothing is sent to it then.
    pub unreadable: Option<String>,
}

/// A shard with its tablets.
#[derive(Debug, Clone)]
pub struct Shard {
    /// Its keyspace.
    pub keyspace: KeyspaceName,
    /// Its name.
    pub name: ShardName,
    /// The tablet that takes its writes, as the shard's record names it; it may be missing in `tablets`.
    pub primary: Option<TabletAlias>,
    /// Raised with every change of the primary.
    pub term: u64,
    /// When the primary became that, seconds since the Unix epoch, if known.
    pub primary_since: Option<u64>,
    /// The types it serves.
    pub serving: BTreeSet<TabletType>,
    /// In the order of their aliases.
    pub tablets: Vec<Arc<Tablet>>,
}

/// A tablet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tablet {
    /// Its name.
    pub alias: TabletAlias,
    /// What the topology says of it.
    pub record: records::Tablet,
}

/// What serves a whole keyspace for one type.
#[derive(Debug, Clone)]
pub enum Serving<'a> {
    /// One shard with every row: the keyspace is unsharded.
    Whole(&'a Shard),
    /// Several shards with a part each.
    Sharded(Vec<&'a Shard>),
    /// No shard serves this type.
    Nothing,
}

impl View {
    /// Whether it shows a topology at all yet.
    pub fn is_known(&self) -> bool {
        self.since.is_some()
    }

    /// The keyspace of a sequence that a VSchema names.
    pub fn find_sequence(&self, sequence: &TableRef) -> Result<KeyspaceName, String> {
        let schemas =
            self.keyspaces.values().filter_map(|keyspace| Some((&keyspace.name, &**keyspace.vschema.as_ref()?)));
        find_sequence(schemas, sequence)
    }

    /// A keyspace by name.
    pub fn keyspace(&self, name: &str) -> Option<&Keyspace> {
        self.keyspaces.get(name)
    }

    /// All shards.
    pub fn shards(&self) -> impl Iterator<Item = &Shard> {
        self.keyspaces.values().flat_map(|keyspace| &keyspace.shards)
    }

    /// All tablets that belong to a shard, each with it.
    pub fn tablets(&self) -> impl Iterator<Item = (&Shard, &Arc<Tablet>)> {
        self.shards().flat_map(|shard| shard.tablets.iter().map(move |tablet| (shard, tablet)))
    }
}

impl Keyspace {
    /// A shard by name.
    pub fn shard(&self, name: &ShardName) -> Option<&Shard> {
        self.shards.iter().find(|shard| shard.name == *name)
    }

    /// The shards' names, for a message.
    pub fn shard_names(&self) -> String {
        let names: Vec<&str> = self.shards.iter().map(|shard| shard.name.as_str()).collect();
        if names.is_empty() { "none".into() } else { names.join(", ") }
    }

    /// What serves a type. One shard that does not cover everything is still a sharded keyspace.
    pub fn serving(&self, tablet_type: TabletType) -> Serving<'_> {
        let serving: Vec<&Shard> = self.shards.iter().filter(|shard| shard.serving.contains(&tablet_type)).collect();
        match serving.as_slice() {
            [] => Serving::Nothing,
            [one] if one.name.range().is_full() => Serving::Whole(one),
            _ => Serving::Sharded(serving),
        }
    }

    /// Whether its rows are spread over shards.
    pub fn is_sharded(&self) -> bool {
        matches!(self.serving(TabletType::Primary), Serving::Sharded(_))
    }
}

impl Shard {
    /// The primary, if its record is there.
    pub fn primary(&self) -> Option<&Arc<Tablet>> {
        let alias = self.primary.as_ref()?;
        self.tablets.iter().find(|tablet| tablet.alias == *alias)
    }

    /// What a tablet of this shard serves as. The shard's word counts: its record and the tablet's are written together,
    /// but only the shard's is compared when traffic switches.
    pub fn type_of(&self, tablet: &Tablet) -> TabletType {
        match tablet.record.tablet_type {
            _ if self.primary.as_ref() == Some(&tablet.alias) => TabletType::Primary,
            // A primary its shard does not name is none.
            TabletType::Primary | TabletType::Replica => TabletType::Replica,
            TabletType::Rdonly => TabletType::Rdonly,
        }
    }

    /// The tablets of one type.
    pub fn of_type(&self, tablet_type: TabletType) -> impl Iterator<Item = &Arc<Tablet>> {
        self.tablets.iter().filter(move |tablet| self.type_of(tablet) == tablet_type)
    }
}

#[cfg(test)]
pub(in crate::gateway) mod testing;
#[cfg(test)]
mod tests;
