//! A batch: consecutive source transactions folded into the last image of every key they touch, target by target.
//!
//! # Invariants
//! - Applying a batch to a target that is at the batch's start, or anywhere between its start and end, leaves it at the
//!   batch's end: every touched key is either gone or holds its last full image. So a replay is harmless.
//! - Keys are folded by their canonical bytes. Two byte-unlike keys that MySQL holds equal ('a', 'A') stay two entries,
//!   of which at most one ends with a row; deletes run before upserts, so the outcome is right all the same.
//! - A row that moves from one target to another is deleted there and written here.
//! - `gtids` holds only transactions that are wholly inside (their last piece was added); `open` names one that is not.
//!
//! Folding keeps the first-touch order of keys, so that equal input gives equal SQL.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use crate::mapping::{Home, Mapping, MappingError};
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

/// What a batch comes to for one target.
#[derive(Debug, Default)]
pub struct Share {
    /// Its tables with their keys, by name.
    pub tables: Vec<TableBatch>,
    /// The transactions that are wholly inside the batch.
    pub gtids: GtidSet,
    /// The newest of them.
    pub last: Option<LastTxn>,
    /// A transaction of which only the first pieces are inside.
    pub open: Option<Gtid>,
    /// Whether one of them wrote a fence: the position moves past it without delay.
    pub fence: bool,
}

impl Share {
    /// Whether no row change is inside.
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }
}

/// Consecutive source transactions, folded.
#[derive(Debug)]
pub struct Batch {
    mapping: Arc<Mapping>,
    targets: Vec<HashMap<TableName, TableBatch>>,
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
    /// Nothing, for the targets of `mapping`.
    pub fn new(mapping: Arc<Mapping>) -> Self {
        let targets = (0..mapping.targets()).map(|_| HashMap::new()).collect();
        Self {
            mapping,
            targets,
            gtids: GtidSet::new(),
            last: None,
            open: None,
            changes: 0,
            inserts: 0,
            deletes: 0,
            txns: 0,
            fence: false,
            hold: None,
            bytes: 0,
        }
    }

    /// The batch so far; an empty one takes its place.
    pub fn take(&mut self) -> Self {
        let next = Self::new(self.mapping.clone());
        std::mem::replace(self, next)
    }

