//! A batch: consecutive source transactions folded into the last image of every key they touch.
//!
//! # Invariants
//! - Applying a batch to a target that is at the batch's start, or anywhere between its start and end, leaves it at the
//!   batch's end: every touched key is either gone or holds its last full image. So a replay is harmless.
//! - Keys are folded by their canonical bytes. Two byte-unlike keys that MySQL holds equal ('a', 'A') stay two entries,
//!   of which at most one ends with a row; deletes run before upserts, so the outcome is right all the same.
//! - `gtids` holds only transactions that are wholly inside (their last piece was added); `open` names one that is not.
//!
//! Folding keeps the first-touch order of keys, so that equal input gives equal SQL.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use crate::model::{Gtid, GtidSet, Row, RowChange, TableDef, TableName, Txn};

/// The newest transaction whose end is in the position: what a reconnect must find again on the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastTxn {
    /// Its identifier.
    pub gtid: Gtid,
    /// Its commit time at the source, microseconds since 1970 UTC.
    pub committed_us: u64,
    /// Its length in the binlog, bytes; 0 where unknown.
    pub length: u64,
}

/// What a table's keys come to in this batch.
#[derive(Debug)]
pub struct TableBatch {
    /// The table.
    pub table: Arc<TableDef>,
    /// Each touched key with its last image; `None` where the row is gone.
    pub keys: Vec<(Row, Option<Row>)>,
    places: HashMap<Row, usize>,
}

impl TableBatch {
    fn set(&mut self, key: Row, image: Option<Row>) -> isize {
        let size = |image: &Option<Row>| image.as_ref().map_or(0, Row::size) as isize;
        let new = size(&image);
        if let Some(&place) = self.places.get(&key) {
            let old = std::mem::replace(&mut self.keys[place].1, image);
            return new - size(&old);
        }
        let key_size = 2 * key.size() as isize;
        self.places.insert(key.clone(), self.keys.len());
        self.keys.push((key, image));
        new + key_size
    }
}

/// Consecutive source transactions, folded.
#[derive(Debug, Default)]
pub struct Batch {
    tables: HashMap<TableName, TableBatch>,
    /// The transactions that are wholly inside.
    pub gtids: GtidSet,
    /// The newest of them.
    pub last: Option<LastTxn>,
    /// A transaction of which only the first pieces are inside.
    pub open: Option<Gtid>,
    /// How many row changes were folded.
    pub changes: u64,
    /// How many of them made a row.
    pub inserts: u64,
    /// How many of them removed one.
    pub deletes: u64,
    /// How many transactions ended inside.
    pub txns: u64,
    /// Whether one of them wrote a fence: the position moves past it without delay.
    pub fence: bool,
    /// Held until the batch is applied or dropped.
    pub hold: Option<OwnedSemaphorePermit>,
    bytes: isize,
}

impl Batch {
    /// Folds one transaction, or one piece of it, in.
    pub fn add(&mut self, txn: Txn) {
        for change in txn.changes {
            self.fold(change);
        }
        self.fence |= txn.fence;
        if txn.last {
            self.gtids.add(&txn.gtid);
            self.txns += 1;
            self.open = None;
            self.last = Some(LastTxn { gtid: txn.gtid, committed_us: txn.committed_us, length: txn.length });
        } else {
            self.open = Some(txn.gtid);
        }
    }

    fn fold(&mut self, change: RowChange) {
        self.changes += 1;
        self.inserts += u64::from(change.before.is_none());
        self.deletes += u64::from(change.after.is_none());
        let table = change.table;
        let entry = match self.tables.get_mut(&table.name) {
            Some(entry) => entry,
            None => {
                let empty = TableBatch { table: table.clone(), keys: Vec::new(), places: HashMap::new() };
                self.tables.entry(table.name.clone()).or_insert(empty)
            }
        };
        if let Some(before) = change.before {
            self.bytes += entry.set(before, None);
        }
        if let Some(after) = change.after {
            self.bytes += entry.set(key_of(&table, &after), Some(after));
        }
    }

