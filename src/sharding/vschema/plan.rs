//! What applying a VSchema would change.

use std::fmt;

use crate::model::VSchema;

/// One difference between two VSchemas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What it is about, e.g. `table customer`.
    pub what: String,
    /// What happens to it.
    pub kind: Kind,
    /// Whether rows that are spread over shards already would be sought where they are not.
    pub moves_rows: bool,
}

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It is new.
    Added,
    /// It goes.
    Removed,
    /// It is different.
    Changed,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.kind {
            Kind::Added => '+',
            Kind::Removed => '-',
            Kind::Changed => '~',
        };
        write!(f, "{sign} {}", self.what)
    }
}

/// The differences from `old` to `new`.
pub fn plan(old: &VSchema, new: &VSchema) -> Vec<Change> {
    let mut changes = Vec::new();
    if old.sharded != new.sharded {
        let what = if new.sharded { "the keyspace becomes sharded" } else { "the keyspace becomes unsharded" };
        changes.push(Change { what: what.into(), kind: Kind::Changed, moves_rows: old.sharded });
    }
    let names = old.vindexes.keys().chain(new.vindexes.keys().filter(|name| !old.vindexes.contains_key(*name)));
    for name in names {
        changes.extend(compare(format!("vindex {name}"), old.vindexes.get(name), new.vindexes.get(name), false));
    }
    let names = old.tables.keys().chain(new.tables.keys().filter(|name| !old.tables.contains_key(*name)));
    for name in names {
        // A table that was not in the VSchema could not be used, or not have its rows spread.
        let both = old.tables.contains_key(name) && new.tables.contains_key(name);
        let moves_rows = old.sharded && both && placement(old, name) != placement(new, name);
        let change = compare(format!("table {name}"), old.tables.get(name), new.tables.get(name), moves_rows);
        // Its vindex may have changed where it has not.
        let unseen = moves_rows && change.is_none();
        let silent = Change { what: format!("table {name}: its vindex"), kind: Kind::Changed, moves_rows: true };
        changes.extend(change.or(unseen.then_some(silent)));
    }
    changes
}

fn compare<T: PartialEq>(what: String, old: Option<&T>, new: Option<&T>, moves_rows: bool) -> Option<Change> {
    let kind = match (old, new) {
        (None, Some(_)) => Kind::Added,
        (Some(_), None) => Kind::Removed,
        (old, new) if old != new => Kind::Changed,
        _ => return None,
    };
    Some(Change { what, kind, moves_rows })
}

/// Whether rows of a table would belong elsewhere by `new` than by `old`, or nobody could tell any more where. An unsharded
/// keyspace has all its tables on its one shard, whether its VSchema names them or not.
pub fn moves(old: &VSchema, new: &VSchema, table: &str) -> bool {
    old.sharded != new.sharded || old.sharded && placement(old, table) != placement(new, table)
}

/// All that decides where a table's rows are.
fn placement(vschema: &VSchema, name: &str) -> impl PartialEq {
    let table = vschema.tables.get(name);
    let primary = table.and_then(|table| table.column_vindexes.first());
    let columns = primary
        .map(|primary| primary.column_names().iter().map(|column| column.to_ascii_lowercase()).collect::<Vec<_>>());
    let vindex = primary.and_then(|primary| vschema.vindexes.get(&primary.name)).cloned();
    (table.map(|table| (table.table_type.clone(), table.pinned.clone())), columns, vindex)
}
