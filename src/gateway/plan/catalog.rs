//! What is known of a sharded keyspace's tables: where the VSchema has their rows, and their columns as a server has them.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::ColumnKind;
use crate::sharding::KeyType;
use crate::sharding::vschema::{ColumnVindex, KeyspaceSchema, Placement, Table};

/// A table's columns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableColumns {
    /// In the table's order.
    pub columns: Vec<Column>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name in lower case.
    pub name: String,
    /// Its type, if it is one we know.
    pub kind: Option<ColumnKind>,
    /// What vindexes take its values for, if they can.
    pub key: Option<KeyType>,
    /// The weight of a blank, where texts that differ in blanks at the end compare as equal.
    pub blank: Option<Vec<u8>>,
    /// Whether a list of values has to leave it out: it is computed.
    pub generated: bool,
    /// Whether INSERT without a list of columns skips it.
    pub invisible: bool,
    /// Whether it is AUTO_INCREMENT: the server stores a number of its own where it gets none, or 0.
    pub counts: bool,
}

impl TableColumns {
    /// A column by name; case does not matter, as in MySQL.
    pub fn find(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name))
    }
}

/// The tables of a keyspace.
#[derive(Debug, Clone, Copy)]
pub struct Catalog<'a> {
    /// The keyspace's name, for messages.
    pub keyspace: &'a str,
    /// Its VSchema.
    pub schema: &'a KeyspaceSchema,
    /// The columns of those tables that the statement names and that exist, by name.
    pub columns: &'a HashMap<String, Arc<TableColumns>>,
}

/// A table with what vindexes need.
#[derive(Debug, Clone)]
pub struct Known {
    /// Its name.
    pub name: String,
    /// Where its rows are.
    pub rows: Rows,
    /// Its columns.
    pub columns: Arc<TableColumns>,
}

/// Where a table's rows are.
#[derive(Debug, Clone)]
pub enum Rows {
    /// Each on the shard of its keyspace id.
    Spread(Arc<Key>),
    /// All on the shard of this keyspace id.
    Pinned(Vec<u8>),
    /// All on every shard; the table they come from.
    Everywhere(Option<String>),
}

/// The primary vindex of a table with its columns' types.
#[derive(Debug, Clone)]
pub struct Key {
    /// The vindex.
    pub vindex: ColumnVindex,
    /// Its columns' types. `None`: the vindex looks at no value.
    pub types: Vec<Option<KeyType>>,
}

impl Key {
    /// Whether rows with equal values in this column, as MySQL compares them, have equal keyspace ids.
    pub fn is_exact(&self, place: usize) -> bool {
        let function = self.vindex.vindex.function(place);
        match (self.types.get(place), function) {
            (Some(Some(key_type)), Some(function)) => key_type.equals_elsewhere(function).is_none(),
            _ => false,
        }
    }

    /// Whether equal values of the two keys' columns give the same keyspace ids.
    pub fn agrees(&self, other: &Self) -> bool {
        use KeyType::Int;
        let same = |(one, two): (&Option<KeyType>, &Option<KeyType>)| match (one, two) {
            (Some(Int { .. }), Some(Int { .. })) => true,
            (one, two) => one.is_some() && one == two,
        };
        self.vindex.vindex == other.vindex.vindex
            && self.types.iter().zip(&other.types).all(same)
            && (0..self.types.len()).all(|place| self.is_exact(place) && other.is_exact(place))
    }
}

impl Catalog<'_> {
    /// A table by name.
    pub fn table(&self, name: &str) -> Result<Known, String> {
        let keyspace = self.keyspace;
        let Some(table) = self.schema.tables.get(name) else {
            return Err(format!(
                "table {name} is not in the VSchema of keyspace {keyspace}, so that nobody can tell where its rows are; add it \
                 with `shardlift vschema apply {keyspace}`"
            ));
        };
        let columns = self.columns.get(name).cloned().ok_or_else(|| {
            format!("table {name} does not exist on the shards of keyspace {keyspace}; make it with `shardlift schema apply {keyspace}`")
        })?;
        Ok(Known { name: name.to_owned(), rows: rows(name, table, &columns)?, columns })
    }
}

fn rows(name: &str, table: &Table, columns: &TableColumns) -> Result<Rows, String> {
    Ok(match &table.placement {
        Placement::Pinned(id) => Rows::Pinned(id.clone()),
        Placement::Reference { source } => Rows::Everywhere(source.as_ref().map(ToString::to_string)),
        Placement::Unsharded | Placement::Sequence => {
            return Err(format!("table {name} is no table of a sharded keyspace, by its VSchema"));
        }
        Placement::Sharded(vindexes) => {
            let vindex = vindexes.first().ok_or_else(|| format!("table {name} has no vindex"))?.clone();
            let types = (vindex.columns.iter().enumerate()).map(|(place, column)| {
                let found = columns.find(column).ok_or_else(|| {
                    format!("table {name} is sharded by column {column}, by its VSchema, and has no such column")
                })?;
                match (&found.key, vindex.vindex.function(place)) {
                    (_, Some(crate::sharding::vindex::Function::Null)) => Ok(None),
                    (Some(key_type), Some(function)) if key_type.check(function).is_ok() => Ok(Some(key_type.clone())),
                    _ => Err(format!(
                        "table {name} cannot be sharded by column {column}: vindex {} does not take its type",
                        vindex.name
                    )),
                }
            });
            let types = types.collect::<Result<Vec<_>, String>>()?;
            Rows::Spread(Arc::new(Key { vindex, types }))
        }
    })
}
