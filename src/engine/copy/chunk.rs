//! Copies one chunk: a short autocommit range read on the source, streamed into the targets, each row where it belongs.
//!
//! # Invariants
//! - On each target the chunk's rows and its mark are committed together, under the owner guard; or not at all. A crash may
//!   leave it on some targets only: then it is copied again to all.
//! - What is on the target already is overwritten: an event may have put a row of this range there before (design §4.1).
//! - The mark carries what covers the rows, read *after* them ([`covering`]),
//!   so that a source that later lacks any of it is found out.
//! - A chunk that proves much larger than planned is cut short at a row, and its mark says so; no read goes on for long.
//! - Each target must have taken exactly the rows that were sent, without a warning.

use std::sync::Arc;

use futures_util::future::{join_all, try_join_all};
use tokio::sync::mpsc;

use crate::engine::apply::batch::key_of;
use crate::engine::apply::shared::Shared;
use crate::engine::apply::writer::Writer;
use crate::engine::checkpoint::Checkpoint;
use crate::engine::conflict::notes::note_sql;
use crate::engine::conflict::write::write;
use crate::engine::connect::Side;
use crate::engine::error::EngineError;
use crate::engine::fields;
use crate::engine::source::covering;
use crate::engine::targets::Targets;
use crate::engine::throttle::Valve;
use crate::mapping::Mapping;
use crate::model::{ColumnKind, DatabaseName, GtidSet, Row, TableDef};
use crate::mysql::quote;
use crate::mysql::wire::Wire;

use super::gaps::{Mark, Range};
use super::marks::mark_sql;
use super::planner::Chunk;
use super::reading::{PIECES, Piece, Reading};

/// What a chunk came to, and what is left of its range when it was cut short.
#[derive(Debug)]
pub struct Outcome {
    /// Rows and bytes.
    pub counts: Copied,
    /// The rest, to be copied as a chunk of its own.
    pub rest: Option<Mark>,
}

/// What was copied.
#[derive(Debug, Clone, Copy, Default)]
pub struct Copied {
    /// Rows.
    pub rows: u64,
    /// Bytes as encoded for the target.
    pub bytes: u64,
    /// The largest row, bytes.
    pub largest: u64,
}

/// How rows are handed to the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// LOAD DATA LOCAL INFILE … REPLACE, fed from memory.
    Load,
    /// Multi-row REPLACE statements; where LOCAL is not allowed, or a value needs more care than it gives.
    Insert,
    /// As rows, to a target that other sources feed too.
    Shared,
}

/// Connections that copy chunks one after another.
#[derive(Debug)]
pub struct Copier {
    source: Side,
    source_uuid: String,
    reader: Wire,
    mapping: Arc<Mapping>,
    targets: Vec<Loader>,
    method: Method,
    valve: Valve,
    cut: u64,
}

/// The connection to one target.
#[derive(Debug)]
struct Loader {
    side: Side,
    checkpoint: Checkpoint,
    shared: Option<Shared>,
    wire: Wire,
}

impl Copier {
    /// Connects all ends; `slot` is the number of the writing connections among the stream's.
    pub async fn connect(
        source: &Side,
        source_uuid: &str,
        targets: &Targets,
        mapping: &Arc<Mapping>,
        method: Method,
        valve: Valve,
        slot: u32,
    ) -> Result<Self, EngineError> {
        let loader = async |target: &Writer| {
            let (side, checkpoint) = (target.side().clone(), target.checkpoint.clone());
            Ok(Loader { wire: side.writer(&checkpoint, slot).await?, side, checkpoint, shared: target.shared.clone() })
        };
        let loaders = try_join_all(targets.iter().map(loader));
        let (reader, targets) = tokio::try_join!(source.reader_on(source_uuid), loaders)?;
        let (source, source_uuid, mapping) = (source.clone(), source_uuid.to_string(), mapping.clone());
        Ok(Self { source, source_uuid, reader, mapping, targets, method, valve, cut: u64::MAX })
    }

    /// Cuts chunks short at about `bytes`.
    pub fn cut_at(self, bytes: u64) -> Self {
        Self { cut: bytes, ..self }
    }

    /// Copies `chunk`. After an error all connections are to be dropped.
    pub async fn copy(&mut self, chunk: &Chunk) -> Result<Outcome, EngineError> {
        match self.attempt(chunk, self.method).await {
            Err(error) if self.method == Method::Load && may_need_care(&chunk.table) && is_data_error(&error) => {
                self.rollback().await?;
                self.attempt(chunk, Method::Insert).await
            }
            outcome => outcome,
        }
    }

