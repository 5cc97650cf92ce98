//! Everything the copy needs to know of the tables it reads.

use crate::{
    model::{DatabaseName, Key, TableDef, TableName},
    mysql::{MysqlError, admin::Session, quote},
};

use super::{KeyPart, SecondaryKey, TableInfo, Unfit, deferrable_keys, define, read_foreign_keys, read_tables};

/// A table to be copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceTable {
    /// Its definition.
    pub def: TableDef,
    /// `SHOW CREATE TABLE`: unqualified, so it creates the table in the session's default database.
    pub create: String,
    /// Rows, as InnoDB estimates them.
    pub approx_rows: u64,
    /// Bytes of a row on average, as InnoDB estimates them; 0 for an empty table.
    pub avg_row_bytes: u64,
    /// Bytes of the clustered index.
    pub data_bytes: u64,
    /// Keys that may be left off until the rows are there.
    pub deferrable: Vec<SecondaryKey>,
    /// Unique keys besides [`TableDef::key`] that are over whole stored columns.
    pub uniques: Vec<Key>,
    /// The names of those that are over something else: a part of a column, an expression, a generated column.
    pub odd_uniques: Vec<String>,
}

/// Why tables could not be read for copying.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The server.
    #[error(transparent)]
    Mysql(#[from] MysqlError),
    /// A table is not there (or the account may not see it).
    #[error("table {database}.{table} does not exist, or the account may not see it")]
    Missing {
        /// Its schema.
        database: String,
        /// The table.
        table: String,
    },
    /// A table cannot be moved.
    #[error("table {table} {}", reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; it "))]
    Unfit {
        /// The table.
        table: String,
        /// Why not.
        reasons: Vec<Unfit>,
    },
}

/// Reads the tables in the order given. All must exist and be fit to be moved.
pub async fn read_source_tables(
    session: &mut Session,
    database: &DatabaseName,
    tables: &[TableName],
) -> Result<Vec<SourceTable>, SchemaError> {
    let names: Vec<String> = tables.iter().map(ToString::to_string).collect();
    let found = read_tables(session, database.as_str(), Some(&names)).await?;
    let found: std::collections::HashMap<&str, _> = found.iter().map(|info| (info.name.as_str(), info)).collect();
    let foreign_keys = read_foreign_keys(session, database.as_str()).await?;
    let mut sources = Vec::with_capacity(tables.len());
    for table in tables {
        let (database_text, table_text) = (database.to_string(), table.to_string());
        let missing = || SchemaError::Missing { database: database_text.clone(), table: table_text.clone() };
        let info = *found.get(table.as_str()).ok_or_else(missing)?;
        let mut def = define(info).map_err(|reasons| SchemaError::Unfit { table: table_text.clone(), reasons })?;
        let place = (database_text.clone(), table_text.clone());
        def.cascades = foreign_keys.iter().any(|key| key.cascades() && key.parent == place);
        let show = format!("SHOW CREATE TABLE {}", quote::table_name(database, table));
        let create = session.row(&show).await?.and_then(|row| row.text(1)).ok_or_else(missing)?;
        let deferrable = deferrable_keys(info, &create, &def.key.name, &foreign_keys, database.as_str());
        let (uniques, odd_uniques) = other_uniques(info, &def);
        sources.push(SourceTable {
            def,
            create,
            approx_rows: info.approx_rows,
            avg_row_bytes: info.avg_row_bytes,
            data_bytes: info.data_bytes,
            deferrable,
            uniques,
            odd_uniques,
        });
    }
    Ok(sources)
}

/// The unique keys besides the one rows are found by; the names of those that cannot be asked for by whole stored values.
pub fn other_uniques(info: &TableInfo, def: &TableDef) -> (Vec<Key>, Vec<String>) {
    let place = |name: &str| def.columns.iter().position(|column| column.name.eq_ignore_ascii_case(name));
    let (mut whole, mut odd) = (Vec::new(), Vec::new());
    for key in info.keys.iter().filter(|key| key.unique && key.name != def.key.name) {
        let part = |part: &KeyPart| part.column.as_deref().filter(|_| part.prefix.is_none()).and_then(place);
        match key.parts.iter().map(part).collect::<Option<Vec<_>>>() {
            Some(columns) => whole.push(Key { name: key.name.clone(), columns }),
            None => odd.push(key.name.clone()),
        }
    }
    (whole, odd)
}
