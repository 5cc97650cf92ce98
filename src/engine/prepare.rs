//! The target's side of a moved table before its first row: the table itself, without the keys that come later.
//!
//! # Invariants
//! - A table is created from the source's `SHOW CREATE TABLE`. One that was there, empty, when the workflow was started is
//!   used as it is, keys and all, if it still is empty.
//! - A table is noted in the sidecar before it is touched, with what is to be added after the copy. So cancel undoes what
//!   is noted and nothing else, and a crash in between loses no key.
//! - A table that has appeared since the start, or rows in one, are somebody else's: refused, not overwritten. But what
//!   another stream of the workflow has noted there is the workflow's: it may hold that one's rows, and stays as it is.
//! - Running it again is harmless, also side by side: one stream of a workflow at a time prepares a server.

use std::collections::BTreeMap;

use crate::engine::checkpoint::Checkpoint;
use crate::engine::connect::Side;
use crate::engine::copy::marks::{Progress, note_sql};
use crate::engine::error::EngineError;
use crate::model::TableName;
use crate::mysql::admin::Session;
use crate::mysql::quote;
use crate::mysql::schema::{SecondaryKey, SourceTable, drop_keys_statement, read_tables};

/// How long another stream of the workflow may take to prepare the server, seconds.
const LOCK_WAIT: u64 = 45;

/// Brings those of `tables` into being of which nothing was copied yet, by what is `noted`; `created` names those that are
/// the workflow's own, and only those have keys left off, if `defer`.
pub async fn tables(
    session: &mut Session,
    target: &Side,
    checkpoint: &Checkpoint,
    tables: &[SourceTable],
    noted: &Progress,
    created: &[TableName],
    defer: bool,
) -> Result<(), EngineError> {
    let at = EngineError::at(&target.label);
    let mine = format!("SELECT GET_LOCK('shardlift/prepare/{}', {LOCK_WAIT})", checkpoint.workflow_uid);
    if session.value(&mine).await.map_err(&at)?.as_deref() != Some("1") {
        return Err(EngineError::Timeout { what: "another stream that prepares the target", seconds: LOCK_WAIT });
    }
    let others = noted_by_others(session, checkpoint).await.map_err(&at)?;
    // Foreign keys inside the set may name tables that come later.
    session.execute("SET foreign_key_checks = 0").await.map_err(&at)?;
    session.execute(&format!("USE {}", quote::ident(target.database.as_str()))).await.map_err(&at)?;
    for table in tables {
        let (name, known) = (&table.def.name, noted.tables.get(&table.def.name));
        if known.is_some_and(|progress| progress.started()) {
            continue;
        }
        let ours = created.contains(name);
        let shared = others.get(name.as_str());
        let clauses = match (known, shared) {
            (Some(progress), _) => progress.deferred.clone(),
            (None, Some(deferred)) => {
                let clauses: Vec<String> =
                    serde_json::from_str(deferred).map_err(|_| EngineError::Sidecar("copy_table.deferred"))?;
                session.execute(&note_sql(checkpoint.stream_id, name, &clauses)).await.map_err(&at)?;
                clauses
            }
            (None, None) => {
                refuse_foreign(session, target, name, ours).await?;
                let deferred = if ours && defer { worth_deferring(table) } else { &[] };
                let clauses: Vec<String> = deferred.iter().map(|key| key.add.clone()).collect();
                session.execute(&note_sql(checkpoint.stream_id, name, &clauses)).await.map_err(&at)?;
                clauses
            }
        };
        if ours {
            if known.is_some() && shared.is_none() {
                // An earlier attempt made it, perhaps from an older schema; it holds no row yet.
                let drop = format!("DROP TABLE IF EXISTS {}", quote::table_name(&target.database, name));
                session.execute(&drop).await.map_err(&at)?;
            }
            let create = table.create.replacen("CREATE TABLE ", "CREATE TABLE IF NOT EXISTS ", 1);
            session.execute(&create).await.map_err(&at)?;
            if shared.is_none() {
                leave_keys_off(session, target, table, &clauses).await.map_err(&at)?;
            }
        }
    }
    Ok(())
}

/// The tables that other streams of the workflow have noted on this shard, with the keys these left off.
async fn noted_by_others(
    session: &mut Session,
    checkpoint: &Checkpoint,
) -> Result<BTreeMap<String, String>, crate::mysql::MysqlError> {
    let select = format!(
        "SELECT noted.table_name, noted.deferred
         FROM _shardlift.stream mine
         JOIN _shardlift.stream other USING (workflow_uid, direction, target_keyspace, target_shard)
         JOIN _shardlift.copy_table noted ON noted.stream_id = other.id
         WHERE mine.id = {0} AND other.id <> {0}",
        checkpoint.stream_id
    );
    let rows = session.rows(&select).await?;
    Ok(rows.iter().filter_map(|row| Some((row.text(0)?, row.text(1)?))).collect())
}

/// Refuses a table that should not be there, or should be empty.
async fn refuse_foreign(
    session: &mut Session,
    target: &Side,
    table: &TableName,
    ours: bool,
) -> Result<(), EngineError> {
    let refuse = |why: &str| Err(EngineError::Table { table: table.clone(), why: why.into() });
    let ask = format!("SELECT 1 FROM {} LIMIT 1", quote::table_name(&target.database, table));
    match (session.value(&ask).await, ours) {
        // 1146: it is not there.
        (Err(error), true) if error.code() == Some(1146) => Ok(()),
        (Err(error), false) if error.code() == Some(1146) => refuse(
            "it was there, empty, on the target when the workflow was started, and is gone: cancel and start again",
        ),
        (Err(error), _) => Err(EngineError::at(&target.label)(error)),
        (Ok(_), true) => refuse(
            "somebody has created it on the target since the workflow was started: drop or rename that one, then resume",
        ),
        (Ok(Some(_)), false) => refuse("it holds rows on the target that are not ours: empty it there, then resume"),
        (Ok(None), false) => Ok(()),
    }
}

/// The keys to leave off: none for a table of one page, whose ALTERs would cost more than they save.
fn worth_deferring(table: &SourceTable) -> &[SecondaryKey] {
    const PAGE: u64 = 16 << 10;
    if table.data_bytes > PAGE { &table.deferrable } else { &[] }
}

async fn leave_keys_off(
    session: &mut Session,
    target: &Side,
    table: &SourceTable,
    clauses: &[String],
) -> Result<(), crate::mysql::MysqlError> {
    if clauses.is_empty() {
        return Ok(());
    }
    let there = key_names(session, target, table).await?;
    let off = table.deferrable.iter().filter(|key| clauses.contains(&key.add) && there.contains(&key.name));
    let present: Vec<_> = off.cloned().collect();
    match drop_keys_statement(&quote::table_name(&target.database, &table.def.name), &present) {
        Some(drop) => session.execute(&drop).await.map(|_| ()),
        None => Ok(()),
    }
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
