//! What can stop a stream, and what to do about it.
//!
//! Every error has exactly one [`Class`], by an exhaustive match on its kind or on the server's error number — never by
//! the text of a message.

use crate::mapping::{FlowError, MappingError};
use crate::model::{DatabaseName, GtidSet, TableName};
use crate::mysql::MysqlError;
use crate::mysql::binlog::{BinlogError, Retry};
use crate::mysql::schema::SchemaError;
use crate::topology::TopologyError;

/// What the supervisor does after an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// A server cannot be reached or is restarting: try again for as long as it takes, and say so.
    Unavailable,
    /// May pass (deadlock, lock wait): try again, but end in state Error when the same error repeats.
    Retry,
    /// Trying again cannot help: state Error.
    Fatal,
    /// Another engine owns the stream now: let go.
    NotOwner,
    /// Begin again at once: nothing is wrong.
    Again,
    /// We were asked to stop.
    Cancelled,
}

impl Class {
    /// The word for it in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Retry => "retry",
            Self::Fatal => "fatal",
            Self::NotOwner => "not_owner",
            Self::Again => "again",
            Self::Cancelled => "cancelled",
        }
    }
}

/// An error of the engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A server's answer, or its silence.
    #[error("{side}: {source}")]
    Mysql {
        /// Which server: "source …" or "target …".
        side: String,
        /// What it was.
        source: MysqlError,
    },
    /// The same where the server is told by the context.
    #[error(transparent)]
    Server(#[from] MysqlError),
    /// The binlog cannot be followed.
    #[error("reading the source's binlog: {0}")]
    Binlog(#[from] BinlogError),
    /// The source's tables cannot be read, or not be moved.
    #[error("reading the source's tables: {0}")]
    Schema(#[from] SchemaError),
    /// A key column that was NOT NULL holds NULL.
    #[error(transparent)]
    NullInKey(#[from] crate::mysql::quote::NullInKey),
    /// The topology.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// The target refused us as the owner.
    #[error("another engine has taken over this stream: its owner token on the target is no longer ours")]
    NotOwner,
    /// The fences round the moved tables.
    #[error("{0}")]
    Fence(String),
    /// The sidecar holds something we did not write.
    #[error("the sidecar schema `_shardlift` on the target is not as it must be: {0}")]
    Sidecar(&'static str),
    /// A stream that only follows does not know from where.
    #[error(
        "{side}: the position up to which it has the other side's changes is missing from `_shardlift.stream`, and the \
         workflow's record does not tell where that began. Rows cannot be carried there any more; the side that takes writes \
         has all of them: `complete` the workflow"
    )]
    NoPosition {
        /// The target.
        side: String,
    },
    /// GTIDs we have applied or seen are gone from the source.
    #[error(
        "the source no longer has transactions that were read from it before: {missing}. A crash or failover lost them, or \
         the server was restored from a backup. The target may hold rows the source does not; cancel the workflow and start \
         it again, or bring the lost transactions back"
    )]
    LostGtids {
        /// What is missing there.
        missing: GtidSet,
    },
    /// The transaction our position ends with is another one now.
    #[error(
        "GTID {gtid} on the source is not the transaction that was applied under that GTID (commit time or length differ): \
         the server lost its tail and used the number again. Cancel the workflow and start it again"
    )]
    ReusedGtid {
        /// The number in question.
        gtid: String,
    },
    /// The source has purged binlogs the stream still needs.
    #[error(
        "the source has purged binlogs that are still needed: GTIDs {missing}. Cancel the workflow and start it again"
    )]
    Purged {
        /// What is needed and gone.
        missing: GtidSet,
    },
    /// The source may forget commits.
    #[error(
        "the source runs with {setting}, so a crash may lose commits that were already copied; set {cure}, or start the workflow with --allow-unsafe-source"
    )]
    UnsafeSource {
        /// The offending setting.
        setting: String,
        /// The safe one.
        cure: &'static str,
    },
    /// Prepared XA transactions hide rows from SELECT.
    #[error(
        "the source has {count} prepared XA transaction(s) ({first}) whose rows cannot be seen yet: commit or roll them back, then resume"
    )]
    PreparedXa {
        /// How many.
        count: usize,
        /// The first one's id as XA RECOVER shows it.
        first: String,
    },
    /// A DDL statement on a moved table, with `--on-ddl STOP`.
    #[error(
        "at GTID {gtid} the source ran DDL that touches a moved table: `{statement}`. Nothing after it was applied. Run the \
         same change on the target and `workflow resume --skip-ddl {gtid}`, or cancel"
    )]
    Ddl {
        /// Where.
        gtid: String,
        /// What.
        statement: String,
    },
    /// The same where the target has rows of other source shards too, whatever `--on-ddl` says but IGNORE.
    #[error(
        "at GTID {gtid} the source ran DDL that touches a moved table: `{statement}`. Nothing after it was applied. It is \
         never run on the target, which holds rows of other source shards too: what it does to all rows it must not do to \
         theirs. Make the same change on every source shard; on the target change columns and keys once, and rows only \
         where they are this shard's; then `workflow resume --skip-ddl {gtid}`, and so at each shard's GTID; or cancel"
    )]
    DdlOfOneSource {
        /// Where.
        gtid: String,
        /// What.
        statement: String,
    },
    /// A DDL statement could not be run on the target, with `--on-ddl EXEC`.
    #[error(
        "at GTID {gtid} the DDL `{statement}` failed on the target: {reason}. Nothing after it was applied. Make the change \
         there by hand and `workflow resume --skip-ddl {gtid}`, or cancel"
    )]
    DdlFailed {
        /// Where.
        gtid: String,
        /// What.
        statement: String,
        /// Why.
        reason: String,
    },
    /// A moved table cannot be handled as it is now.
    #[error("table {table}: {why}")]
    Table {
        /// The table.
        table: TableName,
        /// Why.
        why: String,
    },
    /// A row belongs to none of the stream's targets.
    #[error(transparent)]
    Mapping(#[from] MappingError),
    /// Rows that cannot flow between the workflow's shards.
    #[error(transparent)]
    Flow(#[from] FlowError),
    /// A UNIQUE key could not be added because two rows hold the same value.
    #[error(
        "table {table}: a UNIQUE key cannot be added on the target: {detail}. The source has no such duplicate: somebody \
         else writes the target's table, or the two servers compare its collation differently"
    )]
    PassingDuplicate {
        /// The table.
        table: TableName,
        /// What the target said.
        detail: String,
    },
    /// The target took rows with a warning, or not all of them.
    #[error("table {table}: the target did not take rows exactly as they are: {detail}")]
    Inexact {
        /// The table.
        table: TableName,
        /// What it said.
        detail: String,
    },
    /// Conflicts of several sources that reading again does not settle, and that are no duplicates.
    #[error("{count} key(s) in which rows of several source shards collide on the target cannot be settled: try again")]
    Unsettled {
        /// How many.
        count: usize,
    },
    /// A connection could not be marked as ours.
    #[error("connection slot {slot} on the target is still held by an earlier connection of ours")]
    Slot {
        /// Its number.
        slot: u32,
    },
    /// Something did not happen in time.
    #[error("{what} took longer than {seconds} s")]
    Timeout {
        /// What.
        what: &'static str,
        /// The limit.
        seconds: u64,
    },
    /// A task of ours died.
    #[error("a task of the stream ended abnormally: {0}")]
    Task(String),
    /// Two connections to one address reached two servers.
    #[error(
        "{side}: two connections reached two different servers; give the tablet the address of one server, not of a proxy"
    )]
    OtherServer {
        /// Which side.
        side: String,
    },
    /// A schema is not there.
    #[error("{side}: there is no database `{database}`; create it, or correct the tablet")]
    NoDatabase {
        /// Which server.
        side: String,
        /// The database.
        database: DatabaseName,
    },
    /// DDL was passed: what is known of the tables must be read again.
    #[error("the tables have changed")]
    Reload,
    /// We were asked to stop.
    #[error("stopped")]
    Cancelled,
}

