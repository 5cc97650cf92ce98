//! Reading a server's binlog: its transactions, with the rows of moved tables in canonical text.
//!
//! | file | what |
//! |---|---|
//! | [`reader`] | the connection, the watchdog, compressed payloads |
//! | [`assemble`] | events → transactions |
//! | [`outline`] | events → what each transaction touched, no row decoded |
//! | [`event`], [`gtid`], [`query`], [`ddl`], [`payload`], [`table_map`] | single kinds of events |
//! | [`plan`], [`rows`], [`form`] | rows of a moved table → [`crate::model::RowChange`] |
//! | [`number`], [`decimal`], [`temporal`], [`json`] | values → text |
//!
//! Invariants: nothing that happened on a moved table is passed over in silence; hostile bytes end in an error, never in a
//! panic nor in memory that their length does not justify. The driver `mysql_async` is not used here: it unpacks compressed
//! transactions whole, and believes the size they claim, before its caller sees them.

use std::sync::Arc;

use crate::model::{Gtid, TableDef, Txn};

pub mod assemble;
pub mod cursor;
pub mod ddl;
pub mod decimal;
pub mod error;
pub mod event;
pub mod form;
pub mod gtid;
pub mod json;
pub mod number;
pub mod outline;
pub mod payload;
pub mod plan;
pub mod query;
pub mod reader;
pub mod rows;
pub mod table_map;
pub mod temporal;
pub mod tokens;

pub use ddl::Scope;
pub use error::{BinlogError, Place, Retry};
pub use payload::MAX_EVENT;
pub use reader::{Assemble, BinlogOptions, BinlogReader};

/// Which tables are moved, and what they look like at this point of the binlog.
pub trait Tables: Send + Sync {
    /// The definition of a moved table; `None` where it is not one. Asked at every table map, so it must be cheap; as long as
    /// nothing changed it should return the same `Arc`.
    fn table(&self, database: &str, table: &str) -> Option<Arc<TableDef>>;

    /// Whether a table without a definition is moved all the same: its rows are passed over, for they will be read where they
    /// are. Those of a prepared XA transaction cannot be, and it is not passed.
    fn is_moved(&self, _database: &str, _table: &str) -> bool {
        false
    }
}

/// What a source did.
#[derive(Debug, Clone)]
pub enum SourceEvent {
    /// A transaction or a piece of one, empty where it touched no moved table.
    Txn(Txn),
    /// A statement other than DML and transaction control.
    Ddl(Ddl),
    /// The server lives. No proof that we are level with it: it sends heartbeats also while it looks for the place to begin.
    Heartbeat,
}

/// A statement other than DML and transaction control.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ddl {
    /// The transaction it is, or is part of.
    pub gtid: Gtid,
    /// When the source committed it, microseconds since 1970 UTC.
    pub committed_us: u64,
    /// The transaction's length in the binlog in bytes.
    pub length: u64,
    /// The default database it ran in; may be empty.
    pub database: String,
    /// Its text as logged.
    pub statement: String,
    /// The SQL mode it ran in (`Q_SQL_MODE_CODE`).
    pub sql_mode: Option<u64>,
    /// What it touches.
    pub scope: Scope,
    /// Whether the transaction ends with it. If not, a [`Txn`] of the same GTID with `last` follows (`CREATE TABLE … SELECT`
    /// commits with its rows).
    pub last: bool,
}
