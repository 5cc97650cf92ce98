//! The homes of rows, table by table.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::{TableDef, TableName};
use crate::sharding::vschema::{KeyspaceSchema, Placement};
use crate::sharding::{RowKey, ShardMap};

/// Where a row belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Home {
    /// To this target, counted from 0.
    One(usize),
    /// To all of them.
    All,
}

impl Home {
    /// Whether `target` is one of them.
    pub fn takes(self, target: usize) -> bool {
        match self {
            Self::One(one) => one == target,
            Self::All => true,
        }
    }
}

/// A row without a home, or a table whose rows have none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("table {table}: {why}")]
pub struct MappingError {
    /// The table.
    pub table: TableName,
    /// Why there is none.
    pub why: String,
}

/// Where the rows of a stream's tables belong. A table must be bound before its rows are asked for.
#[derive(Debug, Clone)]
pub struct Mapping {
    targets: Targets,
    bound: HashMap<TableName, Rule>,
}

#[derive(Debug, Clone)]
enum Targets {
    /// One, for everything.
    Whole,
    /// These shards of a sharded keyspace.
    Shards(Arc<KeyspaceSchema>, ShardMap),
}

/// What is asked of a row of one table.
#[derive(Debug, Clone)]
enum Rule {
    /// Nothing: all have one home.
    Fixed(Home),
    /// The keyspace id of its sharding columns' values.
    Key(RowKey),
}

impl Mapping {
    /// Everything to the only target.
    pub fn whole() -> Self {
        Self { targets: Targets::Whole, bound: HashMap::new() }
    }

    /// To `shards`, one target each in their order, as the VSchema of their keyspace says.
    pub fn sharded(schema: Arc<KeyspaceSchema>, shards: ShardMap) -> Self {
        Self { targets: Targets::Shards(schema, shards), bound: HashMap::new() }
    }

    /// How many targets there are; at least one.
    pub fn targets(&self) -> usize {
        match &self.targets {
            Targets::Whole => 1,
            Targets::Shards(_, shards) => shards.shards().len(),
        }
    }

    /// Whether rows of a table of this name have different homes.
    pub fn spreads(&self, table: &TableName) -> bool {
        match &self.targets {
            Targets::Whole => false,
            Targets::Shards(schema, _) => {
                schema.tables.get(table.as_str()).is_some_and(|found| matches!(found.placement, Placement::Sharded(_)))
            }
        }
    }

    /// Makes the rows of `table` known, as its columns are now; what its [`TableDef::sharding`] is to be.
    pub fn bind(&mut self, table: &TableDef) -> Result<Vec<usize>, MappingError> {
        let error = |why: String| MappingError { table: table.name.clone(), why };
        let (rule, sharding) = match &self.targets {
            Targets::Whole => (Rule::Fixed(Home::One(0)), Vec::new()),
            Targets::Shards(schema, shards) => {
                let found = schema.tables.get(table.name.as_str());
                let found = found.ok_or_else(|| error("the VSchema of the target keyspace does not name it".into()))?;
                match &found.placement {
                    Placement::Sharded(vindexes) => {
                        let primary = vindexes.first().ok_or_else(|| error("it has no primary vindex".into()))?;
                        let key = RowKey::of_rows(table, primary.vindex.clone(), &primary.columns);
                        let key = key.map_err(|why| error(why.to_string()))?;
                        (Rule::Key(key.of_values()), key.places().collect())
                    }
                    Placement::Pinned(id) => {
                        let home = shards.find(id).map(Home::One);
                        (Rule::Fixed(home.ok_or_else(|| error("it is pinned to none of the targets".into()))?), vec![])
                    }
                    Placement::Reference { .. } => (Rule::Fixed(Home::All), Vec::new()),
                    Placement::Unsharded | Placement::Sequence => {
                        return Err(error("the target keyspace is sharded, and the table is not".into()));
                    }
                }
            }
        };
        self.bound.insert(table.name.clone(), rule);
        Ok(sharding)
    }

