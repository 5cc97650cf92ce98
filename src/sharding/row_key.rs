//! The keyspace id of a row: which of its columns the primary vindex is over, where they stand, and what they come to.

use std::sync::Arc;

use super::column::{KeyType, Misfit, RefusedType};
use super::vindex::{Function, KeyValue, MapError, Vindex};
use crate::model::TableDef;

/// Computes the keyspace ids of one table's rows.
#[derive(Debug, Clone)]
pub struct RowKey {
    vindex: Arc<Vindex>,
    columns: Vec<KeyColumn>,
}

#[derive(Debug, Clone)]
struct KeyColumn {
    name: String,
    /// The place of its value among those of a row.
    place: usize,
    /// `None` where the value does not matter.
    key_type: Option<KeyType>,
}

/// Why a table's rows have no keyspace ids.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowKeyError {
    /// A column of the vindex is missing.
    #[error(
        "table {table} has no column `{column}`, which its primary vindex is over (a generated column does not count)"
    )]
    NoColumn {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// A column's type does not do.
    #[error("table {table}, column `{column}`: {why}")]
    Type {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// Why not.
        why: RefusedType,
    },
    /// The vindex wants another number of columns.
    #[error("table {table}: its primary vindex is over {wanted} columns, and the VSchema names {named}")]
    Arity {
        /// The table.
        table: String,
        /// What the vindex wants.
        wanted: usize,
        /// What the VSchema says.
        named: usize,
    },
}

/// A row without a keyspace id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoKeyspaceId {
    /// A value is not of its column's type.
    #[error("column `{column}`: {why}")]
    Misfit {
        /// The column.
        column: String,
        /// What is wrong.
        why: Misfit,
    },
    /// The vindex has none for it.
    #[error(transparent)]
    Map(#[from] MapError),
}

impl RowKey {
    /// For rows with the values of [`TableDef::columns`]. [`Self::places`] is then what [`TableDef::sharding`] is to be.
    pub fn of_rows(table: &TableDef, vindex: Arc<Vindex>, columns: &[String]) -> Result<Self, RowKeyError> {
        let name = || table.name.to_string();
        if columns.len() != vindex.columns() {
            return Err(RowKeyError::Arity { table: name(), wanted: vindex.columns(), named: columns.len() });
        }
        let bound = columns.iter().enumerate().map(|(at, column)| {
            let no_column = || RowKeyError::NoColumn { table: name(), column: column.clone() };
            let place = find(table, column).ok_or_else(no_column)?;
            let key_type = match vindex.function(at) {
                None | Some(Function::Null) => None,
                Some(function) => {
                    let key_type = KeyType::of(&table.columns[place].kind);
                    let checked = key_type.and_then(|key_type| key_type.check(function).map(|()| key_type));
                    Some(checked.map_err(|why| RowKeyError::Type { table: name(), column: column.clone(), why })?)
                }
            };
            Ok(KeyColumn { name: column.clone(), place, key_type })
        });
        let columns = bound.collect::<Result<_, _>>()?;
        Ok(Self { vindex, columns })
    }

    /// The same for the values of the columns it looks at alone, in their order.
    pub fn of_values(&self) -> Self {
        let columns = self.columns.iter().enumerate();
        let columns = columns.map(|(place, column)| KeyColumn { place, ..column.clone() }).collect();
        Self { vindex: self.vindex.clone(), columns }
    }

    /// Appends the keyspace id of the row whose value at a place is `value(place)`, in canonical form.
    pub fn keyspace_id<'a>(
        &self,
        value: impl Fn(usize) -> Option<&'a [u8]>,
        out: &mut Vec<u8>,
    ) -> Result<(), NoKeyspaceId> {
        let read = |column: &KeyColumn| match &column.key_type {
            None => Ok(KeyValue::Null),
            Some(key_type) => key_type
                .stored(value(column.place))
                .map_err(|why| NoKeyspaceId::Misfit { column: column.name.clone(), why }),
        };
        match self.columns.as_slice() {
            // The usual case allocates nothing.
            [column] => self.vindex.keyspace_id(&[read(column)?], out)?,
            columns => {
                let values = columns.iter().map(read).collect::<Result<Vec<_>, _>>()?;
                self.vindex.keyspace_id(&values, out)?;
            }
        }
        Ok(())
    }

    /// The places it looks at.
    pub fn places(&self) -> impl Iterator<Item = usize> {
        self.columns.iter().map(|column| column.place)
    }
}

