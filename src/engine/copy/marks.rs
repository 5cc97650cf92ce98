//! The copy's progress in the sidecar: one row a table, and the marks of chunks not yet merged.

use std::collections::BTreeMap;

use crate::engine::checkpoint::Checkpoint;
use crate::engine::error::EngineError;
use crate::engine::fields;
use crate::model::{GtidSet, Row, TableName};
use crate::mysql::quote;
use crate::mysql::wire::{Value, Wire};

use super::gaps::{Mark, Range, common};

/// How far a table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TableState {
    /// Rows are still to be copied.
    Copying,
    /// All rows are there; deferred keys are still to be added.
    Copied,
    /// Nothing is left to do but to follow.
    Done,
}

impl TableState {
    /// The word in the sidecar.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Copying => "copying",
            Self::Copied => "copied",
            Self::Done => "done",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Copying, Self::Copied, Self::Done].into_iter().find(|state| state.as_str() == word)
    }
}

/// A table's progress.
#[derive(Debug, Clone)]
pub struct TableProgress {
    /// How far it is.
    pub state: TableState,
    /// Rows copied.
    pub rows: u64,
    /// Bytes copied, as the text protocol carries them.
    pub bytes: u64,
    /// Clauses (`ADD KEY …`) of the keys to add after the copy.
    pub deferred: Vec<String>,
    /// Chunks not merged yet, in key order.
    pub marks: Vec<Mark>,
    /// Rows of chunks that no mark tells of any more may be there.
    pub begun: bool,
}

impl TableProgress {
    /// Whether any row of it has been copied or may have been: then none of its events may be passed over.
    pub fn started(&self) -> bool {
        self.begun || self.state != TableState::Copying || !self.marks.is_empty()
    }

    /// Its copied chunks, as [`common`] compares them.
    fn chunks(&self) -> Vec<Mark> {
        if self.state == TableState::Copying { self.marks.clone() } else { vec![Mark::whole()] }
    }
}

/// How far a table is on all targets together.
#[derive(Debug, Clone)]
pub struct TableCopy {
    /// How far the last of them is.
    pub state: TableState,
    /// Whether any of them may hold a row of it.
    pub started: bool,
    /// Rows copied, all together.
    pub rows: u64,
    /// Bytes copied, all together.
    pub bytes: u64,
    /// The chunks that all of them have.
    pub marks: Vec<Mark>,
}

/// What the sidecars of all targets come to.
pub fn combine(targets: &[Progress]) -> BTreeMap<TableName, TableCopy> {
    let mut all = BTreeMap::new();
    for name in targets.iter().flat_map(|target| target.tables.keys()) {
        let each = || targets.iter().filter_map(|target| target.tables.get(name));
        // A target that has not heard of the table has nothing of it.
        let heard = each().count() == targets.len();
        let state = each().map(|table| table.state).min().filter(|_| heard).unwrap_or(TableState::Copying);
        let marks: Vec<_> = each().map(TableProgress::chunks).collect();
        let combined = TableCopy {
            state,
            started: each().any(TableProgress::started),
            rows: each().map(|table| table.rows).sum(),
            bytes: each().map(|table| table.bytes).sum(),
            marks: if heard { common(&marks) } else { Vec::new() },
        };
        all.insert(name.clone(), combined);
    }
    all
}

/// What the sidecar says of all tables, and the ceiling their chunks imply.
#[derive(Debug, Default)]
pub struct Progress {
    /// By table.
    pub tables: BTreeMap<TableName, TableProgress>,
    /// The union of `gtid_executed` after each unmerged chunk.
    pub ceiling: GtidSet,
}

