//! Settling noted conflicts on one target: their keys are read again from every source.
//!
//! # Invariants
//! - The rows of all streams to the target are locked first: none of them applies or copies meanwhile, and each source is read
//!   behind the barrier of what its stream has applied. So what is read is not older than what is there.
//! - A table is left alone until every stream that feeds it has noted and copied it: what is written of it sooner would not
//!   be followed.
//! - Rows under the noted values are removed, whosever they are, and what the sources hold is written by the rules of
//!   [`super::write`]; what meets again is noted again. All of it is one transaction.
//! - What was read may be ahead of a stream's position; `stream.settled` says by what, and every stream takes that over into
//!   its ceiling before it stores one.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use futures_util::future::try_join_all;

use crate::engine::checkpoint::Checkpoint;
use crate::engine::connect::Side;
use crate::engine::error::EngineError;
use crate::engine::fields;
use crate::engine::sidecar::StreamKey;
use crate::engine::source::covering;
use crate::mapping::Mapping;
use crate::model::{GtidSet, Row, TableName};
use crate::mysql::quote;
use crate::mysql::wire::Wire;

use super::notes::{Note, forget_sql, load, note_sql};
use super::owners::{Ownership, SharedTable};
use super::present::read;
use super::write::{Entry, write};

/// What may be read from one source at a time, bytes.
const READ: usize = 16 << 20;
/// How long what was applied may take to be visible at a source; it was, when it was applied.
const BARRIER: Duration = Duration::from_secs(5);
/// Streams to one target.
const STREAMS: usize = 10_000;

/// One target of a stream that others feed too.
#[derive(Debug)]
pub struct Place<'a> {
    /// The stream.
    pub key: &'a StreamKey,
    /// The target.
    pub side: &'a Side,
    /// The stream's checkpoint there.
    pub checkpoint: &'a Checkpoint,
    /// Whose rows are whose.
    pub ownership: &'a Ownership,
    /// Which rows belong here.
    pub mapping: &'a Mapping,
    /// Its number among the stream's targets.
    pub target: usize,
}

/// What settling came to.
#[derive(Debug, Default)]
pub struct Settled {
    /// How many notes were read again.
    pub read: usize,
    /// What has met again.
    pub left: Vec<Note>,
}

/// Settles at most `most` notes. After an error the connection is in an open transaction.
pub async fn settle(wire: &mut Wire, place: &Place<'_>, most: usize) -> Result<Settled, EngineError> {
    if load(wire, place.key, &[], 1).await?.is_empty() {
        return Ok(Settled::default());
    }
    // Logins take time: nobody waits for them.
    let sources = place.ownership.sources();
    let mut readers = try_join_all(sources.iter().map(|source| source.side.reader())).await?;
    let mut most = most;
    loop {
        let attempt = Attempt { place, most };
        match attempt.run(wire, &mut readers).await? {
            Some(settled) => return Ok(settled),
            None => {
                wire.execute(b"ROLLBACK").await?;
                most = (most / 4).max(1);
            }
        }
    }
}

/// A stream to the target, as it stands.
struct Standing {
    id: u64,
    position: String,
    settled: GtidSet,
}

/// What a source holds under noted values, by table, and what covers that.
struct Reread {
    rows: BTreeMap<TableName, Vec<Row>>,
    seen: GtidSet,
}

struct Attempt<'a> {
    place: &'a Place<'a>,
    most: usize,
}

/// Noted values by table and key.
type Groups = BTreeMap<(TableName, String), Vec<Row>>;