/// A column by name; case does not matter, as in MySQL.
fn find(table: &TableDef, name: &str) -> Option<usize> {
    table.columns.iter().position(|column| column.name.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Column, ColumnKind, Key, Row};
    use crate::sharding::vindex::Params;

    fn table() -> TableDef {
        let text = ColumnKind::Text { charset: "latin1".into(), collation: "latin1_swedish_ci".into() };
        let kinds = [
            ("id", ColumnKind::Int { width: 8, unsigned: false }),
            ("name", text),
            ("doc", ColumnKind::Json),
            ("Region", ColumnKind::Int { width: 1, unsigned: true }),
        ];
        let column = |(ordinal, (name, kind)): (usize, (&str, ColumnKind))| Column {
            name: name.into(),
            kind,
            nullable: true,
            zerofill: false,
            ordinal,
        };
        TableDef {
            name: "t".parse().unwrap(),
            columns: kinds.into_iter().enumerate().map(column).collect(),
            column_count: 4,
            key: Key { name: "PRIMARY".into(), columns: vec![3, 0] },
            other_unique: false,
            cascades: false,
            sharding: Vec::new(),
        }
    }

    fn vindex(name: &str) -> Arc<Vindex> {
        Arc::new(Vindex::new(name, &Params::new()).unwrap())
    }

    fn names(columns: &[&str]) -> Vec<String> {
        columns.iter().map(|column| (*column).to_owned()).collect()
    }

    fn id(key: &RowKey, row: &[Option<&[u8]>]) -> Result<Vec<u8>, NoKeyspaceId> {
        let row: Row = row.iter().copied().collect();
        let mut id = Vec::new();
        key.keyspace_id(|place| row.get(place), &mut id).map(|()| id)
    }

    #[test]
    fn full_rows_and_their_sharding_values_have_the_same_id() {
        let params = [("region_bytes".to_owned(), "1".to_owned())].into();
        let region = Arc::new(Vindex::new("region_experimental", &params).unwrap());
        let columns = names(&["region", "ID"]);
        let rows = RowKey::of_rows(&table(), region, &columns).unwrap();
        let values = rows.of_values();
        let full = id(&rows, &[Some(b"1"), Some(b"x"), None, Some(b"7")]).unwrap();
        assert_eq!(full, [0x07, 0x16, 0x6b, 0x40, 0xb4, 0x4a, 0xba, 0x4b, 0xd6]);
        assert_eq!(id(&values, &[Some(b"7"), Some(b"1")]), Ok(full));
        assert_eq!((rows.places().collect(), values.places().collect()), (vec![3, 0], vec![0, 1]));
    }

    #[test]
    fn text_is_hashed_as_utf8_and_the_null_vindex_looks_at_nothing() {
        let name = RowKey::of_rows(&table(), vindex("binary"), &names(&["name"])).unwrap();
        assert_eq!(id(&name, &[None, Some(b"\xfc"), None, None]), Ok("ü".as_bytes().to_vec()));
        let doc = RowKey::of_rows(&table(), vindex("null"), &names(&["doc"])).unwrap();
        assert_eq!(id(&doc, &[None, None, Some(b"{}"), None]), Ok(vec![0]));
        let hash = RowKey::of_rows(&table(), vindex("hash"), &names(&["id"])).unwrap();
        let error = id(&hash, &[Some(b"x"), None, None, None]).unwrap_err().to_string();
        assert!(error.starts_with("column `id`: the value is not one its column's type can have"), "{error}");
    }

    #[test]
    fn what_cannot_be_bound_is_named() {
        for (name, columns, why) in [
            ("hash", &["nowhere"][..], "table t has no column `nowhere`"),
            ("hash", &["name"], "table t, column `name`: vindex type `hash` cannot be over text"),
            ("xxhash", &["doc"], "column `doc`: rows cannot be sharded by JSON"),
            ("xxhash", &["id", "name"], "is over 1 columns, and the VSchema names 2"),
        ] {
            let error = RowKey::of_rows(&table(), vindex(name), &names(columns)).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
