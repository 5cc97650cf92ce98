//! What is to be taken from the rows of one moved table: its definition held against the table map.
//!
//! Invariant: a [`Plan`] exists only where map and definition agree on everything both say; the bytes are then decoded by the
//! map. The map is the older truth where a definition was read after a DDL that the stream has not reached.

use std::sync::Arc;

use mysql_common::collations::{Collation, CollationId};

use crate::model::{Column, ColumnKind, TableDef};

use super::form::{Form, char_len, types};
use super::table_map::MapColumn;

/// Collation number of BINARY, VARBINARY and BLOB.
const BINARY_COLLATION: u16 = 63;

/// How to decode the rows of a moved table.
#[derive(Debug)]
pub struct Plan {
    /// The table.
    pub table: Arc<TableDef>,
    /// The form of every column, generated ones included.
    pub forms: Vec<Form>,
    /// Where the values of `table.columns` stand in an image.
    pub stored: Vec<usize>,
    /// Where the values of `table.key` stand in an image.
    pub key: Vec<usize>,
    /// Where the values of `table.sharding` stand in an image.
    pub sharding: Vec<usize>,
}

impl Plan {
    /// Holds `table` against its map; the error says where they differ.
    pub fn new(table: Arc<TableDef>, map: &[MapColumn<'_>]) -> Result<Plan, String> {
        if map.len() != table.column_count {
            return Err(format!(
                "it has {} columns in the binlog and {} in its definition",
                map.len(),
                table.column_count
            ));
        }
        let mut forms = Vec::with_capacity(map.len());
        for (place, column) in map.iter().enumerate() {
            let form = Form::of(column.code, column.metadata).ok_or_else(|| {
                let (code, metadata) = (column.code, column.metadata);
                format!("its column {} has type {code} (metadata {metadata}), which is not supported", place + 1)
            })?;
            forms.push(form);
        }
        for column in &table.columns {
            let (Some(mapped), Some(form)) = (map.get(column.ordinal), forms.get_mut(column.ordinal)) else {
                return Err(format!("its column {} lies outside the row", column.name));
            };
            agree(column, mapped, form).map_err(|why| format!("its column {} {why}", column.name))?;
        }
        if table.key.columns.is_empty() || table.key.columns.iter().any(|&index| index >= table.columns.len()) {
            return Err("its key names no stored columns".to_owned());
        }
        let stored = table.columns.iter().map(|column| column.ordinal).collect();
        let key = table.key_columns().map(|column| column.ordinal).collect();
        let sharding = table.sharding_columns().map(|column| column.ordinal).collect();
        Ok(Plan { table, forms, stored, key, sharding })
    }
}

/// Holds one column against its map and completes its form.
fn agree(column: &Column, map: &MapColumn<'_>, form: &mut Form) -> Result<(), String> {
    if let Some(name) = map.name
        && !name.eq_ignore_ascii_case(&column.name)
    {
        return Err(format!("is called {name} in the binlog"));
    }
    let same = match (&column.kind, &mut *form) {
        (ColumnKind::Int { width, unsigned }, Form::Int { width: mapped, unsigned: sign }) => {
            *sign = *unsigned;
            width == mapped && map.unsigned.is_none_or(|mapped| mapped == *unsigned)
        }
        (ColumnKind::Decimal, Form::Decimal { .. }) => true,
        (ColumnKind::Float, Form::Float) => true,
        (ColumnKind::Double, Form::Double) => true,
        (ColumnKind::Bit, Form::Bit(_)) => true,
        (ColumnKind::Year, Form::Year) => true,
        (ColumnKind::Date, Form::Date) => true,
        (ColumnKind::Time, Form::Time(_)) => true,
        (ColumnKind::Datetime, Form::Datetime(_)) => true,
        (ColumnKind::Timestamp, Form::Timestamp(_)) => true,
        (ColumnKind::Enum, Form::Enum(_)) => true,
        (ColumnKind::Set, Form::Set(_)) => true,
        (ColumnKind::Json, Form::Json(_)) => true,
        (ColumnKind::Geometry, Form::Bytes { .. }) => map.code == types::GEOMETRY,
        (ColumnKind::Vector, Form::Bytes { .. }) => map.code == types::VECTOR,
        (ColumnKind::Text { collation, .. }, Form::Bytes { .. }) => {
            is_string(map.code) && map.collation.is_none_or(|number| is_collation(number, collation))
        }
        (ColumnKind::Binary { fixed: None }, Form::Bytes { .. }) => {
            matches!(map.code, types::VARCHAR | types::BLOB)
                && map.collation.is_none_or(|number| number == BINARY_COLLATION)
        }
        (ColumnKind::Binary { fixed: Some(len) }, Form::Bytes { pad, .. }) => {
            *pad = char_len(map.metadata);
            map.code == types::STRING
                && u32::from(*pad) == *len
                && map.collation.is_none_or(|number| number == BINARY_COLLATION)
        }
        _ => false,
    };
    if same {
        return Ok(());
    }
    let (code, metadata, sign, collation) = (map.code, map.metadata, map.unsigned, map.collation);
    Err(format!(
        "is {:?} in its definition, and type {code} (metadata {metadata}, unsigned {sign:?}, collation {collation:?}) in the \
         binlog",
        column.kind
    ))
}

fn is_string(code: u8) -> bool {
    matches!(code, types::STRING | types::VARCHAR | types::BLOB)
}

/// Whether `number` is the collation called `name`. A number that is newer than our list may be anything but binary.
fn is_collation(number: u16, name: &str) -> bool {
    if number == BINARY_COLLATION {
        return false;
    }
    let known = Collation::from(CollationId::from(number));
    if known.id() == CollationId::UNKNOWN_COLLATION_ID {
        return true;
    }
    // utf8_… is how servers before 8.0.30 call utf8mb3_….
    let full =
        |name: &str| name.strip_prefix("utf8_").map_or_else(|| name.to_owned(), |rest| format!("utf8mb3_{rest}"));
    full(known.collation()).eq_ignore_ascii_case(&full(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Key, TableName};

    fn table(kind: ColumnKind) -> Arc<TableDef> {
        let column = Column { name: "a".into(), kind, nullable: false, zerofill: false, ordinal: 0 };
        let key = Key { name: "PRIMARY".into(), columns: vec![0] };
        let name = TableName::new("t").unwrap();
        Arc::new(TableDef {
            name,
            columns: vec![column],
            column_count: 1,
            key,
            other_unique: false,
            cascades: false,
            sharding: vec![],
        })
    }

    fn map(code: u8, metadata: u16) -> MapColumn<'static> {
        MapColumn { code, metadata, unsigned: None, collation: None, name: None }
    }

    fn text(collation: &str) -> ColumnKind {
        ColumnKind::Text { charset: "utf8mb4".into(), collation: collation.into() }
    }

    #[test]
    fn what_differs_is_refused() {
        let int = || table(ColumnKind::Int { width: 4, unsigned: true });
        let plan = |table, map| Plan::new(table, &[map]);
        assert_eq!(plan(int(), map(types::LONG, 0)).unwrap().forms, [Form::Int { width: 4, unsigned: true }]);
        assert!(plan(int(), map(types::LONGLONG, 0)).is_err());
        assert!(plan(int(), MapColumn { unsigned: Some(false), ..map(types::LONG, 0) }).is_err());
        assert!(plan(int(), MapColumn { name: Some("b"), ..map(types::LONG, 0) }).is_err());
        assert!(Plan::new(int(), &[]).is_err());
        assert!(plan(table(ColumnKind::Timestamp), map(7, 0)).is_err(), "the old TIMESTAMP");

        let varchar = |collation| MapColumn { collation, ..map(types::VARCHAR, 80) };
        assert!(plan(table(text("utf8mb4_0900_ai_ci")), varchar(Some(255))).is_ok());
        assert!(plan(table(text("utf8mb4_0900_ai_ci")), varchar(None)).is_ok());
        assert!(plan(table(text("utf8mb3_general_ci")), varchar(Some(33))).is_ok());
        assert!(plan(table(text("utf8mb4_0900_ai_ci")), varchar(Some(BINARY_COLLATION))).is_err());
        assert!(plan(table(text("utf8mb4_0900_ai_ci")), varchar(Some(46))).is_err());
        let binary = map(types::STRING, u16::from_le_bytes([types::STRING, 16]));
        assert!(plan(table(ColumnKind::Binary { fixed: Some(15) }), binary.clone()).is_err());
        assert_eq!(
            plan(table(ColumnKind::Binary { fixed: Some(16) }), binary).unwrap().forms,
            [Form::Bytes { prefix: 1, pad: 16 }]
        );
    }
}
