//! Whose a row on the target is.

use std::collections::HashMap;
use std::sync::Arc;

use crate::engine::connect::Side;
use crate::engine::error::EngineError;
use crate::mapping::{Home, Mapping};
use crate::model::{Row, ShardName, TableDef, TableName};
use crate::mysql::schema::SourceTable;

/// One of the shards that feed a target.
#[derive(Debug, Clone)]
pub struct SourceShard {
    /// Its name.
    pub name: ShardName,
    /// Where it is read.
    pub side: Side,
}

/// The sources of a stream's targets, where there are several.
#[derive(Debug, Clone)]
pub struct Owners {
    /// All of them.
    pub sources: Vec<SourceShard>,
    /// Which of them this stream reads, counted from 0.
    pub own: usize,
    /// Which rows are whose, by the order of `sources`: by the VSchema of *their* keyspace.
    pub mapping: Mapping,
}

/// Refuses a table of which rows of several sources cannot be told apart in all its unique keys.
pub fn can_be_shared(table: &SourceTable) -> Result<(), EngineError> {
    let Some(key) = table.odd_uniques.first() else { return Ok(()) };
    let why = format!("{}. Drop that key, or move the table by itself", odd_unique(key));
    Err(EngineError::Table { table: table.def.name.clone(), why })
}

/// What is wrong with such a key.
pub fn odd_unique(key: &str) -> String {
    format!(
        "its unique key `{key}` is over a part of a column, an expression or a generated column: whether rows of several \
         source shards collide in it cannot be asked for"
    )
}

/// The source whose stream feeds reference tables, of which each source has all rows.
const FIRST: usize = 0;

impl Owners {
    /// Whether this stream leaves `table` to another: it is a reference table, and one of its sources is enough.
    pub fn leave_out(&self, table: &TableDef) -> Result<bool, EngineError> {
        let mut mapping = self.mapping.clone();
        let sharding = mapping.bind(table)?;
        Ok(self.own != FIRST && sharding.is_empty() && mapping.home(table, |_| None)? == Home::All)
    }
}

/// The same for tables as they are.
#[derive(Debug)]
pub struct Ownership {
    owners: Owners,
    tables: HashMap<TableName, SharedTable>,
}

/// A table that several sources feed.
#[derive(Debug)]
pub struct SharedTable {
    /// As it is written.
    pub def: Arc<TableDef>,
    /// The same once more for each of its other unique keys, with that one as its key.
    pub uniques: Vec<TableDef>,
    /// Indexes into its columns of those whose values say whose a row is.
    pub sharding: Vec<usize>,
}

impl Ownership {
    /// For `tables` as a target has them and `defs` as rows of them are read and written.
    pub fn bind<'a>(
        mut owners: Owners,
        tables: impl IntoIterator<Item = (&'a SourceTable, Arc<TableDef>)>,
    ) -> Result<Self, EngineError> {
        let mut bound = HashMap::new();
        for (table, def) in tables {
            can_be_shared(table)?;
            let sharding = owners.mapping.bind(&def)?;
            let by = |key: &crate::model::Key| TableDef { key: key.clone(), ..TableDef::clone(&def) };
            let uniques = table.uniques.iter().map(by).collect();
            bound.insert(def.name.clone(), SharedTable { def, uniques, sharding });
        }
        Ok(Self { owners, tables: bound })
    }

    /// All sources.
    pub fn sources(&self) -> &[SourceShard] {
        &self.owners.sources
    }

    /// The stream's own among them.
    pub fn own(&self) -> usize {
        self.owners.own
    }

    /// All tables.
    pub fn tables(&self) -> impl Iterator<Item = &SharedTable> {
        self.tables.values()
    }

    /// A table.
    pub fn table(&self, name: &TableName) -> Result<&SharedTable, EngineError> {
        let missing = EngineError::Sidecar("a table of several sources that is not known");
        self.tables.get(name).ok_or(missing)
    }

    /// Whose a row of `table` is by the values of its sharding columns, `value(i)` that of the i-th.
    pub fn owner<'a>(
        &self,
        table: &SharedTable,
        value: impl Fn(usize) -> Option<&'a [u8]>,
    ) -> Result<usize, EngineError> {
        match self.owners.mapping.home(&table.def, value)? {
            Home::One(source) => Ok(source),
            Home::All => Ok(FIRST),
        }
    }
}

impl SharedTable {
    /// Whether all sources feed it; else one does, for it is whole on each of them, or on that one.
    pub fn has_several_feeders(&self) -> bool {
        !self.sharding.is_empty()
    }

    /// The table with the named key as its key.
    pub fn by(&self, key: &str) -> Option<&TableDef> {
        if self.def.key.name == key { Some(&self.def) } else { self.uniques.iter().find(|by| by.key.name == key) }
    }

    /// The values a full row has in every unique key that it can collide in, each with the table by that key.
    pub fn keys_of<'a>(&'a self, row: &'a Row) -> impl Iterator<Item = (&'a TableDef, Row)> {
        let all = std::iter::once(&*self.def).chain(&self.uniques);
        all.filter_map(|by| Some((by, key_values(by, row)?)))
    }
}

/// A full row's values in the table's key; `None` where one is NULL, for that collides with nothing.
pub fn key_values(by: &TableDef, row: &Row) -> Option<Row> {
    by.key
        .columns
        .iter()
        .all(|&at| row.get(at).is_some())
        .then(|| by.key.columns.iter().map(|&at| row.get(at)).collect())
}
