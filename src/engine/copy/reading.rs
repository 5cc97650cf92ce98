//! The reading half of a chunk's copy: rows as the server sends them, encoded for the target, piece by piece.

use tokio::sync::mpsc;

use crate::engine::apply::sql::{STATEMENT_BYTES, enum_errors};
use crate::engine::error::EngineError;
use crate::engine::throttle::Valve;
use crate::model::{ColumnKind, Row, TableDef};
use crate::mysql::quote;
use crate::mysql::wire::{RawRow, Wire};

use super::chunk::{Copied, Method};

/// Encoded rows travel from reader to writer in pieces of this size, a few at a time.
const PIECE_BYTES: usize = 256 << 10;
/// How many pieces may wait for the writer.
pub const PIECES: usize = 4;

/// Encoded rows: for [`Method::Load`] lines, for [`Method::Insert`] one `(…),(…)` list.
#[derive(Debug, Default)]
pub struct Piece {
    /// The text.
    pub bytes: Vec<u8>,
    /// Values that can only be written with strict mode off, each giving one warning.
    pub enum_errors: u64,
    /// Rows that end in it.
    pub rows: u64,
}

/// What is read, and how far.
#[derive(Debug)]
pub struct Reading<'a> {
    /// The source, for messages.
    pub label: &'a str,
    /// Its table, as the target has it.
    pub table: &'a TableDef,
    /// What rows are encoded for.
    pub method: Method,
    /// Told of every piece.
    pub valve: &'a Valve,
    /// Bytes as received after which no further row is read.
    pub cut: u64,
}

impl Reading<'_> {
    /// Reads `select` into `pieces`. Also returns the key of the last row if it was cut short there; the connection then
    /// still has rows to give, as it has when the writer failed: it is of no further use.
    pub async fn run(
        &self,
        reader: &mut Wire,
        select: &[u8],
        pieces: mpsc::Sender<Piece>,
    ) -> Result<(Copied, Option<Row>), EngineError> {
        let at_source = EngineError::at(self.label);
        let size = if self.method == Method::Load { PIECE_BYTES } else { STATEMENT_BYTES };
        let mut out = Out { pieces, size, piece: Piece::default(), copied: Copied::default(), valve: self.valve };
        let (mut received, mut cut) = (0, None);
        let mut rows = reader.query(select).await.map_err(&at_source)?;
        while let Some(row) = rows.next().await.map_err(&at_source)? {
            received += row.packet().len() as u64;
            out.copied.largest = out.copied.largest.max(row.packet().len() as u64);
            let taken = match self.method {
                Method::Load => self.line(&row, &mut out).await?,
                Method::Insert => self.tuple(&row, &mut out).await,
            };
            out.piece.rows += 1;
            if !taken || (out.piece.bytes.len() >= size && !out.flush().await) {
                return Ok((out.copied, None));
            }
            if received >= self.cut {
                let values: Vec<_> = row.values().collect();
                cut = Some(self.table.key.columns.iter().map(|&at| values.get(at).copied().flatten()).collect());
                break;
            }
        }
        out.flush().await;
        Ok((out.copied, cut))
    }

    /// Adds a line for LOAD DATA. False: nobody takes the pieces any more.
    async fn line(&self, row: &RawRow<'_>, out: &mut Out<'_>) -> Result<bool, EngineError> {
        for (place, (column, value)) in self.table.columns.iter().zip(row.values()).enumerate() {
            if place > 0 {
                out.piece.bytes.push(b'\t');
            }
            if column.kind == ColumnKind::Json && value.is_some_and(quote::holds_decimal) {
                let detail = format!("LOAD DATA: a DECIMAL in a JSON document of column {}", column.name);
                return Err(EngineError::Inexact { table: self.table.name.clone(), detail });
            }
            let Some(value) = value.filter(|value| value.len() > PIECE_BYTES) else {
                quote::push_load_field(&mut out.piece.bytes, value);
                continue;
            };
            // A field is encoded byte by byte, so a large one may travel in several pieces.
            for part in value.chunks(PIECE_BYTES) {
                quote::push_load_field(&mut out.piece.bytes, Some(part));
                if !out.flush().await {
                    return Ok(false);
                }
            }
        }
        out.piece.bytes.push(b'\n');
        Ok(true)
    }

    /// Adds a tuple for REPLACE. False: nobody takes the pieces any more.
    async fn tuple(&self, row: &RawRow<'_>, out: &mut Out<'_>) -> bool {
        let row: Row = row.values().collect();
        let errors = enum_errors(self.table, &row);
        let other = (errors > 0) != (out.piece.enum_errors > 0);
        if out.piece.rows > 0 && other && !out.flush().await {
            return false;
        }
        out.piece.enum_errors += errors;
        if out.piece.rows > 0 {
            out.piece.bytes.push(b',');
        }
        quote::push_row(&mut out.piece.bytes, self.table, &row);
        true
    }
}

/// The piece being filled, and where it goes.
struct Out<'a> {
    pieces: mpsc::Sender<Piece>,
    size: usize,
    piece: Piece,
    copied: Copied,
    valve: &'a Valve,
}

impl Out<'_> {
    /// Sends the piece. False: nobody takes it.
    async fn flush(&mut self) -> bool {
        if self.piece.bytes.is_empty() {
            return true;
        }
        self.copied.rows += self.piece.rows;
        self.copied.bytes += self.piece.bytes.len() as u64;
        self.valve.charge(self.piece.rows, self.piece.bytes.len() as u64);
        let next = Piece { bytes: Vec::with_capacity(self.size + self.size / 8), ..Piece::default() };
        self.pieces.send(std::mem::replace(&mut self.piece, next)).await.is_ok()
    }
}
