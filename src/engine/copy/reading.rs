//! The reading half of a chunk's copy: rows as the server sends them, encoded for the targets they belong to, piece by piece.

use tokio::sync::mpsc;

use crate::engine::apply::sql::{STATEMENT_BYTES, enum_errors};
use crate::engine::error::EngineError;
use crate::engine::throttle::Valve;
use crate::mapping::{Home, Mapping};
use crate::model::{ColumnKind, Row, TableDef};
use crate::mysql::quote;
use crate::mysql::wire::{RawRow, Wire};

use super::chunk::{Copied, Method};

/// Encoded rows travel from reader to writer in pieces of this size, a few at a time; with many targets in smaller ones.
const PIECE_BYTES: usize = 256 << 10;
/// But not in smaller ones than this.
const LEAST_PIECE: usize = 32 << 10;
/// How many pieces may wait for the writer.
pub const PIECES: usize = 4;

/// Rows: encoded for [`Method::Load`] as lines, for [`Method::Insert`] as one `(…),(…)` list.
#[derive(Debug, Default)]
pub struct Piece {
    /// The text.
    pub bytes: Vec<u8>,
    /// For [`Method::Shared`] the rows instead, and their bytes.
    pub kept: Vec<Row>,
    size: usize,
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
    /// Which rows go where.
    pub mapping: &'a Mapping,
    /// What rows are encoded for.
    pub method: Method,
    /// Told of every piece.
    pub valve: &'a Valve,
    /// Bytes as received after which no further row is read.
    pub cut: u64,
}

impl Reading<'_> {
    /// Reads `select` into `pieces`, of which there is one for each target. Also returns the key of the last row if it was
    /// cut short there; the connection then still has rows to give, as it has when a writer failed: it is of no further use.
    pub async fn run(
        &self,
        reader: &mut Wire,
        select: &[u8],
        pieces: Vec<mpsc::Sender<Piece>>,
    ) -> Result<(Vec<Copied>, Option<Row>), EngineError> {
        let at_source = EngineError::at(self.label);
        let size = if self.method == Method::Load { PIECE_BYTES } else { STATEMENT_BYTES };
        let size = (size / pieces.len().max(1)).max(LEAST_PIECE);
        let out = |pieces| Out { pieces, size, piece: Piece::default(), copied: Copied::default(), valve: self.valve };
        let mut outs: Vec<_> = pieces.into_iter().map(out).collect();
        let counts = |outs: Vec<Out<'_>>| outs.into_iter().map(|out| out.copied).collect();
        let (mut received, mut cut) = (0, None);
        let mut rows = reader.query(select).await.map_err(&at_source)?;
        while let Some(row) = rows.next().await.map_err(&at_source)? {
            received += row.packet().len() as u64;
            let home = self.home(&row)?;
            for out in outs.iter_mut().enumerate().filter_map(|(target, out)| home.takes(target).then_some(out)) {
                out.copied.largest = out.copied.largest.max(row.packet().len() as u64);
                let taken = match self.method {
                    Method::Load => self.line(&row, out).await?,
                    Method::Insert => self.tuple(&row, out).await,
                    Method::Shared => {
                        let row: Row = row.values().collect();
                        out.piece.size += row.size();
                        out.piece.kept.push(row);
                        true
                    }
                };
                out.piece.rows += 1;
                if !taken || (out.piece.bytes.len() + out.piece.size >= size && !out.flush().await) {
                    return Ok((counts(outs), None));
                }
            }
            if received >= self.cut {
                let values: Vec<_> = row.values().collect();
                cut = Some(self.table.key.columns.iter().map(|&at| values.get(at).copied().flatten()).collect());
                break;
            }
        }
        for out in &mut outs {
            out.flush().await;
        }
        Ok((counts(outs), cut))
    }

    fn home(&self, row: &RawRow<'_>) -> Result<Home, EngineError> {
        if self.mapping.targets() == 1 {
            return Ok(Home::All);
        }
        let values: Vec<_> = row.values().collect();
        let value = |index: usize| values.get(*self.table.sharding.get(index)?).copied().flatten();
        Ok(self.mapping.home(self.table, value)?)
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
        let bytes = (self.piece.bytes.len() + self.piece.size) as u64;
        if bytes == 0 {
            return true;
        }
        self.copied.rows += self.piece.rows;
        self.copied.bytes += bytes;
        self.valve.charge(self.piece.rows, bytes);
        let room = if self.piece.kept.is_empty() { self.size + self.size / 8 } else { 0 };
        let next = Piece { bytes: Vec::with_capacity(room), ..Piece::default() };
        self.pieces.send(std::mem::replace(&mut self.piece, next)).await.is_ok()
    }
}