/// Reads everything.
pub async fn load(wire: &mut Wire, stream_id: u64) -> Result<Progress, EngineError> {
    const TABLES: usize = 1_000_000;
    let mut progress = Progress::default();
    let select = format!(
        "SELECT table_name, state, rows_copied, bytes_copied, deferred, begun FROM _shardlift.copy_table WHERE stream_id = {stream_id}"
    );
    for row in wire.query_small(select.as_bytes(), TABLES).await? {
        let [name, state, rows, bytes, deferred, begun] = row.as_slice() else {
            return Err(EngineError::Sidecar("copy_table has another shape"));
        };
        let name = name_of(name)?;
        let state = fields::text(state).and_then(|word| TableState::parse(&word));
        let deferred = fields::text(deferred).unwrap_or_default();
        let table = TableProgress {
            state: state.ok_or(EngineError::Sidecar("copy_table.state"))?,
            rows: fields::parsed(rows, "copy_table.rows_copied")?.unwrap_or(0),
            bytes: fields::parsed(bytes, "copy_table.bytes_copied")?.unwrap_or(0),
            deferred: serde_json::from_str(&deferred).map_err(|_| EngineError::Sidecar("copy_table.deferred"))?,
            marks: Vec::new(),
            begun: fields::parsed::<u8>(begun, "copy_table.begun")? != Some(0),
        };
        progress.tables.insert(name, table);
    }
    let select = format!(
        "SELECT table_name, seq, lower_key, upper_key, rows_copied, bytes_copied, ceiling FROM _shardlift.copy_chunk
         WHERE stream_id = {stream_id} ORDER BY table_name, seq"
    );
    for row in wire.query_small(select.as_bytes(), TABLES).await? {
        let [name, seq, lower, upper, rows, bytes, ceiling] = row.as_slice() else {
            return Err(EngineError::Sidecar("copy_chunk has another shape"));
        };
        let table = progress.tables.get_mut(&name_of(name)?).ok_or(EngineError::Sidecar("copy_chunk of no table"))?;
        let seq = fields::parsed(seq, "copy_chunk.seq")?.unwrap_or(0);
        table.marks.push(Mark { seq, range: Range { lower: key(lower)?, upper: key(upper)? } });
        table.rows += fields::parsed(rows, "copy_chunk.rows_copied")?.unwrap_or(0);
        table.bytes += fields::parsed(bytes, "copy_chunk.bytes_copied")?.unwrap_or(0);
        let ceiling: Option<GtidSet> = fields::parsed(ceiling, "copy_chunk.ceiling")?;
        progress.ceiling.union(&ceiling.unwrap_or_default());
    }
    Ok(progress)
}

fn name_of(value: &Value) -> Result<TableName, EngineError> {
    fields::parsed(value, "table_name")?.ok_or(EngineError::Sidecar("table_name is NULL"))
}

fn key(value: &Value) -> Result<Option<Row>, EngineError> {
    match value {
        None => Ok(None),
        Some(bytes) => Row::decode(bytes).map(Some).ok_or(EngineError::Sidecar("a chunk's key")),
    }
}

fn literal(key: &Option<Row>) -> String {
    match key {
        None => "NULL".into(),
        Some(row) => row.encode().iter().fold("X'".to_string(), |hex, byte| format!("{hex}{byte:02x}")) + "'",
    }
}

/// The mark of a chunk, for the transaction that writes its rows. A target that has all of a table while others have not
/// may hold the number already.
pub fn mark_sql(stream_id: u64, table: &TableName, mark: &Mark, rows: u64, bytes: u64, ceiling: &GtidSet) -> String {
    format!(
        "REPLACE INTO _shardlift.copy_chunk
            (stream_id, table_name, seq, lower_key, upper_key, rows_copied, bytes_copied, ceiling)
         VALUES ({stream_id}, {}, {}, {}, {}, {rows}, {bytes}, '{ceiling}')",
        quote::text(table.as_str()),
        mark.seq,
        literal(&mark.range.lower),
        literal(&mark.range.upper),
    )
}

/// Notes a table, with what is to be done after its copy; keeps what is already noted.
pub fn note_sql(stream_id: u64, table: &TableName, deferred: &[String]) -> String {
    let deferred = serde_json::Value::from(deferred.to_vec()).to_string();
    format!(
        "INSERT IGNORE INTO _shardlift.copy_table (stream_id, table_name, state, deferred) VALUES ({stream_id}, {}, '{}', {})",
        quote::text(table.as_str()),
        TableState::Copying.as_str(),
        quote::text(&deferred)
    )
}