impl Attempt<'_> {
    /// `None`: too much to read at once.
    async fn run(&self, wire: &mut Wire, readers: &mut [Wire]) -> Result<Option<Settled>, EngineError> {
        let Place { key, side, ownership, .. } = self.place;
        wire.execute(b"START TRANSACTION").await?;
        let Some(streams) = self.lock_streams(wire).await? else {
            wire.execute(b"ROLLBACK").await?;
            return Ok(Some(Settled::default()));
        };
        let tables = ownership.tables().map(|table| (&table.def.name, table.has_several_feeders()));
        let uncopied = uncopied(tables, &noted(wire, &streams).await?, streams.len());
        let notes = load(wire, key, &uncopied, self.most).await?;
        if notes.is_empty() {
            wire.execute(b"ROLLBACK").await?;
            return Ok(Some(Settled::default()));
        }
        let mut groups = Groups::new();
        for note in &notes {
            groups.entry((note.table.clone(), note.index.clone())).or_default().push(note.values.clone());
        }
        let each = readers.iter_mut().zip(&streams).enumerate();
        let found = try_join_all(each.map(|(source, (reader, stream))| self.reread(reader, source, stream, &groups)));
        let Some(found) = found.await?.into_iter().collect::<Option<Vec<_>>>() else { return Ok(None) };
        for ((table, index), values) in &groups {
            let shared = ownership.table(table)?;
            let by = shared.by(index).ok_or(EngineError::Sidecar("conflict names a key that is not there"))?;
            let mut sql = format!("DELETE FROM {} WHERE ", quote::table_name(&side.database, table)).into_bytes();
            quote::push_key_in(&mut sql, by, values)?;
            wire.execute(&sql).await?;
        }
        wire.execute(forget_sql(key, &notes).as_bytes()).await?;
        let mut left = Vec::new();
        for (source, reread) in found.iter().enumerate() {
            for (table, rows) in &reread.rows {
                let shared = ownership.table(table)?;
                let entries: Vec<_> = rows.iter().map(|row| entry(shared, row)).collect();
                left.extend(write(wire, &side.database, (ownership, shared), source, &entries).await?);
            }
        }
        if !left.is_empty() {
            wire.execute(note_sql(key, &left).as_bytes()).await?;
        }
        for (stream, reread) in streams.iter().zip(&found) {
            let mut settled = stream.settled.clone();
            settled.union(&reread.seen);
            let update = format!("UPDATE _shardlift.stream SET settled = '{settled}' WHERE id = {}", stream.id);
            wire.execute(update.as_bytes()).await?;
        }
        wire.execute(b"COMMIT").await?;
        Ok(Some(Settled { read: notes.len(), left }))
    }

    /// Locks the streams to this target, in the order of the sources; `None` where one has not begun.
    async fn lock_streams(&self, wire: &mut Wire) -> Result<Option<Vec<Standing>>, EngineError> {
        let Place { key, checkpoint, ownership, .. } = self.place;
        let select = format!(
            "SELECT id, source_shard, position, settled, owner_token FROM _shardlift.stream
             WHERE workflow_uid = '{}' AND direction = '{}' AND target_shard = '{}' ORDER BY id FOR UPDATE",
            key.uid, key.direction, key.target_shard
        );
        let mut found = HashMap::new();
        let mut owned = false;
        for row in wire.query_small(select.as_bytes(), STREAMS).await? {
            let [id, source, position, settled, token] = row.as_slice() else {
                return Err(EngineError::Sidecar("stream has another shape"));
            };
            let id = fields::parsed(id, "stream.id")?.unwrap_or_default();
            owned |=
                id == checkpoint.stream_id && fields::parsed(token, "stream.owner_token")? == Some(checkpoint.token);
            let position = fields::text(position).unwrap_or_default();
            let settled = fields::parsed(settled, "stream.settled")?.unwrap_or_default();
            found.insert(fields::text(source).unwrap_or_default(), Standing { id, position, settled });
        }
        if !owned {
            return Err(EngineError::NotOwner);
        }
        let sources = ownership.sources().iter();
        let streams: Option<Vec<_>> = sources.map(|source| found.remove(source.name.as_str())).collect();
        Ok(streams.filter(|streams| streams.iter().all(|stream| !stream.position.is_empty())))
    }

    async fn reread(
        &self,
        reader: &mut Wire,
        source: usize,
        stream: &Standing,
        groups: &Groups,
    ) -> Result<Option<Reread>, EngineError> {
        let Place { ownership, mapping, target, .. } = self.place;
        let Some(from) = ownership.sources().get(source) else { return Ok(None) };
        let label = &from.side.label;
        let on = |error: EngineError| error.on(label);
        let wait = format!("SELECT WAIT_FOR_EXECUTED_GTID_SET('{}', {})", stream.position, BARRIER.as_secs());
        let waited = reader.query_one(wait.as_bytes()).await.map_err(EngineError::at(label))?;
        if waited.and_then(|row| row.into_iter().next().flatten()).as_deref() != Some(b"0") {
            let what = "waiting until a source has what was read from it";
            return Err(EngineError::Timeout { what, seconds: BARRIER.as_secs() });
        }
        let (mut rows, mut bytes) = (BTreeMap::<TableName, HashMap<Row, Row>>::new(), READ);
        for ((table, index), values) in groups {
            let shared = ownership.table(table)?;
            let by = shared.by(index).ok_or(EngineError::Sidecar("conflict names a key that is not there"))?;
            let Some(found) = read(reader, &from.side.database, by, values, &mut bytes).await.map_err(on)? else {
                return Ok(None);
            };
            for row in found {
                let home = mapping.home(&shared.def, |at| row.get(*shared.def.sharding.get(at)?))?;
                if home.takes(*target) {
                    let (key, _) = entry(shared, &row);
                    rows.entry(table.clone()).or_default().insert(key, row);
                }
            }
        }
        let seen = covering(reader, label).await?;
        let rows = rows.into_iter().map(|(table, rows)| (table, rows.into_values().collect())).collect();
        Ok(Some(Reread { rows, seen }))
    }
}

