//! Settling for the last time, when the sources are closed and their streams have passed everything: what still meets is
//! held by several sources for good.

use std::fmt;
use std::sync::Arc;

use crate::engine::checkpoint::Checkpoint;
use crate::engine::connect::slot;
use crate::engine::error::EngineError;
use crate::engine::sidecar;
use crate::engine::stream::{StreamSpec, TargetSpec};
use crate::mapping::Mapping;
use crate::model::{Row, ShardName, TableDef, TableName};
use crate::mysql::schema::read_source_tables;
use crate::mysql::wire::Wire;

use super::notes::{Note, load};
use super::owners::{Ownership, SourceShard};
use super::present::read;
use super::settle::{Place, settle};

/// More notes than this are not settled while everybody waits.
const MOST: usize = 5_000;
/// Each time what is noted gets less, or it is what it will be.
const ROUNDS: usize = 20;
/// So many duplicates are named.
const NAMED: usize = 20;
/// What is shown of a value, characters.
const SHOWN: usize = 64;

/// A value that several source shards hold in a unique key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duplicate {
    /// The table.
    pub table: TableName,
    /// The key.
    pub index: String,
    /// The value, for people.
    pub value: String,
    /// The shards.
    pub shards: Vec<ShardName>,
}

impl fmt::Display for Duplicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, index, value, shards } = self;
        let shards: Vec<_> = shards.iter().map(ShardName::as_str).collect();
        write!(f, "table {table}, key `{index}`, value {value}: held by the shards {}", shards.join(" and "))
    }
}

/// Settles what is noted on all targets of `spec`, any one of the streams to them; none of them runs, and their sources are
/// closed. What is left is returned: while there is any, the targets do not hold what the sources do.
pub async fn settle_final(spec: &StreamSpec) -> Result<Vec<Duplicate>, EngineError> {
    let Some(owners) = &spec.owners else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for (number, target) in spec.targets.iter().enumerate() {
        let mut session = target.side.session().await?;
        let (stream, token) = sidecar::owner(&mut session, &target.key)
            .await?
            .ok_or(EngineError::Sidecar("the stream's row is missing"))?;
        let checkpoint = Checkpoint::held(stream, token, target.key.uid);
        let mut wire = target.side.writer(&checkpoint, slot::SETTLE).await?;
        if load(&mut wire, &target.key, &[], 1).await?.is_empty() {
            continue;
        }
        let tables = read_source_tables(&mut session, &target.side.database, &spec.tables).await?;
        session.close().await;
        let mut mapping = spec.mapping.clone();
        let mut shared = Vec::new();
        for table in &tables {
            let sharding = mapping.bind(&table.def)?;
            shared.push((table, Arc::new(TableDef { sharding, ..table.def.clone() })));
        }
        let ownership = Ownership::bind(owners.clone(), shared)?;
        let last = Last { target, checkpoint: &checkpoint, ownership: &ownership, mapping: &mapping, number };
        found.extend(last.settle(&mut wire).await.map_err(|error| error.on(&target.side.label))?);
    }
    Ok(found)
}

struct Last<'a> {
    target: &'a TargetSpec,
    checkpoint: &'a Checkpoint,
    ownership: &'a Ownership,
    mapping: &'a Mapping,
    number: usize,
}

impl Last<'_> {
    async fn settle(&self, wire: &mut Wire) -> Result<Vec<Duplicate>, EngineError> {
        let Self { target, checkpoint, ownership, mapping, number } = self;
        let (key, side, target) = (&target.key, &target.side, *number);
        let place = Place { key, side, checkpoint, ownership, mapping, target };
        let mut before = load(wire, key, &[], MOST).await?;
        for _ in 0..ROUNDS {
            settle(wire, &place, MOST).await?;
            let after = load(wire, key, &[], MOST).await?;
            if after.is_empty() {
                return Ok(Vec::new());
            }
            if after == before {
                break;
            }
            before = after;
        }
        let mut found = Vec::new();
        for note in before.iter().take(NAMED) {
            let mut shards = Vec::new();
            for source in ownership.sources() {
                if self.holds(source, note).await? {
                    shards.push(source.name.clone());
                }
            }
            if shards.len() > 1 {
                let (table, index) = (note.table.clone(), note.index.clone());
                found.push(Duplicate { table, index, value: shown(&note.values), shards });
            }
        }
        match found.is_empty() {
            // Each row is held once, and yet they cannot stand side by side: by another key of theirs, further down.
            true => Err(EngineError::Unsettled { count: before.len() }),
            false => Ok(found),
        }
    }

    async fn holds(&self, source: &SourceShard, note: &Note) -> Result<bool, EngineError> {
        let by = self.ownership.table(&note.table)?.by(&note.index);
        let by = by.ok_or(EngineError::Sidecar("conflict names a key that is not there"))?;
        let mut wire = source.side.reader().await?;
        let (values, mut room) = (std::slice::from_ref(&note.values), usize::MAX);
        let held = read(&mut wire, &source.side.database, by, values, &mut room).await;
        let held = held.map_err(|error| error.on(&source.side.label))?;
        wire.close().await;
        Ok(held.is_some_and(|rows| !rows.is_empty()))
    }
}

fn shown(values: &Row) -> String {
    let text = |value: Option<&[u8]>| value.map_or("NULL".into(), |bytes| String::from_utf8_lossy(bytes).into_owned());
    let all: Vec<_> = values.values().map(text).collect();
    let all = all.join(", ");
    match all.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("'{}…'", &all[..end]),
        None => format!("'{all}'"),
    }
}
