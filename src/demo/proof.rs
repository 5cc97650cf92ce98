//! The comparison: every row of a table on both sides, read in key order and hashed.
//!
//! It shares nothing with the data path: `mysql_async` and plain SELECTs, all columns as the bytes the server sends,
//! SHA-256 of each row. Memory does not depend on the table's size. Nobody may be writing meanwhile.

use std::cmp::Ordering;

use mysql_async::prelude::Queryable;
use mysql_async::{Row, Value};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::DemoError;
use super::database::Database;

/// Rows handed on at once.
const BATCH: usize = 1_000;
/// Batches that may wait on each side.
const AHEAD: usize = 16;
/// How many differences are spelled out.
const SHOWN: usize = 10;

/// What a comparison found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Compared {
    pub(super) left_rows: u64,
    pub(super) right_rows: u64,
    /// Keys that are on one side only, or with other values.
    pub(super) differing: u64,
    /// The first of them.
    pub(super) samples: Vec<String>,
}

impl Compared {
    /// A table without a row proves nothing.
    pub(super) fn equal(&self) -> bool {
        self.differing == 0 && self.left_rows > 0 && self.left_rows == self.right_rows
    }

    fn differ(&mut self, key: i64, what: &str) {
        self.differing += 1;
        if self.samples.len() < SHOWN {
            self.samples.push(format!("key {key}: {what}"));
        }
    }
}

/// A row as it is compared: its key and the hash of all its columns.
type Hashed = (i64, [u8; 32]);

/// Compares a table whose key is its first column, a BIGINT; `seen` is told now and then how many rows it has read.
pub(super) async fn compare(
    left: &Database,
    right: &Database,
    table: &'static str,
    key: &'static str,
    seen: impl FnMut(u64),
) -> Result<Compared, DemoError> {
    let mut readers = JoinSet::new();
    let mut side = |database: &Database| {
        let (sender, receiver) = mpsc::channel(AHEAD);
        readers.spawn(read(database.clone(), table, key, sender));
        Side { receiver, batch: Vec::new().into_iter() }
    };
    let (left, right) = (side(left), side(right));
    let mut compared = merge(left, right, seen).await;
    let mut columns = Vec::new();
    while let Some(ended) = readers.join_next().await {
        columns.push(ended??);
    }
    if columns.first() != columns.last() {
        compared.differing += 1;
        compared.samples.push(format!("the columns are not the same: {columns:?}"));
    }
    Ok(compared)
}

struct Side {
    receiver: mpsc::Receiver<Vec<Hashed>>,
    batch: std::vec::IntoIter<Hashed>,
}

impl Side {
    async fn next(&mut self) -> Option<Hashed> {
        loop {
            if let Some(row) = self.batch.next() {
                return Some(row);
            }
            self.batch = self.receiver.recv().await?.into_iter();
        }
    }
}

/// Walks both sides in key order.
async fn merge(mut left: Side, mut right: Side, mut seen: impl FnMut(u64)) -> Compared {
    let mut found = Compared::default();
    let (mut one, mut other) = (left.next().await, right.next().await);
    loop {
        let order = match (&one, &other) {
            (None, None) => return found,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((a, _)), Some((b, _))) => a.cmp(b),
        };
        match (one, other) {
            (Some((key, a)), Some((_, b))) if order.is_eq() && a != b => found.differ(key, "other values"),
            (Some((key, _)), _) if order.is_lt() => found.differ(key, "only at the source"),
            (_, Some((key, _))) if order.is_gt() => found.differ(key, "only at the target"),
            _ => {}
        }
        if order.is_le() {
            found.left_rows += 1;
            if found.left_rows.is_multiple_of(BATCH as u64) {
                seen(found.left_rows);
            }
            one = left.next().await;
        }
        if order.is_ge() {
            found.right_rows += 1;
            other = right.next().await;
        }
    }
}

/// Reads a table in key order; its columns' names.
async fn read(
    database: Database,
    table: &'static str,
    key: &'static str,
    sender: mpsc::Sender<Vec<Hashed>>,
) -> Result<Vec<String>, DemoError> {
    let doing = "reading rows to compare";
    let mut conn = database.connect().await?;
    // Values come as they are stored, whatever their character set.
    database.execute(&mut conn, doing, "SET character_set_results = NULL, time_zone = '+00:00'").await?;
    let sql = format!("SELECT * FROM {table} ORDER BY {key}");
    let mut rows = database.within(doing, conn.query_iter(sql)).await?;
    let columns = rows.columns_ref().iter().map(|column| column.name_str().into_owned()).collect();
    loop {
        let mut batch = Vec::with_capacity(BATCH);
        while batch.len() < BATCH
            && let Some(row) = database.within(doing, rows.next()).await?
        {
            let unreadable =
                || DemoError::Unexpected { database: database.name, what: format!("an odd row of {table}") };
            batch.push(hashed(row).ok_or_else(unreadable)?);
        }
        // Nobody receives any more when the comparison was given up.
        if batch.is_empty() || sender.send(batch).await.is_err() {
            return Ok(columns);
        }
    }
}

/// Lengths are hashed too, so that bytes cannot move from a column to the next, and NULL is not ''.
fn hashed(row: Row) -> Option<Hashed> {
    let values = row.unwrap_raw();
    let mut hasher = Sha256::new();
    let mut key = None;
    for (index, value) in values.iter().enumerate() {
        match value.as_ref()? {
            Value::NULL => hasher.update([0]),
            Value::Bytes(bytes) => {
                if index == 0 {
                    key = std::str::from_utf8(bytes).ok()?.parse().ok();
                }
                hasher.update([1]);
                hasher.update((bytes.len() as u64).to_le_bytes());
                hasher.update(bytes);
            }
            _ => return None,
        }
    }
    Some((key?, hasher.finalize().into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn found(left: &[(i64, u8)], right: &[(i64, u8)]) -> Compared {
        let side = |rows: &[(i64, u8)]| {
            let (sender, receiver) = mpsc::channel(AHEAD);
            for row in rows {
                sender.try_send(vec![(row.0, [row.1; 32])]).unwrap();
            }
            Side { receiver, batch: Vec::new().into_iter() }
        };
        merge(side(left), side(right), |_| {}).await
    }

    #[tokio::test]
    async fn every_kind_of_difference_is_found() {
        let same = found(&[(-1, 1), (2, 2)], &[(-1, 1), (2, 2)]).await;
        assert!(same.equal());
        assert!(!found(&[], &[]).await.equal());
        let different = found(&[(1, 1), (2, 2), (4, 4)], &[(2, 3), (3, 3), (4, 4), (5, 5)]).await;
        assert_eq!((different.left_rows, different.right_rows, different.differing), (3, 4, 4));
        let samples = [
            "key 1: only at the source",
            "key 2: other values",
            "key 3: only at the target",
            "key 5: only at the target",
        ];
        assert_eq!(different.samples, samples);
    }
}
