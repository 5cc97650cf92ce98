//! Hands out chunks: first the holes a crash left, then each table's front, table after table.
//!
//! A chunk's upper key is found by an index read of as many rows as make up the wanted bytes, by the average row length
//! known so far; so chunks follow the data, not the numbers in its keys.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::engine::error::EngineError;
use crate::engine::throttle::Valve;
use crate::model::{DatabaseName, Row, TableDef, TableName};
use crate::mysql::quote;
use crate::mysql::wire::Wire;

use super::chunk::Copied;
use super::gaps::{Left, Mark, Range, STRIDE};

/// Rows per chunk stay within these bounds whatever their length.
const ROWS: std::ops::RangeInclusive<u64> = 1..=500_000;
/// A table with a row this long, or with rows of [`LONG_ON_AVERAGE`], is copied one chunk at a time: each connection holds
/// one row in memory.
const LONG_ROW: u64 = 4 << 20;
const LONG_ON_AVERAGE: u64 = 64 << 10;

/// A table that still has rows to copy.
#[derive(Debug)]
pub struct Pending {
    /// The table.
    pub table: Arc<TableDef>,
    /// What is left of it.
    pub left: Left,
    /// Average row length in bytes, as known so far.
    pub row_bytes: u64,
    /// Average row length in bytes by the source's statistics: chunks are never planned for shorter rows.
    pub average: u64,
    /// The longest row met so far, bytes.
    pub longest: u64,
}

impl Pending {
    fn is_long(&self) -> bool {
        self.longest >= LONG_ROW || self.row_bytes >= LONG_ON_AVERAGE
    }
}

/// A chunk to copy.
#[derive(Debug)]
pub struct Chunk {
    /// Of which table.
    pub table: Arc<TableDef>,
    /// Its place and range.
    pub mark: Mark,
    /// Whether its rows are so long that no other such chunk should be copied beside it.
    pub long: bool,
}

/// The chunks of a round.
#[derive(Debug)]
pub struct Planner {
    wire: Wire,
    database: DatabaseName,
    chunk_bytes: u64,
    valve: Valve,
    pending: VecDeque<Pending>,
}

impl Planner {
    /// Plans over `pending` on a connection of its own, chunks of `chunk_bytes` or of what `valve` allows.
    pub fn new(wire: Wire, database: DatabaseName, chunk_bytes: u64, valve: Valve, pending: Vec<Pending>) -> Self {
        Self { wire, database, chunk_bytes, valve, pending: pending.into() }
    }

    /// The next chunk; `None` when all tables are handed out.
    pub async fn next(&mut self) -> Result<Option<Chunk>, EngineError> {
        while let Some(pending) = self.pending.front_mut() {
            let (table, long) = (pending.table.clone(), pending.is_long());
            if let Some(mark) = pending.left.holes.pop() {
                return Ok(Some(Chunk { table, mark, long }));
            }
            if let Some((lower, seq)) = pending.left.front.take() {
                let rows = (self.chunk_bytes / pending.row_bytes.max(pending.average).max(1))
                    .clamp(*ROWS.start(), *ROWS.end());
                let rows = self.valve.chunk_rows(rows, pending.row_bytes);
                let sql = boundary_sql(&self.database, &table, lower.as_ref(), rows)?;
                let found = self.wire.query_one(&sql).await?;
                let upper: Option<Row> = found.map(|row| row.iter().map(|value| value.as_deref()).collect());
                pending.left.front = upper.clone().map(|upper| (Some(upper), seq + STRIDE));
                return Ok(Some(Chunk { table, mark: Mark { seq, range: Range { lower, upper } }, long }));
            }
            self.pending.pop_front();
        }
        Ok(None)
    }

    /// Takes back what a chunk of `table` that was cut short has left.
    pub fn take_back(&mut self, table: &Arc<TableDef>, rest: Mark, copied: &Copied) {
        let at = self.pending.iter().position(|pending| pending.table.name == table.name);
        match at.and_then(|at| self.pending.get_mut(at)) {
            Some(pending) => pending.left.holes.push(rest),
            None => {
                let row_bytes = copied.bytes.checked_div(copied.rows).unwrap_or(1);
                let left = Left { holes: vec![rest], front: None };
                let pending = Pending { table: table.clone(), left, row_bytes, average: 0, longest: copied.largest };
                self.pending.push_front(pending);
            }
        }
    }

    /// The tables of which a hole has not been handed out: their marks must not be merged yet.
    pub fn holed(&self) -> Vec<TableName> {
        let holed = self.pending.iter().filter(|pending| !pending.left.holes.is_empty());
        holed.map(|pending| pending.table.name.clone()).collect()
    }

    /// Learns from a copied chunk how long rows of its table are.
    pub fn learn(&mut self, table: &TableDef, copied: &Copied) {
        let Some(pending) = self.pending.iter_mut().find(|p| p.table.name == table.name) else { return };
        pending.longest = pending.longest.max(copied.largest);
        if let Some(average) = copied.bytes.checked_div(copied.rows) {
            pending.row_bytes = (pending.row_bytes + average.max(1)) / 2;
        }
    }
}

/// The key of the `rows`-th row after `lower`.
fn boundary_sql(
    database: &DatabaseName,
    table: &TableDef,
    lower: Option<&Row>,
    rows: u64,
) -> Result<Vec<u8>, EngineError> {
    let mut sql = format!("SELECT {} FROM ", quote::select_list(table.key_columns())).into_bytes();
    quote::push_keyed_table(&mut sql, database, table);
    sql.extend_from_slice(b" WHERE ");
    quote::push_range_predicate(&mut sql, table, lower, None)?;
    quote::push_key_order(&mut sql, table, false);
    sql.extend_from_slice(format!(" LIMIT 1 OFFSET {}", rows - 1).as_bytes());
    Ok(sql)
}
