//! Which tables a set of rules is about that cannot be read, so that these can be refused by name and the others served.
//!
//! Invariant: a guess is never too small. Where the tables cannot be told for certain there is no answer, and then no table
//! has a place any more: better nothing is served than one write goes to the side that traffic was switched away from.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::build::Set;
use crate::model::TableName;
use crate::sharding::rules::FromTable;
use crate::topology::store::Entry;
use crate::topology::{Path, Record, paths, records};

/// The tables of an unreadable set: from its text, if that is JSON of a kind, and from the workflow it belongs to, whose
/// tables never change. `known` is the set as it was when it could last be read.
pub(super) fn tables_of(
    path: &Path,
    value: &[u8],
    known: Option<&Set>,
    entries: &BTreeMap<Path, Entry>,
) -> Option<BTreeSet<TableName>> {
    let mut found: Vec<BTreeSet<TableName>> = written(value).into_iter().chain(workflow(path, entries)).collect();
    if let Some(Set::Workflow(moved)) = known {
        found.push(moved.tables.clone());
    }
    if found.is_empty() {
        return None;
    }
    // What the operator writes may change: this is not all there may be, but it must not be missing.
    if let Some(Set::Operator(rules)) = known {
        found.push(rules.iter().map(|rule| rule.from.table.clone()).collect());
    }
    Some(found.into_iter().flatten().collect())
}

/// What a set of another version, or with a mistake in it, says of its tables.
fn written(value: &[u8]) -> Option<BTreeSet<TableName>> {
    let value: Value = serde_json::from_slice(value).ok()?;
    if let Some(tables) = value.get("tables") {
        return tables.as_array()?.iter().map(|table| table.as_str()?.parse().ok()).collect();
    }
    let table = |rule: &Value| {
        let from: &str = rule.get("from_table")?.as_str()?;
        // With a type of tablet that is not known here, the rest still is the table.
        let from: FromTable = from.parse().or_else(|_| from.rsplit_once('@').unwrap_or((from, "")).0.parse()).ok()?;
        Some(from.table)
    };
    value.get("rules")?.as_array()?.iter().map(table).collect()
}

fn workflow(path: &Path, entries: &BTreeMap<Path, Entry>) -> Option<BTreeSet<TableName>> {
    let (keyspace, name) = path.name().split_once('.')?;
    let entry = entries.get(&paths::workflow(&keyspace.parse().ok()?, &name.parse().ok()?))?;
    Some(records::Workflow::decode(&entry.value).ok()?.spec.tables.into_iter().collect())
}
