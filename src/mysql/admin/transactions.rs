//! Transactions that are open on a server, and whose they are: what may hold a lock somebody waits for.
//!
//! Which lock each of them holds only `performance_schema` knows, which may be off; so these are suspects, oldest first.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use crate::mysql::MysqlError;

use super::monitor::{Listed, active};
use super::session::{Record, Session};

/// A string cannot be converted.
const UNREADABLE: u16 = 3854;
/// How much of a statement is shown, characters.
const SHOWN: usize = 120;

/// A transaction somebody has open, or a statement that has been running for long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenTransaction {
    /// Its connection; 0 for an XA transaction that is prepared.
    pub connection: u64,
    /// `user@host`; empty where it has no connection.
    pub account: String,
    /// How long it has been open.
    pub age: Duration,
    /// What the connection is doing, `idle` or the server's word.
    pub command: String,
    /// The statement it is running, if it runs one.
    pub statement: Option<String>,
    /// Whether it has changed or locked rows.
    pub has_written: bool,
}

impl fmt::Display for OpenTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connection, account, age, command, statement, has_written: _ } = self;
        let seconds = age.as_secs();
        match (connection, statement) {
            (0, _) => write!(f, "a prepared XA transaction, {seconds} s old (XA RECOVER shows it)"),
            (_, Some(statement)) => {
                let shown: String = statement.split_whitespace().collect::<Vec<_>>().join(" ");
                let cut: String = shown.chars().take(SHOWN).collect();
                let dots = if cut.len() < shown.len() { "…" } else { "" };
                write!(f, "connection {connection} of {account}, {seconds} s old, running `{cut}{dots}`")
            }
            (_, None) => write!(f, "connection {connection} of {account}, {seconds} s old, {command}"),
        }
    }
}

/// Those of at least this age, the oldest first, this session's own left out. Needs PROCESS.
pub async fn open_transactions(session: &mut Session, at_least: Duration) -> Result<Vec<OpenTransaction>, MysqlError> {
    let own = session.row("SELECT CONNECTION_ID()").await?.and_then(|row| row.number(0)).unwrap_or_default();
    let listed = list(session).await?;
    let processes = session.rows("SHOW FULL PROCESSLIST").await?;
    let processes: HashMap<u64, &Record> =
        processes.iter().filter_map(|row| Some((row.number(0)?, row))).filter(|(id, _)| *id != own).collect();
    let mut found = Vec::new();
    for Listed { connection, age, has_written } in listed.into_iter().filter(|listed| listed.connection != own) {
        let transaction = of(connection, processes.get(&connection).copied(), age);
        found.push(OpenTransaction { has_written, ..transaction });
    }
    // A statement may hold a table's metadata without a transaction that InnoDB knows of.
    for (id, row) in processes {
        let known = found.iter().any(|transaction| transaction.connection == id);
        if !known && row.text(4).as_deref() == Some("Query") {
            found.push(of(id, Some(row), Duration::from_secs(row.number(5).unwrap_or_default())));
        }
    }
    found.retain(|transaction| transaction.age >= at_least);
    found.sort_by(|a, b| b.age.cmp(&a.age).then(a.connection.cmp(&b.connection)));
    Ok(found)
}

/// What InnoDB knows of.
async fn list(session: &mut Session) -> Result<Vec<Listed>, MysqlError> {
    // trx_started is in the system's time zone whatever the session's is.
    const SELECT: &str = "SELECT trx_mysql_thread_id, \
        TIMESTAMPDIFF(SECOND, trx_started, CONVERT_TZ(UTC_TIMESTAMP(), '+00:00', 'SYSTEM')), \
        trx_rows_modified + trx_rows_locked > 0 FROM information_schema.INNODB_TRX";
    match session.rows(SELECT).await {
        // Somebody runs a statement in `binary`, as our streams do, that is no utf8mb3.
        Err(error) if error.code() == Some(UNREADABLE) => {
            let status = session.row("SHOW ENGINE INNODB STATUS").await?;
            Ok(active(&status.and_then(|row| row.text(2)).unwrap_or_default()))
        }
        rows => Ok(rows?.iter().map(listed).collect()),
    }
}

fn listed(row: &Record) -> Listed {
    Listed {
        connection: row.number(0).unwrap_or_default(),
        age: Duration::from_secs(row.number(1).unwrap_or_default()),
        has_written: row.number(2) == Some(1),
    }
}

fn of(connection: u64, process: Option<&Record>, age: Duration) -> OpenTransaction {
    let text = |index| process.and_then(|row| row.text(index));
    let account = match (text(1), text(2)) {
        (Some(user), Some(host)) => format!("{user}@{host}"),
        (user, _) => user.unwrap_or_default(),
    };
    let command = match text(4).as_deref() {
        Some("Sleep") => "idle".to_owned(),
        other => other.unwrap_or("unknown").to_owned(),
    };
    OpenTransaction { connection, account, age, command, statement: text(7), has_written: false }
}