    /// The home of a row of `table` by the values of its sharding columns, `value(i)` that of the i-th.
    pub fn home<'a>(&self, table: &TableDef, value: impl Fn(usize) -> Option<&'a [u8]>) -> Result<Home, MappingError> {
        let error = |why: String| MappingError { table: table.name.clone(), why };
        match (self.bound.get(&table.name), &self.targets) {
            (Some(Rule::Fixed(home)), _) => Ok(*home),
            (Some(Rule::Key(key)), Targets::Shards(_, shards)) => {
                let mut id = Vec::with_capacity(16);
                key.keyspace_id(value, &mut id).map_err(|why| error(format!("a row has no keyspace id: {why}")))?;
                let home = shards.find(&id).map(Home::One);
                home.ok_or_else(|| {
                    let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
                    error(format!(
                        "a row has the keyspace id {id}, outside {}: it is on the wrong shard of the source; move it to \
                         the right one, or delete it",
                        shards.range()
                    ))
                })
            }
            _ => Err(error("its rows are not known to the mapping".into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Column, ColumnKind, Key};
    use crate::sharding::vschema;

    fn table(name: &str) -> TableDef {
        let column = |name: &str, ordinal| Column {
            name: name.into(),
            kind: ColumnKind::Int { width: 8, unsigned: false },
            nullable: false,
            zerofill: false,
            ordinal,
        };
        TableDef {
            name: name.parse().unwrap(),
            columns: vec![column("order_id", 0), column("customer_id", 1)],
            column_count: 2,
            key: Key { name: "PRIMARY".into(), columns: vec![0] },
            other_unique: false,
            cascades: false,
            sharding: vec![],
        }
    }

    fn mapping(shards: &[&str]) -> Mapping {
        let text = r#"{"sharded": true, "vindexes": {"hash": {"type": "hash"}}, "tables": {
            "corder": {"column_vindexes": [{"column": "Customer_ID", "name": "hash"}]},
            "country": {"type": "reference"}, "settings": {"pinned": "c0"}}}"#;
        let schema = KeyspaceSchema::new(&vschema::parse(text).unwrap()).unwrap();
        let shards = ShardMap::span(shards.iter().map(|name| name.parse().unwrap())).unwrap();
        Mapping::sharded(Arc::new(schema), shards)
    }

    #[test]
    fn rows_go_where_their_keyspace_id_says() {
        let mut mapping = mapping(&["-40", "40-80", "80-"]);
        let corder = table("corder");
        assert_eq!(mapping.bind(&corder), Ok(vec![1]));
        // Keyspace ids of 1, 3, 4 by `hash`: 166b40…, 4eb190…, d2fd88….
        for (id, home) in [("1", 0), ("3", 1), ("4", 2)] {
            assert_eq!(mapping.home(&corder, |_| Some(id.as_bytes())), Ok(Home::One(home)), "{id}");
        }
        assert!(mapping.home(&corder, |_| Some(b"x")).unwrap_err().why.contains("no keyspace id"));
        for (name, home) in [("country", Home::All), ("settings", Home::One(2))] {
            assert_eq!(mapping.bind(&table(name)), Ok(vec![]));
            assert_eq!(mapping.home(&table(name), |_| None), Ok(home));
        }
        assert!(mapping.bind(&table("unheard_of")).unwrap_err().why.contains("does not name it"));
    }

    #[test]
    fn a_row_that_belongs_nowhere_is_an_error() {
        let mut mapping = mapping(&["-40", "40-80"]);
        let corder = table("corder");
        assert!(mapping.home(&corder, |_| Some(b"1")).is_err());
        mapping.bind(&corder).unwrap();
        let error = mapping.home(&corder, |_| Some(b"4")).unwrap_err();
        assert!(error.why.contains("d2fd8867d50d2dfe, outside -80"), "{error}");
        assert!(mapping.bind(&table("settings")).is_err());
    }
}