fn entry(shared: &SharedTable, row: &Row) -> Entry {
    (crate::engine::apply::batch::key_of(&shared.def, row), Some(row.clone()))
}

/// Each table that a stream has noted, once for each of them, and whether that one has copied it.
async fn noted(wire: &mut Wire, streams: &[Standing]) -> Result<Vec<(TableName, bool)>, EngineError> {
    let ids: Vec<_> = streams.iter().map(|stream| stream.id.to_string()).collect();
    let select = format!(
        "SELECT table_name, state <> 'copying' FROM _shardlift.copy_table WHERE stream_id IN ({})",
        ids.join(",")
    );
    let mut noted = Vec::new();
    for row in wire.query_small(select.as_bytes(), 1_000_000).await? {
        let [table, copied] = row.as_slice() else {
            return Err(EngineError::Sidecar("copy_table has another shape"));
        };
        let table = fields::parsed(table, "copy_table.table_name")?;
        noted.push((table.ok_or(EngineError::Sidecar("copy_table.table_name"))?, copied.as_deref() == Some(b"1")));
    }
    Ok(noted)
}

/// Those of `tables`, each with whether all `streams` feed it or one alone, that one of them has still to copy. One that has
/// its position and has not noted the table yet is about to: what it will pass over is not followed.
fn uncopied<'a>(
    tables: impl Iterator<Item = (&'a TableName, bool)>,
    noted: &[(TableName, bool)],
    streams: usize,
) -> Vec<TableName> {
    let copying = |(table, several): &(&TableName, bool)| {
        let theirs = || noted.iter().filter(|(name, _)| name == *table);
        theirs().any(|(_, copied)| !copied) || theirs().count() < if *several { streams } else { 1 }
    };
    tables.filter(copying).map(|(table, _)| table.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_settled_when_every_stream_that_feeds_it_has_copied_it() {
        let (orders, country): (TableName, TableName) = ("orders".parse().unwrap(), "country".parse().unwrap());
        let uncopied = |noted: &[(&TableName, bool)]| {
            let noted: Vec<_> = noted.iter().map(|(name, copied)| ((*name).clone(), *copied)).collect();
            let found = uncopied([(&orders, true), (&country, false)].into_iter(), &noted, 3);
            found.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        let all = [(&orders, true), (&orders, true), (&orders, true), (&country, true)];
        assert_eq!(uncopied(&all), "");
        // The third has its position, and has noted nothing yet.
        assert_eq!(uncopied(&all[1..]), "orders");
        assert_eq!(uncopied(&all[..3]), "country");
        assert_eq!(uncopied(&[(&orders, true), (&orders, false), (&orders, true), (&country, true)]), "orders");
        assert_eq!(uncopied(&[]), "orders country");
    }
}
