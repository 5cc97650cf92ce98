//! Can a fence be built? CREATE TRIGGER needs more than the TRIGGER privilege where there is a binlog, and which of it a
//! server wants is best found by trying: a probe table in the sidecar schema gets a trigger that refuses writes, and a
//! write to it must be refused.
//!
//! Nothing is left behind: the table takes its trigger along when dropped, and the schema goes if it was ours and is
//! still empty, both under the sidecar lock.

use std::time::Duration;

use uuid::Uuid;

use crate::model::FENCE_ERRNO;
use crate::mysql::{
    MysqlError,
    admin::{SIDECAR, Session, drop_sidecar_if_empty, lock_sidecar, unlock_sidecar},
    quote::{ident, qualified},
};

use super::{Finding, Server, facts::Facts};

const LIMIT: Duration = Duration::from_secs(10);

/// Tries it. An account without privileges on the sidecar schema is told so elsewhere and not tried.
pub(super) async fn arm(server: &Server, facts: &Facts) -> Vec<Finding> {
    let may = |word| facts.grants.on_database(word, SIDECAR);
    if !["CREATE", "DROP", "TRIGGER", "INSERT"].into_iter().all(may) {
        return Vec::new();
    }
    match attempt(server).await {
        Ok(None) => Vec::new(),
        Ok(Some(finding)) => vec![finding],
        Err(error) => vec![Finding::refuse(
            "fence",
            &server.name,
            format!("a probe of the fence could not be made in schema {SIDECAR}: {error}"),
            "cure what the server says, then try again",
        )],
    }
}

async fn attempt(server: &Server) -> Result<Option<Finding>, MysqlError> {
    let mut session = Session::open(&server.login, LIMIT).await?;
    session.execute("SET SESSION lock_wait_timeout = 5").await?;
    if !lock_sidecar(&mut session, Duration::from_secs(5)).await? {
        let problem = format!("somebody else has been creating or dropping schema {SIDECAR} for 5 s");
        return Ok(Some(Finding::refuse("fence", &server.name, problem, "try again when that is done")));
    }
    let there = format!("SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = '{SIDECAR}'");
    let existed = session.value(&there).await?.is_some();
    session.execute(&format!("CREATE DATABASE IF NOT EXISTS {}", ident(SIDECAR))).await?;
    let table = qualified(SIDECAR, &format!("probe_{}", Uuid::new_v4().simple()));
    let tried = build(&mut session, &table, server).await;
    // Clean up before the outcome counts, on a fresh session if this one is broken.
    let dropped = session.execute(&format!("DROP TABLE IF EXISTS {table}")).await;
    if dropped.is_err() {
        let mut again = Session::open(&server.login, LIMIT).await?;
        again.execute(&format!("DROP TABLE IF EXISTS {table}")).await?;
        again.close().await;
    }
    if !existed {
        drop_sidecar_if_empty(&mut session).await?;
    }
    unlock_sidecar(&mut session).await?;
    session.close().await;
    tried
}

async fn build(session: &mut Session, table: &str, server: &Server) -> Result<Option<Finding>, MysqlError> {
    session.execute(&format!("CREATE TABLE {table} (id INT PRIMARY KEY) ENGINE = InnoDB")).await?;
    // The trigger's name is that of the table, which is unique.
    let create = format!(
        "CREATE TRIGGER {table} BEFORE INSERT ON {table} FOR EACH ROW BEGIN IF @shardlift_stream IS NULL THEN \
         SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = {FENCE_ERRNO}, MESSAGE_TEXT = 'shardlift probe'; END IF; END"
    );
    match session.execute(&create).await {
        Ok(_) => {}
        // ER_BINLOG_CREATE_ROUTINE_NEED_SUPER.
        Err(error) if error.code() == Some(1419) => {
            return Ok(Some(Finding::refuse(
                "fence",
                &server.name,
                "the account may not create triggers while the binlog is on, so that a switch could not fence the tables",
                "SET PERSIST log_bin_trust_function_creators = ON, or GRANT SUPER ON *.* to the account",
            )));
        }
        Err(error) => return Err(error),
    }
    let written = session.execute(&format!("INSERT INTO {table} VALUES (1)")).await;
    Ok(match written {
        Err(error) if error.code() == Some(FENCE_ERRNO) => None,
        Err(error) => return Err(error),
        Ok(_) => Some(Finding::refuse(
            "fence",
            &server.name,
            "a trigger that refuses writes was created, and a write went through all the same",
            "find out what keeps triggers from firing on this server; without them no switch is safe",
        )),
    })
}