impl EngineError {
    /// Adds which server an error came from.
    pub fn at(side: &str) -> impl Fn(MysqlError) -> EngineError {
        move |source| EngineError::Mysql { side: side.to_string(), source }
    }

    /// The same error, with the server it came from where that was told by the context.
    pub fn on(self, side: &str) -> EngineError {
        match self {
            Self::Server(source) => Self::Mysql { side: side.to_string(), source },
            error => error,
        }
    }

    /// Whether the server ended a transaction of ours in favour of another's.
    pub fn is_lock_conflict(&self) -> bool {
        let (Self::Mysql { source, .. } | Self::Server(source)) = self else { return false };
        // Lock wait timeout, deadlock.
        matches!(source.code(), Some(1205 | 1213))
    }

    /// Whether a row could not be written because another has its value in a unique key.
    pub fn is_duplicate(&self) -> bool {
        let (Self::Mysql { source, .. } | Self::Server(source)) = self else { return false };
        source.code() == Some(1062)
    }

    /// Whether a statement failed because a table, a column or a key it names is gone: DDL that is still to be met.
    pub fn is_schema_change(&self) -> bool {
        let (Self::Mysql { source, .. } | Self::Server(source)) = self else { return false };
        // Unknown column, no such table, no such key.
        matches!(source.code(), Some(1054 | 1146 | 1176))
    }

