//! What a server's binlog says of a statement whose answer was lost.
//!
//! A statement is sent with a comment of its own before it, which the server logs with it. A look through what was logged since
//! it was sent tells whether it was run, also where tables look the same before and after, as with TRUNCATE.
//!
//! Invariant: where the binlog does not tell for certain, the answer is [`Fate::Unknown`].

use std::time::Duration;

use uuid::Uuid;

use super::statements::Statement;
use crate::model::GtidSet;
use crate::mysql::admin::{Session, binlog_status, gtid_state};
use crate::mysql::binlog::outline::{Glance, Outline};
use crate::mysql::binlog::{BinlogError, BinlogReader, MAX_EVENT};
use crate::mysql::flavor::Flavor;
use crate::mysql::wire::{ConnectOptions, Wire};
use crate::mysql::{Login, MysqlError};
use crate::topology::records::Sent;

/// What became of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// It was run.
    Ran,
    /// It was not, and never will be: whoever sent it is gone.
    DidNot,
    /// Either, and why it cannot be told.
    Unknown(String),
}

/// What is noted before a statement is sent.
pub(super) async fn note(session: &mut Session) -> Result<Sent, MysqlError> {
    let sql = "SELECT @@global.gtid_executed, @@global.gtid_mode, @@global.log_bin, @@session.sql_log_bin";
    let row = session.row(sql).await?;
    let value = |index| row.as_ref().and_then(|row| row.text(index)).unwrap_or_default();
    let logged = value(1).starts_with("ON") && value(2) == "1" && value(3) == "1";
    Ok(Sent { uid: Uuid::new_v4(), after: logged.then(|| value(0)) })
}

/// A statement as it is sent.
pub(super) fn marked(sent: &Sent, sql: &str) -> String {
    format!("{}{sql}", mark(sent))
}

fn mark(sent: &Sent) -> String {
    format!("/* shardlift schema apply {} */ ", sent.uid)
}

/// What became of a statement that was sent to a shard's `database`. The caller holds the lock that its sender had, so that
/// the server is done with it. Takes no longer than `limit`.
pub(super) async fn fate(
    session: &mut Session,
    (login, database): (&Login, &str),
    statement: &Statement,
    sent: &Sent,
    limit: Duration,
) -> Fate {
    let search = Search { mark: mark(sent), statement, database, other: None };
    match tokio::time::timeout(limit, look(session, login, search, sent)).await {
        Ok(Ok(fate)) => fate,
        Ok(Err(why)) => Fate::Unknown(format!("its binlog cannot be read: {why}")),
        Err(_) => Fate::Unknown(format!("reading its binlog took more than {} s", limit.as_secs())),
    }
}

async fn look(session: &mut Session, login: &Login, mut search: Search<'_>, sent: &Sent) -> Result<Fate, BinlogError> {
    let unknown = |why: &str| Ok(Fate::Unknown(why.into()));
    let Some(after) = sent.after.as_deref().and_then(|text| text.parse::<GtidSet>().ok()) else {
        return unknown("it had no binlog with GTIDs (log_bin, gtid_mode)");
    };
    let row = session.row("SELECT @@version, @@version_comment").await?;
    let text = |index| row.as_ref().and_then(|row| row.text(index)).unwrap_or_default();
    let flavor = Flavor::parse(&text(0), &text(1)).ok_or(MysqlError::Unexpected { what: "no version" })?;
    let Some(status) = binlog_status(session, &flavor).await? else { return unknown("it has no binlog") };
    if !(status.do_db.is_empty() && status.ignore_db.is_empty()) {
        return unknown("its binlog leaves databases out (binlog-do-db, binlog-ignore-db)");
    }
    let state = gtid_state(session).await?;
    // What a server that has become primary since does not have was not run there.
    let from = after.minus(&after.minus(&state.executed));
    let mut due = state.executed.minus(&from);
    if !state.purged.is_subset(&from) {
        return unknown("its binlogs of that time are purged");
    }
    if due.is_empty() {
        return Ok(Fate::DidNot);
    }
    let options = ConnectOptions { max_packet: MAX_EVENT, ..ConnectOptions::default() };
    let mut reader = BinlogReader::outlines(Wire::connect(login, &options).await?, &from).await?;
    let mut ran = false;
    while !(ran || due.is_empty()) {
        if let Glance::Txn(outline) = reader.next().await? {
            ran = search.finds(&outline);
            let mut passed = GtidSet::new();
            passed.add(&outline.gtid);
            due = due.minus(&passed);
        }
    }
    reader.close().await;
    Ok(match search.other {
        _ if ran => Fate::Ran,
        Some(other) => {
            Fate::Unknown(format!("it has run {other}, which may be this in the server's own words, or not"))
        }
        None => Fate::DidNot,
    })
}

