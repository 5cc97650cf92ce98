//! Writing rows of one source to a table that others feed too.
//!
//! First everything is read that the writes could meet, by every unique key, and locked. It is the server that compares:
//! rows are asked for by the values as they are, all at once, and where a row of another source is among the answers, by
//! halves, until the writes that meet it stand alone. Those are left out and noted. What is the source's own, under its key
//! or in the way of its unique values, is removed, as it was read; then rows are inserted. A row that another stream puts
//! there in between is refused by the unique key itself.

use std::collections::HashSet;

use crate::engine::apply::partition::Part;
use crate::engine::apply::sql::{Collision, Statement, statements};
use crate::engine::error::EngineError;
use crate::model::{DatabaseName, Row, TableDef};
use crate::mysql::wire::Wire;

use super::notes::Note;
use super::owners::{Ownership, SharedTable, key_values};
use super::present::lock;

/// Writes looked at together: keys, and bytes of rows.
const TOGETHER: usize = 500;

/// A key and what its row is to be; `None` where it is gone.
pub type Entry = (Row, Option<Row>);

/// Writes `entries` of source `source` within the transaction that `wire` is in; what has been left out, as notes.
pub async fn write(
    wire: &mut Wire,
    database: &DatabaseName,
    (ownership, table): (&Ownership, &SharedTable),
    source: usize,
    entries: &[Entry],
) -> Result<Vec<Note>, EngineError> {
    let (mut notes, mut mine, mut clear) = (Vec::new(), HashSet::new(), Vec::new());
    let mut parts: Vec<&[Entry]> = entries.chunks(TOGETHER).rev().collect();
    while let Some(part) = parts.pop() {
        let met = meets(wire, database, (ownership, table), part).await?;
        let others = met.iter().any(|(_, owner)| *owner != source);
        match part {
            part if !others => {
                mine.extend(met.into_iter().map(|(key, _)| key));
                clear.extend(part.iter().filter_map(|(_, image)| image.clone()));
            }
            [only] => notes.extend(noted(table, only)),
            part => {
                let (first, second) = part.split_at(part.len() / 2);
                parts.extend([second, first]);
            }
        }
    }
    let mut deletes: Vec<Row> = mine.into_iter().collect();
    // Equal input gives equal SQL.
    deletes.sort_by_cached_key(Row::encode);
    let part = Part { table: table.def.clone(), deletes, upserts: clear, slow: true };
    for Statement { sql, warnings } in statements(database, &part, Collision::Refuse)? {
        let done = wire.execute(&sql).await?;
        if u64::from(done.warnings) != warnings.min(u64::from(u16::MAX)) {
            let detail = format!("{} warning(s) where {warnings} were expected", done.warnings);
            return Err(EngineError::Inexact { table: table.def.name.clone(), detail });
        }
    }
    Ok(notes)
}

/// The rows that `entries` meet: their keys, and whose they are.
async fn meets(
    wire: &mut Wire,
    database: &DatabaseName,
    (ownership, table): (&Ownership, &SharedTable),
    entries: &[Entry],
) -> Result<Vec<(Row, usize)>, EngineError> {
    let keys: Vec<Row> = entries.iter().map(|(key, _)| key.clone()).collect();
    let mut met = lock(wire, database, (ownership, table), &table.def, &keys).await?;
    for by in &table.uniques {
        let images = entries.iter().filter_map(|(_, image)| image.as_ref());
        let values: Vec<Row> = images.filter_map(|row| key_values(by, row)).collect();
        met.extend(lock(wire, database, (ownership, table), by, &values).await?);
    }
    Ok(met.into_iter().map(|present| (present.key, present.owner)).collect())
}

/// What has to be read again for a write that was left out.
fn noted(table: &SharedTable, (key, image): &Entry) -> Vec<Note> {
    let note = |by: &TableDef, values: Row| Note { table: by.name.clone(), index: by.key.name.clone(), values };
    let mut notes = vec![note(&table.def, key.clone())];
    notes.extend(image.iter().flat_map(|row| table.keys_of(row)).map(|(by, values)| note(by, values)));
    notes.dedup();
    notes
}
