//! The target's side of a moved table before its first row: the table itself, without the keys that come later.
//!
//! # Invariants
//! - A table is created from the source's `SHOW CREATE TABLE`; one that exists already was found empty by preflight and
//!   is used as it is, keys and all.
//! - What is to be added after the copy is noted before it is left off, so a crash in between loses no key.
//! - Running it again is harmless.

use crate::engine::checkpoint::Checkpoint;
use crate::engine::connect::Side;
use crate::engine::copy::marks::note_sql;
use crate::engine::error::EngineError;
use crate::mysql::admin::Session;
use crate::mysql::quote;
use crate::mysql::schema::{SourceTable, drop_keys_statement, read_tables};

/// Creates the tables of `tables` that are not noted in the sidecar yet, and notes them.
pub async fn tables(
    session: &mut Session,
    target: &Side,
    checkpoint: &Checkpoint,
    tables: &[&SourceTable],
    defer: impl Fn(&SourceTable) -> bool,
) -> Result<(), EngineError> {
    let at = EngineError::at(&target.label);
    // Foreign keys inside the set may name tables that come later.
    session.execute("SET foreign_key_checks = 0").await.map_err(&at)?;
    session.execute(&format!("USE {}", quote::ident(target.database.as_str()))).await.map_err(&at)?;
    for table in tables {
        let create = table.create.replacen("CREATE TABLE ", "CREATE TABLE IF NOT EXISTS ", 1);
        session.execute(&create).await.map_err(&at)?;
        let deferred = if defer(table) { table.deferrable.as_slice() } else { &[] };
        let clauses: Vec<String> = deferred.iter().map(|key| key.add.clone()).collect();
        session.execute(&note_sql(checkpoint.stream_id, &table.def.name, &clauses)).await.map_err(&at)?;
        let there = key_names(session, target, table).await.map_err(&at)?;
        let present: Vec<_> = deferred.iter().filter(|key| there.contains(&key.name)).cloned().collect();
        let name = quote::table_name(&target.database, &table.def.name);
        if let Some(drop) = drop_keys_statement(&name, &present) {
            session.execute(&drop).await.map_err(&at)?;
        }
    }
    Ok(())
}

/// The names of the keys the target's table has.
pub async fn key_names(
    session: &mut Session,
    target: &Side,
    table: &SourceTable,
) -> Result<Vec<String>, crate::mysql::MysqlError> {
    let names = [table.def.name.to_string()];
    let found = read_tables(session, target.database.as_str(), Some(&names)).await?;
    Ok(found.iter().flat_map(|info| &info.keys).map(|key| key.name.clone()).collect())
}
