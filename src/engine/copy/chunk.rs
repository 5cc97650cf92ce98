//! Copies one chunk: a short autocommit range read on the source, streamed into the target.
//!
//! # Invariants
//! - The chunk's rows and its mark are committed together, under the owner guard; or not at all.
//! - What is on the target already is overwritten: an event may have put a row of this range there before (design §4.1).
//! - The mark carries the source's `gtid_executed` read *after* the rows, so that a source that later lacks any of it is
//!   found out.
//! - The target must have taken exactly the rows that were sent, without a warning.

use tokio::sync::mpsc;

use crate::engine::apply::sql::{STATEMENT_BYTES, enum_errors};
use crate::engine::checkpoint::Checkpoint;
use crate::engine::connect::Side;
use crate::engine::error::EngineError;
use crate::engine::fields;
use crate::engine::throttle::Valve;
use crate::model::{ColumnKind, DatabaseName, GtidSet, Row, TableDef};
use crate::mysql::quote;
use crate::mysql::wire::Wire;

use super::marks::mark_sql;
use super::planner::Chunk;

/// Encoded rows travel from reader to writer in pieces of this size, a few at a time.
const PIECE_BYTES: usize = 256 << 10;
const PIECES: usize = 4;

/// What a chunk came to.
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
}

/// A pair of connections that copies chunks one after another.
#[derive(Debug)]
pub struct Copier {
    source: Side,
    source_uuid: String,
    target: Side,
    reader: Wire,
    writer: Wire,
    checkpoint: Checkpoint,
    method: Method,
    valve: Valve,
}

impl Copier {
    /// Connects both ends; `slot` is the number of the writing connection among the stream's.
    pub async fn connect(
        source: &Side,
        source_uuid: &str,
        target: &Side,
        checkpoint: &Checkpoint,
        method: Method,
        valve: Valve,
        slot: u32,
    ) -> Result<Self, EngineError> {
        let (reader, writer) = (source.reader_on(source_uuid).await?, target.writer(checkpoint, slot).await?);
        let (source, target, checkpoint) = (source.clone(), target.clone(), checkpoint.clone());
        let source_uuid = source_uuid.to_string();
        Ok(Self { source, source_uuid, target, reader, writer, checkpoint, method, valve })
    }

    /// Copies `chunk`. After an error both connections are to be dropped.
    pub async fn copy(&mut self, chunk: &Chunk) -> Result<Copied, EngineError> {
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
        self.writer.execute(b"ROLLBACK").await.map_err(EngineError::at(&self.target.label))?;
        Ok(())
    }