    /// Whether no row change is inside.
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// Heap size in bytes, roughly.
    pub fn size(&self) -> usize {
        self.bytes.max(0) as usize
    }

    /// Whether a position can be stored at its end: no transaction is half inside.
    pub fn ends_on_commit(&self) -> bool {
        self.open.is_none()
    }

    /// The tables with their keys; leaves the batch without them.
    pub fn take_tables(&mut self) -> Vec<TableBatch> {
        self.bytes = 0;
        let mut tables: Vec<_> = std::mem::take(&mut self.tables).into_values().collect();
        tables.sort_by(|a, b| a.table.name.cmp(&b.table.name));
        tables
    }
}

/// The key values of a full row image.
pub fn key_of(table: &TableDef, row: &Row) -> Row {
    table.key.columns.iter().map(|&index| row.get(index)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::position::GtidSource;
    use crate::model::{Column, ColumnKind, Key};

    fn table() -> Arc<TableDef> {
        let int = ColumnKind::Int { width: 8, unsigned: false };
        let column = |name: &str, ordinal| Column {
            name: name.into(),
            kind: int.clone(),
            nullable: false,
            zerofill: false,
            ordinal,
        };
        Arc::new(TableDef {
            name: "t".parse().unwrap(),
            columns: vec![column("id", 0), column("v", 1)],
            column_count: 2,
            key: Key { name: "PRIMARY".into(), columns: vec![0] },
            other_unique: false,
            cascades: false,
        })
    }

    fn row(values: &[&str]) -> Row {
        values.iter().map(|v| Some(v.as_bytes())).collect()
    }

    fn change(before: Option<&str>, after: Option<(&str, &str)>) -> RowChange {
        let after = after.map(|(id, v)| row(&[id, v]));
        RowChange { table: table(), before: before.map(|id| row(&[id])), after }
    }

    fn txn(number: u64, changes: Vec<RowChange>, last: bool) -> Txn {
        let source = GtidSource { uuid: uuid::Uuid::nil(), tag: String::new() };
        Txn { gtid: Gtid { source, number }, committed_us: number, length: 0, changes, last, fence: false }
    }

    fn outcome(batch: &mut Batch) -> Vec<(String, Option<String>)> {
        let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap()).into_owned();
        let tables = batch.take_tables();
        let keys = tables.iter().flat_map(|t| &t.keys);
        keys.map(|(key, image)| (text(key.get(0)), image.as_ref().map(|row| text(row.get(1))))).collect()
    }

    #[test]
    fn chains_and_swaps_of_keys_fold_to_their_end() {
        let mut batch = Batch::default();
        // 1→2→3, then 1 is born again; 8 and 9 swap through 0.
        batch.add(txn(1, vec![change(Some("1"), Some(("2", "a"))), change(Some("2"), Some(("3", "a")))], true));
        batch.add(txn(2, vec![change(None, Some(("1", "new")))], true));
        let swap = [("8", "0", "p"), ("9", "8", "q"), ("0", "9", "p")];
        batch.add(txn(3, swap.map(|(from, to, v)| change(Some(from), Some((to, v)))).into(), true));
        let mut got = outcome(&mut batch);
        got.sort();
        let want = [("0", None), ("1", Some("new")), ("2", None), ("3", Some("a")), ("8", Some("q")), ("9", Some("p"))];
        assert_eq!(got, want.map(|(key, v)| (key.to_string(), v.map(str::to_string))));
        assert_eq!((batch.txns, batch.changes, batch.inserts, batch.deletes), (3, 6, 1, 0));
    }

    #[test]
    fn a_piece_of_a_transaction_does_not_move_the_position() {
        let mut batch = Batch::default();
        batch.add(txn(1, vec![change(None, Some(("1", "a")))], true));
        batch.add(txn(2, vec![change(None, Some(("2", "a")))], false));
        assert!(!batch.ends_on_commit());
        assert_eq!((batch.gtids.count(), batch.last.as_ref().unwrap().gtid.number), (1, 1));
        batch.add(txn(2, vec![change(Some("2"), None)], true));
        assert!(batch.ends_on_commit());
        assert_eq!(batch.gtids.count(), 2);
    }
}
