//! Opening the file: pragmas, tables and their version.
//!
//! `synchronous=FULL`: in WAL mode NORMAL keeps the file consistent but may take back the newest commits when the power
//! fails. A switch opens its target side on the strength of one commit; taken back, both sides would accept writes.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::super::store::{DEADLINE, StoreError};

/// "shdl", so that a file of another program is not taken for ours.
const APPLICATION_ID: i32 = 0x7368_646c;
const VERSION: i32 = 1;

const TABLES: &str = "
    CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    INSERT INTO counter VALUES ('revision', 1), ('compacted', 0);
    CREATE TABLE entry (
        key TEXT PRIMARY KEY, value BLOB NOT NULL, mod_revision INTEGER NOT NULL, lease INTEGER
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX entry_lease ON entry (lease) WHERE lease IS NOT NULL;
    CREATE TABLE change (
        revision INTEGER NOT NULL, key TEXT NOT NULL, value BLOB, lease INTEGER, PRIMARY KEY (revision, key)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE lease (id INTEGER PRIMARY KEY AUTOINCREMENT, ttl_ms INTEGER NOT NULL, renewed_ms INTEGER NOT NULL) STRICT;
";

/// Opens `path`, creating file, folder and tables as needed. Blocks.
pub(super) fn open(path: &Path) -> Result<Connection, StoreError> {
    let until = Instant::now() + DEADLINE;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|e| StoreError::Unavailable {
            what: format!("creating folder {}", folder.display()),
            why: e.to_string(),
        })?;
    }
    loop {
        // Processes that create the file at the same instant get in each other's way while it turns to WAL, where
        // SQLite does not call the busy handler.
        match try_open(path) {
            Err(e) if e.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(e) => return Err(classify(e, &format!("opening {}", path.display()))),
            Ok(connection) => return verify(connection, path),
        }
    }
}

fn try_open(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(DEADLINE)?;
    let empty = |c: &Connection| c.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get::<_, bool>(0));
    if empty(&connection)? {
        connection.pragma_update(None, "journal_mode", "WAL")?;
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if empty(&tx)? {
            tx.execute_batch(TABLES)?;
            tx.pragma_update(None, "application_id", APPLICATION_ID)?;
            tx.pragma_update(None, "user_version", VERSION)?;
        }
        tx.commit()?;
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    Ok(connection)
}

fn verify(connection: Connection, path: &Path) -> Result<Connection, StoreError> {
    let corrupt = |why: String| StoreError::Corrupt { what: path.display().to_string(), why };
    let number = |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get::<_, i32>(0));
    let read = |pragma: &str| number(pragma).map_err(|e| classify(e, pragma));
    if read("application_id")? != APPLICATION_ID {
        return Err(corrupt("it is an SQLite file, but not a shardlift topology; name another with --topo".into()));
    }
    let version = read("user_version")?;
    if version != VERSION {
        return Err(corrupt(format!(
            "its layout is version {version}, this program knows {VERSION}; use a matching release"
        )));
    }
    let mode: String = connection
        .pragma_query_value(None, "journal_mode", |row| row.get(0))
        .map_err(|e| classify(e, "journal_mode"))?;
    if mode != "wal" {
        return Err(corrupt(format!(
            "its journal mode is {mode}, not WAL; a network file system cannot hold a topology"
        )));
    }
    Ok(connection)
}

/// What an SQLite error, met anywhere but at COMMIT, means to the caller.
pub(super) fn classify(error: rusqlite::Error, what: &str) -> StoreError {
    let (what, why) = (what.to_string(), error.to_string());
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::SchemaChanged) => {
            StoreError::Corrupt { what, why }
        }
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::TooBig) => {
            StoreError::Refused { what, why }
        }
        Some(_) => StoreError::Unavailable { what, why },
        // Not from SQLite: a column of an unexpected type or a missing row or table.
        None => StoreError::Corrupt { what, why },
    }
}
