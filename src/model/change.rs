//! What the binlog says happened: row changes, grouped by source transaction.

use std::sync::Arc;

use super::position::Gtid;
use super::row::Row;
use super::table::TableDef;

/// One row's change.
#[derive(Debug, Clone)]
pub struct RowChange {
    /// The table as it is defined on the source at this point of the binlog.
    pub table: Arc<TableDef>,
    /// The key the row had before, for an update or a delete: the values of `table.key.columns`, in that order. The rest
    /// of the before image is not kept: rows are found by key alone, and a row may be 64 MiB.
    pub before: Option<Row>,
    /// The values that row had in `table.sharding`, in that order; `None` where there are no such columns.
    pub was_at: Option<Row>,
    /// The full row as it is now, for an insert or an update: the values of `table.columns`, in that order.
    pub after: Option<Row>,
}

impl RowChange {
    /// Heap size in bytes, for bounding queues.
    pub fn size(&self) -> usize {
        [&self.before, &self.was_at, &self.after].into_iter().flatten().map(Row::size).sum()
    }
}

/// A source transaction, or a piece of one that is too large to hold: only the last piece ends it.
#[derive(Debug, Clone)]
pub struct Txn {
    /// Its identifier.
    pub gtid: Gtid,
    /// When the source committed it, microseconds since 1970 UTC.
    pub committed_us: u64,
    /// Its length in the binlog in bytes, as its GTID event says (0 where the server does not).
    pub length: u64,
    /// The changes to moved tables, in order.
    pub changes: Vec<RowChange>,
    /// Whether this piece ends the transaction, so that the position may pass it.
    pub last: bool,
    /// Whether it wrote a fence: somebody may be waiting for the position to pass it.
    pub fence: bool,
}