    async fn attempt(&mut self, chunk: &Chunk, method: Method) -> Result<Copied, EngineError> {
        let at_target = EngineError::at(&self.target.label);
        let at_source = EngineError::at(&self.source.label);
        let table = &chunk.table;
        let guard = format!("START TRANSACTION;{}", self.checkpoint.guard_sql());
        let results = self.writer.execute_script(guard.as_bytes()).await.map_err(&at_target)?;
        let owned = results.into_iter().collect::<Result<Vec<_>, _>>().map_err(&at_target)?;
        if owned.last().is_none_or(|done| done.affected_rows != 1) {
            return Err(EngineError::NotOwner);
        }
        let select = self.select_sql(chunk)?;
        let (sender, pieces) = mpsc::channel(PIECES);
        let read = read(&mut self.reader, &self.source.label, &select, table, method, &self.valve, sender);
        let database = &self.target.database;
        let write = async {
            match method {
                Method::Load => load(&mut self.writer, database, table, pieces).await,
                Method::Insert => insert(&mut self.writer, database, table, pieces).await,
            }
        };
        let (read, written) = tokio::join!(read, write);
        // The writer's error comes first: a reader whose pieces nobody takes only says so.
        let written = written?;
        let copied = read?;
        if written != copied.rows {
            let detail = format!("{} rows were read and {written} written", copied.rows);
            return Err(EngineError::Inexact { table: table.name.clone(), detail });
        }
        let seen =
            self.reader.query_one(b"SELECT @@global.gtid_executed").await.map_err(&at_source)?.unwrap_or_default();
        let ceiling: Option<GtidSet> = seen.first().map_or(Ok(None), |value| fields::parsed(value, "gtid_executed"))?;
        let stream = self.checkpoint.stream_id;
        let ceiling = ceiling.unwrap_or_default();
        let mark = mark_sql(stream, &table.name, &chunk.mark, copied.rows, copied.bytes, &ceiling);
        self.writer.execute(mark.as_bytes()).await.map_err(&at_target)?;
        self.writer.execute(b"COMMIT").await.map_err(&at_target)?;
        Ok(copied)
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

/// Encoded rows: for [`Method::Load`] lines, for [`Method::Insert`] one `(…),(…)` list.
#[derive(Debug)]
struct Piece {
    bytes: Vec<u8>,
    /// Values that can only be written with strict mode off, each giving one warning.
    enum_errors: u64,
    rows: u64,
}

async fn read(
    reader: &mut Wire,
    label: &str,
    select: &[u8],
    table: &TableDef,
    method: Method,
    valve: &Valve,
    pieces: mpsc::Sender<Piece>,
) -> Result<Copied, EngineError> {
    let at_source = EngineError::at(label);
    let size = if method == Method::Load { PIECE_BYTES } else { STATEMENT_BYTES };
    let empty = || Piece { bytes: Vec::with_capacity(size + size / 8), enum_errors: 0, rows: 0 };
    let mut copied = Copied::default();
    let mut piece = empty();
    let mut rows = reader.query(select).await.map_err(&at_source)?;
    while let Some(row) = rows.next().await.map_err(&at_source)? {
        copied.largest = copied.largest.max(row.packet().len() as u64);
        match method {
            Method::Load => {
                for (place, (column, value)) in table.columns.iter().zip(row.values()).enumerate() {
                    if place > 0 {
                        piece.bytes.push(b'\t');
                    }
                    if column.kind == ColumnKind::Json && value.is_some_and(quote::holds_decimal) {
                        let detail = format!("LOAD DATA: a DECIMAL in a JSON document of column {}", column.name);
                        return Err(EngineError::Inexact { table: table.name.clone(), detail });
                    }
                    let Some(value) = value.filter(|value| value.len() > PIECE_BYTES) else {
                        quote::push_load_field(&mut piece.bytes, value);
                        continue;
                    };
                    // A field is encoded byte by byte, so a large one may travel in several pieces.
                    for part in value.chunks(PIECE_BYTES) {
                        quote::push_load_field(&mut piece.bytes, Some(part));
                        if !flush(&pieces, &mut piece, &mut copied, valve, empty).await {
                            return Ok(copied);
                        }
                    }
                }
                piece.bytes.push(b'\n');
            }
            Method::Insert => {
                let row: Row = row.values().collect();
                let errors = enum_errors(table, &row);
                let other = (errors > 0) != (piece.enum_errors > 0);
                if piece.rows > 0 && other && !flush(&pieces, &mut piece, &mut copied, valve, empty).await {
                    break;
                }
                piece.enum_errors += errors;
                if piece.rows > 0 {
                    piece.bytes.push(b',');
                }
                quote::push_row(&mut piece.bytes, table, &row);
            }
        }
        piece.rows += 1;
        if piece.bytes.len() >= size && !flush(&pieces, &mut piece, &mut copied, valve, empty).await {
            break;
        }
    }
    flush(&pieces, &mut piece, &mut copied, valve, empty).await;
    // A writer that failed leaves rows unread; the connection is dropped with the error it reports.
    Ok(copied)
}

async fn flush(
    pieces: &mpsc::Sender<Piece>,
    piece: &mut Piece,
    copied: &mut Copied,
    valve: &Valve,
    empty: impl Fn() -> Piece,
) -> bool {
    if piece.bytes.is_empty() {
        return true;
    }
    copied.rows += piece.rows;
    copied.bytes += piece.bytes.len() as u64;
    valve.charge(piece.rows, piece.bytes.len() as u64);
    pieces.send(std::mem::replace(piece, empty())).await.is_ok()
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
