//! Whether a statement is held, and whether one that a fence has refused is sent again. Pure.
//!
//! Invariants:
//! - Held is what would open a transaction and takes hold of a table in a pause; everything else passes.
//! - Sent again is only what the refusal has undone whole: a statement that is atomic by itself, in a transaction that has
//!   done nothing but read snapshots. Locks that a rollback gave up must not be taken for still held (lost update).

use std::sync::Arc;

use super::grip::{Grip, grip};
use crate::gateway::sql::{Dml, Kind, Statement};
use crate::gateway::view::{Pause, is_system_schema};
use crate::model::KeyspaceName;

/// How the session stands towards servers before a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// A transaction is open on a server, or tables are locked there: the statement would open nothing.
    pub inside: bool,
    /// The session may have named locks, for which others may wait.
    pub names: bool,
    /// It would be part of a transaction in which every read locks.
    pub serializable: bool,
}

/// The pause a statement has to wait for, if any, in the keyspace that it was planned for.
pub fn held_for<'a>(
    pauses: &'a [Arc<Pause>],
    keyspace: &KeyspaceName,
    statement: &Statement,
    standing: Standing,
) -> Option<&'a Arc<Pause>> {
    if standing.inside || standing.names {
        return None;
    }
    let grip = grip(statement, standing.serializable);
    pauses.iter().filter(|pause| pause.holds && pause.is_on(keyspace)).find(|pause| match grip {
        Grip::Nothing => false,
        Grip::Named => named(statement).any(|table| pause.has(keyspace, table)),
        Grip::Anything => true,
    })
}

/// The pause whose fence's row a statement of a transaction takes before it runs: it locks rows in one of its tables, and
/// no trigger takes the row for it. The fence then waits for the transaction instead of breaking it off.
pub fn fence_for<'a>(
    pauses: &'a [Arc<Pause>],
    keyspace: &KeyspaceName,
    statement: &Statement,
    serializable: bool,
) -> Option<&'a Arc<Pause>> {
    let reads = matches!(statement.kind, Kind::Query | Kind::Do | Kind::Set(_));
    let locks = reads && grip(statement, serializable) != Grip::Nothing;
    pauses.iter().filter(|_| locks).find(|pause| named(statement).any(|table| pause.has(keyspace, table)))
}

/// The names of tables in the statement's keyspace.
fn named(statement: &Statement) -> impl Iterator<Item = &str> {
    let system =
        |name: &Option<crate::gateway::sql::Name>| name.as_ref().is_some_and(|name| is_system_schema(&name.text));
    statement.tables.iter().filter(move |table| !system(&table.database)).map(|table| table.table.text.as_str())
}

/// What becomes of a statement that a fence refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Its client is told the server's words: what it has done before the refusal cannot be told.
    Told,
    /// The transaction, or the statement alone where there is none, is undone and the client told to begin again (1213).
    Undone,
    /// It is sent again.
    Again,
}

/// What would become of a statement that a fence refuses. `only_read`: the open transaction has done nothing but read
/// snapshots; `once`: what was sent for it cannot be sent again.
pub fn if_refused(statement: &Statement, standing: Standing, only_read: bool, once: bool) -> Refused {
    match &statement.kind {
        // A procedure may have committed something before the refusal.
        Kind::Call | Kind::Execute { .. } | Kind::Other(_) | Kind::Xa(_) => Refused::Told,
        // The client has sent its file.
        Kind::Dml(Dml::LoadData { local: true } | Dml::LoadXml { local: true }) => Refused::Undone,
        // Variables keep what it has assigned.
        _ if once || !statement.uses.variables_assigned.is_empty() => Refused::Undone,
        _ if standing.inside && !only_read => Refused::Undone,
        _ => Refused::Again,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::sql::{SqlMode, analyze};
    use crate::gateway::view::testing::{Cluster, view};

    const OUTSIDE: Standing = Standing { inside: false, names: false, serializable: false };
    const INSIDE: Standing = Standing { inside: true, ..OUTSIDE };

    fn parsed(sql: &str) -> Statement {
        analyze(sql.as_bytes(), SqlMode::default())
    }

    #[test]
    fn only_what_opens_a_transaction_on_a_paused_table_is_held() {
        let view = view(Cluster::default().paused(&["corder"], true));
        let held = |sql: &str, keyspace: &str, standing| {
            held_for(&view.pauses, &keyspace.parse().unwrap(), &parsed(sql), standing).is_some()
        };
        for sql in [
            "INSERT INTO corder VALUES (1)",
            "INSERT INTO other SELECT * FROM Corder",
            "SELECT * FROM corder FOR UPDATE",
            "CALL p()",
            "LOCK TABLES other READ, corder WRITE",
        ] {
            assert!(held(sql, "commerce", OUTSIDE) && held(sql, "legacy", OUTSIDE), "{sql}");
            assert!(!held(sql, "customer", OUTSIDE) && !held(sql, "commerce", INSIDE), "{sql}");
        }
        for sql in ["INSERT INTO other VALUES (1)", "SELECT * FROM corder", "SELECT * FROM mysql.corder FOR UPDATE"] {
            assert!(!held(sql, "commerce", OUTSIDE), "{sql}");
        }
        assert!(held("SELECT * FROM corder", "commerce", Standing { serializable: true, ..OUTSIDE }));
        let taken = |sql: &str, serializable| {
            fence_for(&view.pauses, &"commerce".parse().unwrap(), &parsed(sql), serializable).is_some()
        };
        assert!(taken("SELECT * FROM corder FOR SHARE", false) && taken("SELECT * FROM corder", true));
        assert!(!taken("SELECT * FROM corder", false) && !taken("SELECT * FROM other FOR UPDATE", false));
        assert!(!taken("DELETE FROM corder", false), "its trigger does");
        let armed = crate::gateway::view::testing::view(Cluster::default().paused(&["corder"], false));
        let insert = parsed("INSERT INTO corder VALUES (1)");
        assert!(held_for(&armed.pauses, &"commerce".parse().unwrap(), &insert, OUTSIDE).is_none());
    }

    #[test]
    fn only_what_is_undone_whole_is_sent_again() {
        let becomes = |sql: &str, standing, only_read| if_refused(&parsed(sql), standing, only_read, false);
        let insert = "INSERT INTO corder VALUES (1)";
        assert_eq!(becomes(insert, OUTSIDE, false), Refused::Again);
        assert_eq!(becomes(insert, INSIDE, true), Refused::Again);
        assert_eq!(becomes(insert, INSIDE, false), Refused::Undone);
        assert_eq!(becomes("LOAD DATA LOCAL INFILE 'x' INTO TABLE corder", OUTSIDE, false), Refused::Undone);
        assert_eq!(becomes("UPDATE corder SET a = (@n := @n + 1)", OUTSIDE, false), Refused::Undone);
        assert_eq!(becomes("CALL p()", OUTSIDE, false), Refused::Told);
        assert_eq!(if_refused(&parsed(insert), OUTSIDE, false, true), Refused::Undone);
    }
}