/// A search for a statement.
struct Search<'a> {
    mark: String,
    statement: &'a Statement,
    database: &'a str,
    /// One that may be it without its mark.
    other: Option<String>,
}

impl Search<'_> {
    /// Whether this transaction is the statement.
    fn finds(&mut self, outline: &Outline) -> bool {
        let mut texts = outline.ddl.iter().map(|(text, _)| text).chain(&outline.obscure);
        if texts.any(|text| text.starts_with(&self.mark)) {
            return true;
        }
        let Statement { tables, verbatim, .. } = self.statement;
        let like = outline.ddl.iter().find(|(text, scope)| {
            // Views are no stored tables, and no scope names them.
            let lower = text.to_lowercase();
            let view = |table: &str| lower.contains(" view ") && lower.contains(&format!("`{}`", table.to_lowercase()));
            tables.iter().any(|table| scope.touches(self.database, table) || view(table))
        });
        if let Some((text, _)) = like.filter(|_| !verbatim && self.other.is_none()) {
            let shown: String = text.chars().take(80).collect();
            self.other = Some(format!("`{shown}` as {}", outline.gtid));
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::schema::statements::read;
    use crate::mysql::binlog::Scope;

    #[test]
    fn a_statement_is_known_by_its_mark_and_by_nothing_else() {
        let sent = Sent { uid: Uuid::nil(), after: None };
        let table = |table: &str| Scope::Tables(vec![("shop".to_owned(), table.to_owned())]);
        let outline = |text: &str, scope: Scope| Outline {
            gtid: "3e11fa47-71ca-11e1-9e33-c80aa9429562:7".parse().unwrap(),
            tables: Default::default(),
            ddl: vec![(text.to_owned(), scope)],
            obscure: None,
        };
        // What is sent; what is logged; whether that is it, `None` where it may be.
        for (sql, logged, scope, is) in [
            ("TRUNCATE t", marked(&sent, "TRUNCATE t"), table("t"), Some(true)),
            ("TRUNCATE t", "TRUNCATE t".into(), table("t"), Some(false)),
            ("ALTER TABLE t ADD c INT", "ALTER TABLE t ADD c INT".into(), table("t"), Some(false)),
            ("DROP TABLE t", "DROP TABLE `t` /* generated by server */".into(), table("T"), None),
            ("DROP TABLE t", "DROP TABLE `u` /* generated by server */".into(), table("u"), Some(false)),
            ("CREATE TABLE t SELECT 1", "CREATE TABLE `t` (…) START TRANSACTION".into(), table("t"), None),
            (
                "CREATE VIEW v AS SELECT 1",
                "CREATE ALGORITHM=UNDEFINED VIEW `v` AS select 1".into(),
                Scope::Nothing,
                None,
            ),
            (
                "CREATE VIEW v AS SELECT 1",
                "CREATE ALGORITHM=UNDEFINED VIEW `w` AS select 1".into(),
                Scope::Nothing,
                Some(false),
            ),
        ] {
            let statement = &read(sql).unwrap()[0];
            let mut search = Search { mark: mark(&sent), statement, database: "shop", other: None };
            let found = search.finds(&outline(&logged, scope));
            assert_eq!((found || search.other.is_none()).then_some(found), is, "{sql}: {logged}");
        }
    }
}
