//! What a statement that names no table asks of the connection it is run on. Pure.

use crate::gateway::sql::{Handler, Kind, Statement, is_built_in};

/// Whether a statement may run on any of the session's connections: nothing in it depends on the default database. What
/// is not known to be so follows the session's target.
pub(super) fn is_indifferent(statement: &Statement, sql: &[u8]) -> bool {
    let names_nothing = statement.certain
        && statement.tables.is_empty()
        && statement.qualifiers.is_empty()
        && statement.uses.database_function.is_empty();
    names_nothing
        && match &statement.kind {
            Kind::Commit { .. }
            | Kind::Rollback { .. }
            | Kind::Savepoint
            | Kind::RollbackTo
            | Kind::ReleaseSavepoint => true,
            Kind::Begin { .. } | Kind::SetTransaction { .. } | Kind::SetRole | Kind::Xa(_) => true,
            Kind::Diagnostics | Kind::Signal | Kind::Execute { .. } | Kind::Deallocate { .. } => true,
            Kind::UnlockTables | Kind::UnlockInstance | Kind::Handler(Handler::Close) => true,
            Kind::Query | Kind::Do | Kind::Set(_) => calls_only_built_ins(sql),
            _ => false,
        }
}

/// Whether a statement that is [indifferent](is_indifferent) is about what the session has on a connection it keeps. Others
/// follow the target: `@@server_id` is asked of the server the session is aimed at.
pub(super) fn is_bound(statement: &Statement) -> bool {
    let uses = &statement.uses;
    uses.advisory_locks || uses.asks_for_locks || !matches!(statement.kind, Kind::Query | Kind::Do | Kind::Set(_))
}

/// Whether it asks for what the statement before it left on its connection.
pub(super) fn asks_back(statement: &Statement) -> bool {
    statement.kind == Kind::Diagnostics || statement.uses.previous_statement
}

/// Whether LAST_INSERT_ID() is all it asks back for, which can be told to another connection.
pub(super) fn asks_insert_id_only(statement: &Statement, sql: &[u8]) -> bool {
    const OTHERS: [&[u8]; 4] = [b"found_rows", b"row_count", b"warning_count", b"error_count"];
    let lower = sql.to_ascii_lowercase();
    statement.kind != Kind::Diagnostics
        && !OTHERS.iter().any(|other| lower.windows(other.len()).any(|window| window == *other))
}

/// Whether LAST_INSERT_ID() is among what it asks back for; in doubt it is.
pub(super) fn asks_insert_id(sql: &[u8]) -> bool {
    const NAMES: [&[u8]; 2] = [b"last_insert_id", b"identity"];
    let lower = sql.to_ascii_lowercase();
    NAMES.iter().any(|name| lower.windows(name.len()).any(|window| window == *name))
}

/// Whether a transaction that was begun need not begin on a server for this: it neither reads nor writes rows.
pub(super) fn begins_nothing(statement: &Statement, sql: &[u8]) -> bool {
    let autocommit = |kind: &Kind| match kind {
        Kind::Set(assignments) => assignments.iter().any(|one| one.name == "autocommit"),
        _ => false,
    };
    match &statement.kind {
        Kind::Query | Kind::Set(_) => is_indifferent(statement, sql) && !autocommit(&statement.kind),
        Kind::SetTransaction { .. } | Kind::Diagnostics => true,
        _ => false,
    }
}

/// Whether a statement within a transaction, outside SERIALIZABLE, does no more than read a snapshot, so that the transaction
/// could as well be begun anew before it.
pub(super) fn reads_snapshot(statement: &Statement, sql: &[u8]) -> bool {
    let uses = &statement.uses;
    let harmless = statement.certain && !uses.locking_read && !uses.into_outfile && !uses.advisory_locks;
    harmless
        && match &statement.kind {
            // A stored function may write.
            Kind::Query | Kind::Do | Kind::Set(_) => calls_only_built_ins(sql),
            Kind::Show(_) | Kind::Describe | Kind::Explain { analyze: false } | Kind::Diagnostics | Kind::Help => true,
            _ => false,
        }
}

/// Whether every word before a parenthesis is a function or keyword of MySQL's own. One that is not known costs nothing here but
/// that its statement follows the session's target.
fn calls_only_built_ins(sql: &[u8]) -> bool {
    sql.iter().enumerate().filter(|(_, byte)| **byte == b'(').all(|(at, _)| {
        let before = sql.get(..at).unwrap_or_default().trim_ascii_end();
        let word = before
            .iter()
            .rev()
            .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_' || **byte >= 0x80)
            .count();
        let word = before.get(before.len() - word..).unwrap_or_default();
        let quoted = before.last().is_some_and(|byte| b"`\"".contains(byte));
        !quoted && (word.is_empty() || is_built_in(word))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::sql::{SqlMode, analyze};

    #[test]
    fn what_depends_on_the_database_is_not_indifferent() {
        let is = |sql: &str| is_indifferent(&analyze(sql.as_bytes(), SqlMode::default()), sql.as_bytes());
        for sql in [
            "SELECT 1",
            "select NOW(), @x + abs (-1)",
            "COMMIT",
            "SET @x = (1)",
            "SHOW WARNINGS",
            "select get_lock('a', 1)",
        ] {
            assert!(is(sql), "{sql}");
        }
        for sql in [
            "SELECT f()",
            "SELECT database()",
            "SHOW TABLES",
            "CALL p()",
            "SELECT * FROM t",
            "SELECT `abs`(1)",
            "DO a.f()",
        ] {
            assert!(!is(sql), "{sql}");
        }
    }

    #[test]
    fn reading_a_snapshot_leaves_nothing_to_undo() {
        let reads = |sql: &str| reads_snapshot(&analyze(sql.as_bytes(), SqlMode::default()), sql.as_bytes());
        assert!(reads("SELECT COUNT(*) FROM t WHERE a IN (1, 2)") && reads("SHOW TABLES"));
        for sql in
            ["SELECT f(1)", "SELECT * FROM t FOR SHARE", "SELECT GET_LOCK('a', 1)", "SAVEPOINT a", "DELETE FROM t"]
        {
            assert!(!reads(sql), "{sql}");
        }
    }

    #[test]
    fn only_the_insert_id_can_be_told_elsewhere() {
        let only = |sql: &str| asks_insert_id_only(&analyze(sql.as_bytes(), SqlMode::default()), sql.as_bytes());
        assert!(only("SELECT LAST_INSERT_ID()"));
        assert!(!only("SELECT Row_Count(), LAST_INSERT_ID()"));
        assert!(!only("SHOW WARNINGS"));
        assert!(asks_insert_id(b"SELECT Row_Count(), LAST_INSERT_ID()") && asks_insert_id(b"SELECT @@identity"));
        assert!(!asks_insert_id(b"SELECT ROW_COUNT()"));
    }
}
