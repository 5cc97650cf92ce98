//! What is refused by its kind, and what may go to any server.

use super::{Refusal, Router, Statement};
use crate::gateway::plan::Text;
use crate::gateway::sql::{Access, Ddl, Kind, Qualified, Show, TableRef, Xa, stored_function};
use crate::gateway::view::{Keyspace, is_system_schema};
use crate::model::workflow::TabletType;

impl Router<'_> {
    /// Refuses what a keyspace cannot be asked for, and what the session's target must not be asked for.
    pub(super) fn permit(&self, statement: &Statement) -> Result<(), Refusal> {
        match &statement.kind {
            Kind::Server => {
                return Err(Refusal::unsupported(
                    "this statement acts on one server, and the gateway stands for many; connect to that server".into(),
                ));
            }
            Kind::Ddl(Ddl::Database) => {
                return Err(Refusal::unsupported(
                    "databases are keyspaces here, declared with `shardlift keyspace add` and `shardlift shard add`; \
                     create or change a server's schema on that server"
                        .into(),
                ));
            }
            _ => {}
        }
        if self.target.tablet_type == TabletType::Primary {
            return Ok(());
        }
        let Some(what) = changes(statement) else { return Ok(()) };
        let target = self.target;
        let primary = target.keyspace.as_ref().map_or("a keyspace".into(), |name| format!("`use {name}`"));
        Err(Refusal::read_only(format!(
            "the session's target is {target}, which takes reads only: {what} must go to the primary; say {primary} first"
        )))
    }

    /// Refuses what names no table of a sharded keyspace and still may be about its rows: a stored function would read and
    /// write those of one shard.
    pub(super) fn check_calls(&self, keyspace: &Keyspace, statement: &Statement, sql: &[u8]) -> Result<(), Refusal> {
        if !matches!(statement.kind, Kind::Query | Kind::Do | Kind::Set(_) | Kind::Explain { analyze: true }) {
            return Ok(());
        }
        let text = Text::new(sql, self.mode);
        let Some(function) = stored_function(sql, &text.tokens) else { return Ok(()) };
        Err(Refusal::unsupported(format!(
            "keyspace {} is sharded ({}): {} is no function of MySQL's own, and what a stored function does cannot be seen; name the \
             shard with `use`",
            keyspace.name,
            keyspace.shard_names(),
            String::from_utf8_lossy(function)
        )))
    }
}

/// What a statement does that only a primary may be asked for. Stored programs are not looked into: the sessions on other
/// tablets are read only, so that their servers refuse what they write.
fn changes(statement: &Statement) -> Option<&'static str> {
    let writes = || statement.tables.iter().any(|table| table.access == Access::Write);
    match &statement.kind {
        Kind::Dml(_) | Kind::Import => Some("writes"),
        Kind::Explain { analyze: true } if writes() => Some("writes"),
        Kind::Ddl(_) => Some("DDL"),
        Kind::TableAdmin | Kind::Flush => Some("table maintenance, which goes to the binlog,"),
        Kind::Account => Some("the administration of accounts"),
        Kind::LockTables | Kind::LockInstance | Kind::FlushTablesWithLock => Some("locks"),
        Kind::Xa(verb) if *verb != Xa::Recover => Some("XA transactions"),
        Kind::Other(_) => Some("statements the gateway does not know"),
        _ if statement.uses.locking_read => Some("locking reads"),
        _ => None,
    }
}

/// Whether any shard's answer is as good as another's: nothing here reads or writes rows of a keyspace.
pub(super) fn without_rows(statement: &Statement) -> bool {
    let system = |table: &TableRef| table.database.as_ref().is_some_and(|name| is_system_schema(&name.text));
    statement.certain
        && statement.tables.iter().all(|table| table.access == Access::Read && system(table))
        && !statement.qualifiers.iter().any(|qualifier| qualifier.what == Qualified::Routine)
        && without_objects(&statement.kind)
}

/// Whether it can be asked of any keyspace's server. `in_system_schema`: the session's default is what every server has.
pub(super) fn without_keyspace(statement: &Statement, sql: &[u8], in_system_schema: bool) -> bool {
    match &statement.kind {
        Kind::Show(Show::Tables { database, .. }) => in_system_schema || database.is_some(),
        Kind::Show(Show::Other { database: None }) if statement.tables.is_empty() => !shows_a_database(sql),
        kind => without_objects(kind),
    }
}

/// Kinds that, where they name no table, concern only the session or the server in general.
fn without_objects(kind: &Kind) -> bool {
    match kind {
        Kind::Query | Kind::Do | Kind::Explain { .. } | Kind::ExplainConnection | Kind::Describe | Kind::Show(_) => {
            true
        }
        Kind::Set(_) | Kind::SetTransaction { .. } | Kind::SetRole | Kind::Use(_) | Kind::Help | Kind::Empty => true,
        Kind::Begin { .. } | Kind::Commit { .. } | Kind::Rollback { .. } | Kind::Kill { .. } => true,
        Kind::Savepoint | Kind::RollbackTo | Kind::ReleaseSavepoint => true,
        Kind::UnlockTables | Kind::UnlockInstance | Kind::Diagnostics | Kind::Signal => true,
        Kind::Prepare { .. } | Kind::Execute { .. } | Kind::Deallocate { .. } => true,
        Kind::Dml(_) | Kind::Call | Kind::Handler(_) | Kind::Import | Kind::Ddl(_) | Kind::TableAdmin => false,
        Kind::CreateTemporary | Kind::DropTemporary | Kind::LockTables | Kind::LockInstance => false,
        Kind::FlushTablesWithLock | Kind::Flush | Kind::Xa(_) | Kind::Account | Kind::Server | Kind::Other(_) => false,
    }
}

/// SHOW TABLE STATUS, SHOW TRIGGERS and SHOW EVENTS without a database are about the default one.
fn shows_a_database(sql: &[u8]) -> bool {
    let words = sql.split(|byte| !byte.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).take(4);
    let about =
        |word: &[u8]| [&b"TABLE"[..], b"TRIGGERS", b"EVENTS"].iter().any(|known| word.eq_ignore_ascii_case(known));
    words.skip(1).any(about)
}
