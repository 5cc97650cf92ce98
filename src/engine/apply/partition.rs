//! Which connection writes what of a batch. Pure.
//!
//! A table whose rows can collide on nothing but their own byte-comparable key takes the fast path: its keys are spread
//! over all lanes by hash, one key always in one lane. Every other table goes whole to the last lane, where one
//! transaction runs all deletes before any upsert (design §4.2); the position moves in that same transaction.

use std::hash::{BuildHasher, Hasher, RandomState};

use crate::model::{Row, TableDef};

use super::batch::TableBatch;

/// What one connection does for one table: first the deletes, then the upserts.
#[derive(Debug)]
pub struct Part {
    /// The table.
    pub table: std::sync::Arc<TableDef>,
    /// Keys of rows to delete.
    pub deletes: Vec<Row>,
    /// Full rows to write.
    pub upserts: Vec<Row>,
    /// Whether the table takes the slow path.
    pub slow: bool,
}

/// The parts of one connection.
pub type Lane = Vec<Part>;

/// Spreads `tables` over `lanes` lanes (at least one). The last lane is the one that moves the position.
pub fn partition(tables: Vec<TableBatch>, lanes: usize, hasher: &RandomState) -> Vec<Lane> {
    let lanes = lanes.max(1);
    let mut out: Vec<Lane> = (0..lanes).map(|_| Lane::new()).collect();
    for batch in tables {
        let slow = batch.table.needs_slow_path();
        let mut parts: Vec<Part> = (0..if slow { 1 } else { lanes })
            .map(|_| Part { table: batch.table.clone(), deletes: Vec::new(), upserts: Vec::new(), slow })
            .collect();
        let spread = parts.len();
        for (key, image) in batch.keys {
            let part = &mut parts[if spread == 1 { 0 } else { hash(hasher, &key) % spread }];
            match image {
                // On the slow path the key's own row goes first, whatever it holds, so that no unique value of it
                // stands in the way of another row of this batch.
                Some(row) if slow => {
                    part.deletes.push(key);
                    part.upserts.push(row);
                }
                Some(row) => part.upserts.push(row),
                None => part.deletes.push(key),
            }
        }
        for (offset, part) in parts.into_iter().enumerate() {
            if !part.deletes.is_empty() || !part.upserts.is_empty() {
                // A slow table's only part belongs to the last lane.
                out[if slow { lanes - 1 } else { offset }].push(part);
            }
        }
    }
    out
}

fn hash(hasher: &RandomState, key: &Row) -> usize {
    let mut state = hasher.build_hasher();
    for value in key.values() {
        state.write(value.unwrap_or_default());
        state.write_u8(0xff);
    }
    state.finish() as usize
}
