//! Noted conflicts: unique values whose rows have to be read again from all sources.

use sha2::{Digest, Sha256};

use crate::engine::error::EngineError;
use crate::engine::fields;
use crate::engine::sidecar::StreamKey;
use crate::model::{Row, TableName};
use crate::mysql::admin::Session;
use crate::mysql::quote;
use crate::mysql::wire::Wire;

/// One value of one unique key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Note {
    /// The table.
    pub table: TableName,
    /// The key.
    pub index: String,
    /// The value.
    pub values: Row,
}

/// The condition that names the notes of all streams to one target.
fn of(key: &StreamKey) -> String {
    format!(
        "workflow_uid = '{}' AND direction = '{}' AND target_shard = '{}'",
        key.uid, key.direction, key.target_shard
    )
}

/// The statement that notes `notes`; those that are there stay as they are.
pub fn note_sql(key: &StreamKey, notes: &[Note]) -> String {
    let row = |note: &Note| {
        let (table, index) = (quote::text(note.table.as_str()), quote::text(&note.index));
        let values = note.values.encode();
        format!(
            "('{}','{}','{}',{table},{index},X'{}',X'{}')",
            key.uid,
            key.direction,
            key.target_shard,
            hex(&Sha256::digest(&values)),
            hex(&values)
        )
    };
    let rows: Vec<_> = notes.iter().map(row).collect();
    format!(
        "INSERT IGNORE INTO _shardlift.conflict
            (workflow_uid, direction, target_shard, table_name, index_name, digest, key_values) VALUES {}",
        rows.join(",")
    )
}

/// The statement that forgets `notes`.
pub fn forget_sql(key: &StreamKey, notes: &[Note]) -> String {
    let one = |note: &Note| {
        let (table, index) = (quote::text(note.table.as_str()), quote::text(&note.index));
        format!("({table},{index},X'{}')", hex(&Sha256::digest(note.values.encode())))
    };
    let all: Vec<_> = notes.iter().map(one).collect();
    format!(
        "DELETE FROM _shardlift.conflict WHERE {} AND (table_name, index_name, digest) IN ({})",
        of(key),
        all.join(",")
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |hex, byte| hex + &format!("{byte:02x}"))
}

/// At most `most` of the notes on a target, but for tables in `not`.
pub async fn load(wire: &mut Wire, key: &StreamKey, not: &[TableName], most: usize) -> Result<Vec<Note>, EngineError> {
    let mut select = format!("SELECT table_name, index_name, key_values FROM _shardlift.conflict WHERE {}", of(key));
    if !not.is_empty() {
        select += &format!(" AND table_name NOT IN {}", quote::text_list(not.iter().map(TableName::as_str)));
    }
    select += &format!(" ORDER BY table_name, index_name, digest LIMIT {most}");
    let mut notes = Vec::new();
    for row in wire.query_small(select.as_bytes(), most).await? {
        let [table, index, values] = row.as_slice() else {
            return Err(EngineError::Sidecar("conflict has another shape"));
        };
        let table = fields::parsed(table, "conflict.table_name")?.ok_or(EngineError::Sidecar("conflict.table_name"))?;
        let index = fields::text(index).unwrap_or_default();
        let values = values.as_deref().and_then(Row::decode).ok_or(EngineError::Sidecar("conflict.key_values"))?;
        notes.push(Note { table, index, values });
    }
    Ok(notes)
}

/// How many keys are noted on a target and not settled.
pub async fn count(session: &mut Session, key: &StreamKey) -> Result<u64, EngineError> {
    let ask = format!("SELECT COUNT(*) FROM _shardlift.conflict WHERE {}", of(key));
    let row = session.row(&ask).await?;
    Ok(row.and_then(|row| row.number(0)).unwrap_or(0))
}