    /// Folds one transaction, or one piece of it, in. After an error the batch is of no use.
    pub fn add(&mut self, txn: Txn) -> Result<(), MappingError> {
        for change in txn.changes {
            self.fold(change)?;
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
        Ok(())
    }

    fn fold(&mut self, change: RowChange) -> Result<(), MappingError> {
        self.changes += 1;
        self.inserts += u64::from(change.before.is_none());
        self.deletes += u64::from(change.after.is_none());
        let table = change.table;
        if let Some(before) = change.before {
            let was_at = change.was_at.unwrap_or_default();
            let home = self.mapping.home(&table, |index| was_at.get(index))?;
            self.set(home, &table, before, None);
        }
        if let Some(after) = change.after {
            let home = self.mapping.home(&table, |index| after.get(table.sharding[index]))?;
            self.set(home, &table, key_of(&table, &after), Some(after));
        }
        Ok(())
    }

    fn set(&mut self, home: Home, table: &Arc<TableDef>, key: Row, image: Option<Row>) {
        if let Home::One(target) = home
            && let Some(tables) = self.targets.get_mut(target)
        {
            self.bytes += set(tables, table, key, image);
            return;
        }
        for tables in &mut self.targets {
            self.bytes += set(tables, table, key.clone(), image.clone());
        }
    }

    /// Whether no row change is inside.
    pub fn is_empty(&self) -> bool {
        self.targets.iter().all(HashMap::is_empty)
    }

    /// Heap size in bytes, roughly.
    pub fn size(&self) -> usize {
        self.bytes.max(0) as usize
    }

    /// Whether a position can be stored at its end: no transaction is half inside.
    pub fn ends_on_commit(&self) -> bool {
        self.open.is_none()
    }

    /// What it comes to for each target, in their order; leaves the batch without row changes.
    pub fn take_shares(&mut self) -> Vec<Share> {
        self.bytes = 0;
        let share = |tables: &mut HashMap<TableName, TableBatch>| {
            let mut tables: Vec<_> = tables.drain().map(|(_, table)| table).collect();
            tables.sort_by(|a, b| a.table.name.cmp(&b.table.name));
            let (gtids, last, open) = (self.gtids.clone(), self.last.clone(), self.open.clone());
            Share { tables, gtids, last, open, fence: self.fence }
        };
        self.targets.iter_mut().map(share).collect()
    }
}

/// Sets one key of `table`; by how many bytes `tables` have grown.
fn set(tables: &mut HashMap<TableName, TableBatch>, table: &Arc<TableDef>, key: Row, image: Option<Row>) -> isize {
    let entry = match tables.get_mut(&table.name) {
        Some(entry) => entry,
        None => {
            let empty = TableBatch { table: table.clone(), keys: Vec::new(), places: HashMap::new() };
            tables.entry(table.name.clone()).or_insert(empty)
        }
    };
    entry.set(key, image)
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
            sharding: vec![],
        })
    }

    fn empty() -> Batch {
        let mut mapping = Mapping::whole();
        mapping.bind(&table()).unwrap();
        Batch::new(Arc::new(mapping))
    }

    fn row(values: &[&str]) -> Row {
        values.iter().map(|v| Some(v.as_bytes())).collect()
    }

    fn change(before: Option<&str>, after: Option<(&str, &str)>) -> RowChange {
        let after = after.map(|(id, v)| row(&[id, v]));
        RowChange { table: table(), before: before.map(|id| row(&[id])), was_at: None, after }
    }

    fn txn(number: u64, changes: Vec<RowChange>, last: bool) -> Txn {
        let source = GtidSource { uuid: uuid::Uuid::nil(), tag: String::new() };
        Txn { gtid: Gtid { source, number }, committed_us: number, length: 0, changes, last, fence: false }
    }

    fn outcome(batch: &mut Batch) -> Vec<(String, Option<String>)> {
        let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap()).into_owned();
        let shares = batch.take_shares();
        let keys = shares.iter().flat_map(|share| &share.tables).flat_map(|t| &t.keys);
        keys.map(|(key, image)| (text(key.get(0)), image.as_ref().map(|row| text(row.get(1))))).collect()
    }

    #[test]
    fn chains_and_swaps_of_keys_fold_to_their_end() {
        let mut batch = empty();
        // 1→2→3, then 1 is born again; 8 and 9 swap through 0.
        batch
            .add(txn(1, vec![change(Some("1"), Some(("2", "a"))), change(Some("2"), Some(("3", "a")))], true))
            .unwrap();
        batch.add(txn(2, vec![change(None, Some(("1", "new")))], true)).unwrap();
        let swap = [("8", "0", "p"), ("9", "8", "q"), ("0", "9", "p")];
        batch.add(txn(3, swap.map(|(from, to, v)| change(Some(from), Some((to, v)))).into(), true)).unwrap();
        let mut got = outcome(&mut batch);
        got.sort();
        let want = [("0", None), ("1", Some("new")), ("2", None), ("3", Some("a")), ("8", Some("q")), ("9", Some("p"))];
        assert_eq!(got, want.map(|(key, v)| (key.to_string(), v.map(str::to_string))));
        assert_eq!((batch.txns, batch.changes, batch.inserts, batch.deletes), (3, 6, 1, 0));
    }

    #[test]
    fn a_piece_of_a_transaction_does_not_move_the_position() {
        let mut batch = empty();
        batch.add(txn(1, vec![change(None, Some(("1", "a")))], true)).unwrap();
        batch.add(txn(2, vec![change(None, Some(("2", "a")))], false)).unwrap();
        assert!(!batch.ends_on_commit());
        assert_eq!((batch.gtids.count(), batch.last.as_ref().unwrap().gtid.number), (1, 1));
        batch.add(txn(2, vec![change(Some("2"), None)], true)).unwrap();
        assert!(batch.ends_on_commit());
        assert_eq!(batch.gtids.count(), 2);
    }
}
