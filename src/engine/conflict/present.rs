//! Rows that are present on a server, asked for by their unique values.

use crate::engine::error::EngineError;
use crate::model::{DatabaseName, Row, TableDef};
use crate::mysql::quote;
use crate::mysql::wire::{Value, Wire};

use super::owners::{Ownership, SharedTable};

/// A row on the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    /// Its key, as the server has it.
    pub key: Row,
    /// Whose it is.
    pub owner: usize,
}

/// The rows with `values` in the key of `by`, locked until the transaction ends.
pub async fn lock(
    wire: &mut Wire,
    database: &DatabaseName,
    (ownership, table): (&Ownership, &SharedTable),
    by: &TableDef,
    values: &[Row],
) -> Result<Vec<Present>, EngineError> {
    if values.is_empty() {
        return Ok(Vec::new());
    }
    let columns = table.def.key.columns.iter().chain(&table.sharding).map(|&at| &table.def.columns[at]);
    let mut sql = format!("SELECT {} FROM ", quote::select_list(columns)).into_bytes();
    quote::push_keyed_table(&mut sql, database, by);
    sql.extend_from_slice(b" WHERE ");
    quote::push_key_in(&mut sql, by, values)?;
    sql.extend_from_slice(b" FOR UPDATE");
    let keys = table.def.key.columns.len();
    // Values that are unlike in bytes may be equal to the server, never the other way round.
    let rows = wire.query_small(&sql, values.len()).await?;
    let present = |row: Vec<Value>| {
        let (key, sharding) = row.split_at_checked(keys).ok_or(EngineError::Sidecar("a row of another shape"))?;
        let owner = ownership.owner(table, |at| sharding.get(at).and_then(Option::as_deref))?;
        Ok(Present { key: key.iter().map(Option::as_deref).collect(), owner })
    };
    rows.into_iter().map(present).collect()
}

/// The full rows with `values` in the key of `by`, up to about `bytes`; `None` where they are more.
pub async fn read(
    wire: &mut Wire,
    database: &DatabaseName,
    by: &TableDef,
    values: &[Row],
    bytes: &mut usize,
) -> Result<Option<Vec<Row>>, EngineError> {
    let mut found = Vec::new();
    if values.is_empty() {
        return Ok(Some(found));
    }
    let select = quote::select_list(&by.columns);
    let mut sql = format!("SELECT {select} FROM {} WHERE ", quote::table_name(database, &by.name)).into_bytes();
    quote::push_key_in(&mut sql, by, values)?;
    let mut rows = wire.query(&sql).await?;
    while let Some(row) = rows.next().await? {
        let row: Row = row.values().collect();
        *bytes = bytes.saturating_sub(row.size());
        if *bytes == 0 && !found.is_empty() {
            rows.finish().await?;
            return Ok(None);
        }
        found.push(row);
    }
    Ok(Some(found))
}
