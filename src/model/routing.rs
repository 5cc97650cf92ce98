//! Where tables are: routing rules as Vitess writes them, and a workflow's rules in short.
//!
//! Vitess needs nine rules for each table that is on the move; in an etcd record they would not fit for 10,000 tables.
//! So a workflow's rules are stored as [`TableMove`], and `sharding::rules` knows what they stand for.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::names::{KeyspaceName, TableName};
use super::workflow::TabletType;

/// One routing rule, unchecked, with Vitess's names. Vitess's tools read both spellings and write the first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoutingRule {
    /// `table`, `keyspace.table`, each perhaps with `@primary`, `@replica` or `@rdonly`.
    #[serde(alias = "fromTable")]
    pub from_table: String,
    /// `keyspace.table`, once.
    #[serde(alias = "toTables")]
    pub to_tables: Vec<String>,
}

/// Routing rules as a document of Vitess's (`ApplyRoutingRules`, `GetRoutingRules`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleSet {
    /// The rules; their order means nothing.
    pub rules: Vec<RoutingRule>,
}

/// The rules of one workflow that moves tables: whatever name a table is called by, traffic of the types in `switched`
/// goes to the target and of the others to the source. Switching is thus one record written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableMove {
    /// Where the tables come from.
    pub source: KeyspaceName,
    /// Where they go.
    pub target: KeyspaceName,
    /// The tables; the same name on both sides.
    pub tables: BTreeSet<TableName>,
    /// The types of traffic that go to the target.
    pub switched: BTreeSet<TabletType>,
}

impl TableMove {
    /// Where traffic of a type goes.
    pub fn side(&self, tablet_type: TabletType) -> &KeyspaceName {
        if self.switched.contains(&tablet_type) { &self.target } else { &self.source }
    }
}