/// Takes marks away that other targets lack, so that `agreed` is what is left of each table. The rows stay, and so must be
/// followed: that is noted.
pub async fn agree(
    wire: &mut Wire,
    checkpoint: &Checkpoint,
    found: &Progress,
    agreed: &BTreeMap<TableName, TableCopy>,
) -> Result<(), EngineError> {
    let differs = |name: &TableName, marks: &Vec<Mark>| {
        let table = found.tables.get(name).filter(|table| table.state == TableState::Copying);
        table.is_some_and(|table| common(std::slice::from_ref(&table.marks)) != *marks)
    };
    let differing: Vec<_> = agreed.iter().filter(|(name, table)| differs(name, &table.marks)).collect();
    if differing.is_empty() {
        return Ok(());
    }
    let id = checkpoint.stream_id;
    wire.execute(b"START TRANSACTION").await?;
    if wire.execute(checkpoint.guard_sql().as_bytes()).await?.affected_rows != 1 {
        return Err(EngineError::NotOwner);
    }
    for (name, table) in differing {
        tracing::info!(table = %name, "chunks that not every target has are copied again");
        let name_text = quote::text(name.as_str());
        let delete = format!("DELETE FROM _shardlift.copy_chunk WHERE stream_id = {id} AND table_name = {name_text}");
        wire.execute(delete.as_bytes()).await?;
        let begun =
            format!("UPDATE _shardlift.copy_table SET begun = 1 WHERE stream_id = {id} AND table_name = {name_text}");
        wire.execute(begun.as_bytes()).await?;
        for mark in &table.marks {
            // Their ceiling is in the checkpoint's by now, their counts only inform.
            wire.execute(mark_sql(id, name, mark, 0, 0, &GtidSet::new()).as_bytes()).await?;
        }
    }
    wire.execute(b"COMMIT").await?;
    Ok(())
}

/// Moves a table to `state`.
pub fn state_sql(stream_id: u64, table: &TableName, state: TableState) -> String {
    format!(
        "UPDATE _shardlift.copy_table SET state = '{}' WHERE stream_id = {stream_id} AND table_name = {}",
        state.as_str(),
        quote::text(table.as_str())
    )
}

/// Merges the marks of a finished round for `whole`, tables whose marks have no hole between them: the last mark of each
/// stays, standing for all below its upper key, and its counts move to the table's row. The checkpoint, whose ceiling
/// must cover the marks', is stored in the same transaction.
pub async fn merge(wire: &mut Wire, checkpoint: &Checkpoint, whole: &[TableName]) -> Result<(), EngineError> {
    let id = checkpoint.stream_id;
    wire.execute(b"START TRANSACTION").await?;
    if wire.execute(checkpoint.guard_sql().as_bytes()).await?.affected_rows != 1 {
        return Err(EngineError::NotOwner);
    }
    for names in whole.chunks(500) {
        let names: Vec<_> = names.iter().map(|name| quote::text(name.as_str())).collect();
        let mine = format!("stream_id = {id} AND table_name IN ({})", names.join(","));
        let count = format!(
            "UPDATE _shardlift.copy_table t JOIN
                (SELECT table_name, SUM(rows_copied) r, SUM(bytes_copied) b, SUM(upper_key IS NULL) ended
                 FROM _shardlift.copy_chunk WHERE {mine} GROUP BY table_name) c ON c.table_name = t.table_name
             SET t.rows_copied = t.rows_copied + c.r, t.bytes_copied = t.bytes_copied + c.b,
                 t.state = IF(c.ended > 0 AND t.state = 'copying', 'copied', t.state)
             WHERE t.stream_id = {id}"
        );
        // The derived table lets MySQL read the table it deletes from.
        let prune = format!(
            "DELETE FROM _shardlift.copy_chunk WHERE {mine} AND (table_name, seq) NOT IN
                (SELECT table_name, last FROM
                    (SELECT table_name, MAX(seq) last FROM _shardlift.copy_chunk WHERE {mine} GROUP BY table_name) newest)"
        );
        let settle = format!(
            "UPDATE _shardlift.copy_chunk SET rows_copied = 0, bytes_copied = 0, lower_key = NULL, ceiling = '' WHERE {mine}"
        );
        for sql in [count, prune, settle] {
            wire.execute(sql.as_bytes()).await?;
        }
    }
    if wire.execute(checkpoint.advance_sql().as_bytes()).await?.affected_rows != 1 {
        return Err(EngineError::NotOwner);
    }
    wire.execute(b"COMMIT").await?;
    Ok(())
}