    /// What kind of error it is, whatever its words: for telling whether the same one has come again.
    pub fn kind(&self) -> String {
        let code = match self {
            Self::Mysql { source, .. } | Self::Server(source) => source.code(),
            _ => None,
        };
        format!("{:?} {code:?}", std::mem::discriminant(self))
    }

    /// What to do about it.
    pub fn class(&self) -> Class {
        match self {
            Self::Mysql { source, .. } | Self::Server(source) => mysql_class(source),
            // A damaged transfer is mended by another one; a damaged file meets the limit.
            Self::Binlog(BinlogError::Checksum { .. }) => Class::Retry,
            Self::Binlog(error) if error.retry() == Retry::Reconnect => Class::Unavailable,
            Self::Schema(SchemaError::Mysql(error)) => mysql_class(error),
            Self::Topology(_) => Class::Unavailable,
            Self::NotOwner => Class::NotOwner,
            Self::Unsettled { .. }
            | Self::Timeout { .. }
            | Self::Task(_)
            | Self::Slot { .. }
            | Self::OtherServer { .. } => Class::Retry,
            Self::Reload => Class::Again,
            Self::Cancelled => Class::Cancelled,
            // Waiting may see them gone, but not silently for ever.
            Self::PreparedXa { .. } | Self::Fence(_) => Class::Retry,
            Self::Binlog(_)
            | Self::Sidecar(_)
            | Self::NoPosition { .. }
            | Self::LostGtids { .. }
            | Self::ReusedGtid { .. }
            | Self::Purged { .. }
            | Self::NoDatabase { .. }
            | Self::UnsafeSource { .. }
            | Self::NullInKey(_)
            | Self::Schema(_)
            | Self::Ddl { .. }
            | Self::DdlOfOneSource { .. }
            | Self::DdlFailed { .. }
            | Self::Table { .. }
            | Self::Mapping(_)
            | Self::Flow(_)
            | Self::PassingDuplicate { .. }
            | Self::Inexact { .. } => Class::Fatal,
        }
    }
}

fn mysql_class(error: &MysqlError) -> Class {
    match error {
        MysqlError::Server { code, .. } => server_class(*code),
        MysqlError::Connect { .. }
        | MysqlError::Io { .. }
        | MysqlError::Closed { .. }
        | MysqlError::Timeout { .. }
        | MysqlError::Broken { .. } => Class::Unavailable,
        _ => Class::Retry,
    }
}

/// By MySQL's error number.
fn server_class(code: u16) -> Class {
    match code {
        // Too many connections, shutdown in progress, killed, server gone, offline mode, read-only (a failover under way).
        1040
        | 1053
        | 1080
        | 1152
        | 1158..=1161
        | 1184
        | 1203
        | 1226
        | 1290
        | 1317
        | 1792
        | 1836
        | 2006
        | 2013
        | 3032
        | 3100
        | 4031 => Class::Unavailable,
        // A row that does not fit, a missing table or column, a missing privilege, a syntax error: ours or the schema's.
        1044 | 1045 | 1046 | 1048 | 1049 | 1054 | 1064 | 1136 | 1142 | 1143 | 1146 | 1153 | 1227 | 1264 | 1265
        | 1292 | 1364 | 1366 | 1406 | 3140 | 3819 => Class::Fatal,
        // Deadlock, lock wait, disk full, duplicate while an index is being added, …: may pass.
        _ => Class::Retry,
    }
}