    /// Undoes a chunk that failed, to try it again.
    pub async fn rollback(&mut self) -> Result<(), EngineError> {
        if !self.reader.is_usable() {
            self.reader = self.source.reader_on(&self.source_uuid).await?;
        }
        for target in &mut self.targets {
            target.wire.execute(b"ROLLBACK").await.map_err(EngineError::at(&target.side.label))?;
        }
        Ok(())
    }

    async fn attempt(&mut self, chunk: &Chunk, method: Method) -> Result<Outcome, EngineError> {
        let table = &chunk.table;
        try_join_all(self.targets.iter_mut().map(Loader::begin)).await?;
        let select = self.select_sql(chunk)?;
        let channels = self.targets.iter().map(|_| mpsc::channel(PIECES));
        let (senders, pieces): (Vec<_>, Vec<_>) = channels.unzip();
        let (label, mapping) = (&self.source.label, &*self.mapping);
        let reading = Reading { label, table, mapping, method, valve: &self.valve, cut: self.cut };
        let read = reading.run(&mut self.reader, &select, senders);
        let each = self.targets.iter_mut().zip(pieces);
        let write = try_join_all(each.map(|(target, pieces)| target.take(method, table, pieces)));
        let (read, written) = tokio::join!(read, write);
        // A writer's error comes first: a reader whose pieces nobody takes only says so.
        let written = written?;
        let (copied, cut) = read?;
        for (copied, written) in copied.iter().zip(written) {
            if written != copied.rows {
                let detail = format!("{} rows were read and {written} written", copied.rows);
                return Err(EngineError::Inexact { table: table.name.clone(), detail });
            }
        }
        let (mark, rest) = split(&chunk.mark, cut);
        if rest.is_some() {
            // The rows that were not read are still on their way.
            self.reader = self.source.reader_on(&self.source_uuid).await?;
        }
        let ceiling = covering(&mut self.reader, &self.source.label).await?;
        let each = self.targets.iter_mut().zip(&copied);
        let ends = each.map(|(target, copied)| target.end(table, &mark, copied, &ceiling));
        // All to their ends: an error of one cuts no other's commit short.
        join_all(ends).await.into_iter().collect::<Result<(), _>>()?;
        let counts = copied.iter().fold(Copied::default(), |sum, one| Copied {
            rows: sum.rows + one.rows,
            bytes: sum.bytes + one.bytes,
            largest: sum.largest.max(one.largest),
        });
        Ok(Outcome { counts, rest })
    }

    fn select_sql(&self, chunk: &Chunk) -> Result<Vec<u8>, EngineError> {
        let table = &chunk.table;
        let mut sql = format!("SELECT {} FROM ", quote::select_list(&table.columns)).into_bytes();
        quote::push_keyed_table(&mut sql, &self.source.database, table);
        sql.extend_from_slice(b" WHERE ");
        let range = &chunk.mark.range;
        quote::push_range_predicate(&mut sql, table, range.lower.as_ref(), range.upper.as_ref())?;
        quote::push_key_order(&mut sql, table, false);
        Ok(sql)
    }
}

impl Loader {
    /// Begins a transaction as the stream's owner.
    async fn begin(&mut self) -> Result<(), EngineError> {
        let at = EngineError::at(&self.side.label);
        let guard = format!("START TRANSACTION;{}", self.checkpoint.guard_sql());
        let results = self.wire.execute_script(guard.as_bytes()).await.map_err(&at)?;
        let owned = results.into_iter().collect::<Result<Vec<_>, _>>().map_err(&at)?;
        if owned.last().is_none_or(|done| done.affected_rows != 1) {
            return Err(EngineError::NotOwner);
        }
        Ok(())
    }

    /// Writes `pieces`; how many rows the server says it took.
    async fn take(
        &mut self,
        method: Method,
        table: &TableDef,
        pieces: mpsc::Receiver<Piece>,
    ) -> Result<u64, EngineError> {
        let database = &self.side.database;
        let taken = match method {
            Method::Load => load(&mut self.wire, database, table, pieces).await,
            Method::Insert => insert(&mut self.wire, database, table, pieces).await,
            Method::Shared => match &self.shared {
                Some(shared) => share(&mut self.wire, database, table, shared, pieces).await,
                None => Err(EngineError::Sidecar("a target's other sources")),
            },
        };
        taken.map_err(|error| error.on(&self.side.label))
    }

