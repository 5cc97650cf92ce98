//! Why a binlog cannot be read on, and what may be done about it.

use std::time::Duration;

use crate::model::Gtid;
use crate::mysql::MysqlError;

use super::cursor::Malformed;

/// Where in the binlog: in a transaction, or before the first one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place(pub Option<Gtid>);

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Some(gtid) => write!(f, "at transaction {gtid}"),
            None => f.write_str("before the first transaction"),
        }
    }
}

/// What the caller may do after an error. The position has not moved past what failed, whichever it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Reconnect and resume by GTID set: the network or the server went away.
    Reconnect,
    /// Reconnecting would end at the same place: somebody has to act on what the message says.
    Never,
}

/// An error of the binlog reader. After one the reader is spent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BinlogError {
    /// A statement that changes rows, or may, was logged as text.
    #[error(
        "{place}: a statement was logged as text (binlog_format was not ROW in that session), so the rows it changed cannot \
         be known: {statement}"
    )]
    StatementDml {
        /// The transaction.
        place: Place,
        /// The statement's beginning.
        statement: String,
    },
    /// An XA transaction touched a moved table.
    #[error("{place}: XA transaction {what}; XA on moved tables is not supported")]
    Xa {
        /// The transaction.
        place: Place,
        /// What it did.
        what: String,
    },
    /// A transaction with rows of a moved table was rolled back, whole or in part, after they had been logged.
    #[error(
        "{place}: rows of moved tables were logged and then rolled back ({statement}); non-transactional tables are involved"
    )]
    RolledBack {
        /// The transaction.
        place: Place,
        /// The statement.
        statement: String,
    },
    /// An event type we do not know, and that its writer does not allow to be ignored.
    #[error("{place}: unknown event type {kind}; this server writes a binlog that this version cannot read")]
    UnknownEvent {
        /// The last transaction begun.
        place: Place,
        /// The type.
        kind: u8,
    },
    /// The source lost events and says so (INCIDENT).
    #[error(
        "{place}: the source reports lost events ({message}); its binlog has a hole and tables must be copied anew"
    )]
    Incident {
        /// The last transaction begun.
        place: Place,
        /// Its words.
        message: String,
    },
    /// A transaction without a GTID.
    #[error("after {place}: a transaction has no GTID; set gtid_mode=ON on the source")]
    Anonymous {
        /// The last transaction before it.
        place: Place,
    },
    /// An event's checksum is wrong.
    #[error("{place}: an event's checksum does not match; the binlog or the way here is damaged")]
    Checksum {
        /// The last transaction begun.
        place: Place,
    },
    /// Events carry no checksums.
    #[error(
        "{place}: the binlog has no checksums; set binlog_checksum=CRC32 on the source (older binlog files may lack them)"
    )]
    NoChecksums {
        /// The last transaction begun.
        place: Place,
    },
    /// A row image of a moved table lacks columns, or an update is a difference.
    #[error(
        "{place}: rows of {database}.{table} are not whole; set binlog_row_image=FULL and binlog_row_value_options='' on the \
         source, in running sessions too"
    )]
    PartialImage {
        /// The transaction.
        place: Place,
        /// The table's database.
        database: String,
        /// The table.
        table: String,
    },
    /// A foreign key changed rows of another table, and that is not in the binlog.
    #[error(
        "{place}: rows of {database}.{table} were changed, and what its foreign keys changed with them was not logged; drop the \
         CASCADE and SET NULL, or run the source with innodb_native_foreign_keys=OFF, then cancel and start again"
    )]
    UnloggedCascade {
        /// The transaction.
        place: Place,
        /// The parent table's database.
        database: String,
        /// The parent table.
        table: String,
    },
    /// A moved table looks different in the binlog from its definition.
    #[error("{place}: {database}.{table} is not the table we know: {why}")]
    SchemaDrift {
        /// The transaction.
        place: Place,
        /// The table's database.
        database: String,
        /// The table.
        table: String,
        /// The difference.
        why: String,
    },
    /// The source does not have what follows our position: purged, or our position holds what it never had (errno 1236).
    #[error("the source cannot continue from our position: {message}")]
    MissingGtids {
        /// Its words.
        message: String,
    },
    /// Nothing came, not even a heartbeat.
    #[error("{place}: nothing was heard from the source for {after:?}, heartbeats included")]
    Silent {
        /// The last transaction begun.
        place: Place,
        /// How long.
        after: Duration,
    },
    /// Events that contradict the format, or each other.
    #[error("{place}: {what}")]
    Malformed {
        /// The last transaction begun.
        place: Place,
        /// The contradiction.
        what: String,
    },
    /// The source ended the stream.
    #[error("{place}: the source ended the stream; it is shutting down or the connection was killed")]
    Ended {
        /// The last transaction begun.
        place: Place,
    },
    /// The connection, or a statement that sets it up.
    #[error(transparent)]
    Mysql(#[from] MysqlError),
    /// The reader was used after it had failed.
    #[error("the binlog reader has failed before; open a new one")]
    Spent,
}

/// Errors of a server that is going away or overloaded: shutdown in progress, query or connection killed, too many
/// connections, net read or write interrupted.
const PASSING: [u16; 9] = [1040, 1053, 1158, 1159, 1160, 1161, 1317, 1927, 3169];

impl BinlogError {
    /// What the caller may do.
    pub fn retry(&self) -> Retry {
        match self {
            BinlogError::Silent { .. } | BinlogError::Ended { .. } | BinlogError::Spent => Retry::Reconnect,
            // A damaged transfer is mended by another one; a damaged file fails again and meets the caller's limit.
            BinlogError::Checksum { .. } => Retry::Reconnect,
            BinlogError::Mysql(error) => mysql_retry(error),
            BinlogError::StatementDml { .. }
            | BinlogError::Xa { .. }
            | BinlogError::RolledBack { .. }
            | BinlogError::UnknownEvent { .. }
            | BinlogError::Incident { .. }
            | BinlogError::Anonymous { .. }
            | BinlogError::NoChecksums { .. }
            | BinlogError::PartialImage { .. }
            | BinlogError::UnloggedCascade { .. }
            | BinlogError::SchemaDrift { .. }
            | BinlogError::MissingGtids { .. }
            | BinlogError::Malformed { .. } => Retry::Never,
        }
    }

    pub(super) fn malformed(place: &Place, error: Malformed) -> Self {
        BinlogError::Malformed { place: place.clone(), what: error.to_string() }
    }
}

fn mysql_retry(error: &MysqlError) -> Retry {
    match error {
        MysqlError::Server { code, .. } if !PASSING.contains(code) => Retry::Never,
        MysqlError::Server { .. }
        | MysqlError::Connect { .. }
        | MysqlError::Io { .. }
        | MysqlError::Closed { .. }
        | MysqlError::Timeout { .. }
        | MysqlError::Broken { .. } => Retry::Reconnect,
        _ => Retry::Never,
    }
}