    /// Commits what was taken, with the chunk's mark.
    async fn end(
        &mut self,
        table: &TableDef,
        mark: &Mark,
        copied: &Copied,
        ceiling: &GtidSet,
    ) -> Result<(), EngineError> {
        let at = EngineError::at(&self.side.label);
        let mark = mark_sql(self.checkpoint.stream_id, &table.name, mark, copied.rows, copied.bytes, ceiling);
        self.wire.execute(mark.as_bytes()).await.map_err(&at)?;
        self.wire.execute(b"COMMIT").await.map_err(&at)?;
        Ok(())
    }
}

/// Whether a row may hold what statements can say of it and LOAD DATA cannot: that an ENUM holds the error value, or a
/// JSON document a DECIMAL.
fn may_need_care(table: &TableDef) -> bool {
    table.columns.iter().any(|column| matches!(column.kind, ColumnKind::Enum | ColumnKind::Json))
}

/// A value the target could not take as it is (as opposed to a lost connection, a deadlock, …).
fn is_data_error(error: &EngineError) -> bool {
    match error {
        EngineError::Inexact { .. } => true,
        EngineError::Mysql { source, .. } | EngineError::Server(source) => {
            matches!(source.code(), Some(1265 | 1292 | 1366 | 1048))
        }
        _ => false,
    }
}

/// What was copied of `planned` when the last row has the key `cut`, and what was not.
fn split(planned: &Mark, cut: Option<Row>) -> (Mark, Option<Mark>) {
    let Some(cut) = cut else { return (planned.clone(), None) };
    let Range { lower, upper } = planned.range.clone();
    let rest = Mark { seq: planned.seq + 1, range: Range { lower: Some(cut.clone()), upper } };
    (Mark { seq: planned.seq, range: Range { lower, upper: Some(cut) } }, Some(rest))
}

async fn load(
    writer: &mut Wire,
    database: &DatabaseName,
    table: &TableDef,
    mut pieces: mpsc::Receiver<Piece>,
) -> Result<u64, EngineError> {
    let Some(first) = pieces.recv().await else { return Ok(0) };
    let sql = quote::load_data(database, table, quote::OnDuplicate::Replace);
    let mut load = writer.load(sql.as_bytes()).await?;
    load.send(&first.bytes).await?;
    while let Some(piece) = pieces.recv().await {
        load.send(&piece.bytes).await?;
    }
    let done = load.finish().await?;
    let counts = done.load_counts().unwrap_or_default();
    if done.warnings > 0 || counts.skipped > 0 {
        let warnings = writer.query_small(b"SHOW WARNINGS LIMIT 3", 3).await?;
        let first: Vec<_> = warnings.iter().filter_map(|row| row.get(2).and_then(fields::text)).collect();
        let detail =
            format!("LOAD DATA: {} warning(s), {} skipped: {}", done.warnings, counts.skipped, first.join("; "));
        return Err(EngineError::Inexact { table: table.name.clone(), detail });
    }
    Ok(counts.records)
}

async fn insert(
    writer: &mut Wire,
    database: &DatabaseName,
    table: &TableDef,
    mut pieces: mpsc::Receiver<Piece>,
) -> Result<u64, EngineError> {
    let mut written = 0;
    while let Some(piece) = pieces.recv().await {
        let hint = if piece.enum_errors > 0 { quote::insert_hint() } else { String::new() };
        let mut sql = format!("REPLACE {hint} INTO {} (", quote::table_name(database, &table.name)).into_bytes();
        quote::push_column_list(&mut sql, table);
        sql.extend_from_slice(b") VALUES ");
        sql.extend_from_slice(&piece.bytes);
        let done = writer.execute(&sql).await?;
        if u64::from(done.warnings) != piece.enum_errors.min(u64::from(u16::MAX)) {
            let detail = format!("REPLACE: {} warning(s), {} expected", done.warnings, piece.enum_errors);
            return Err(EngineError::Inexact { table: table.name.clone(), detail });
        }
        written += piece.rows;
    }
    Ok(written)
}

/// What meets a row of another source is left out, and noted.
async fn share(
    writer: &mut Wire,
    database: &DatabaseName,
    table: &TableDef,
    shared: &Shared,
    mut pieces: mpsc::Receiver<Piece>,
) -> Result<u64, EngineError> {
    let (ownership, mut taken) = (&*shared.ownership, 0);
    let known = ownership.table(&table.name)?;
    while let Some(piece) = pieces.recv().await {
        taken += piece.rows;
        let entries: Vec<_> = piece.kept.into_iter().map(|row| (key_of(table, &row), Some(row))).collect();
        let notes = write(writer, database, (ownership, known), ownership.own(), &entries).await?;
        if !notes.is_empty() {
            writer.execute(note_sql(&shared.key, &notes).as_bytes()).await?;
        }
    }
    Ok(taken)
}
