//! What a statement would take hold of. Pure.
//!
//! Invariant: a statement that leaves a lock or a changed row behind is never said to leave nothing, as far as its text
//! tells: what stored programs and views do, the text does not tell; the fence meets it on the server.

use crate::gateway::sql::{Access, Ddl, Kind, Statement};

/// What a statement leaves behind in its tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grip {
    /// Nothing: it reads a snapshot, or no rows.
    Nothing,
    /// Locks, rows or definitions, in tables that it names.
    Named,
    /// Perhaps any of these, in tables that it does not name.
    Anything,
}

/// What a statement leaves behind. `serializable`: it is in a transaction in which every read locks.
pub fn grip(statement: &Statement, serializable: bool) -> Grip {
    let locks = statement.uses.locking_read;
    let writes = || statement.tables.iter().any(|table| table.access == Access::Write);
    let takes = match &statement.kind {
        Kind::Call | Kind::Execute { .. } | Kind::Other(_) => return Grip::Anything,
        Kind::Dml(_) | Kind::Import | Kind::TableAdmin | Kind::LockTables | Kind::FlushTablesWithLock => true,
        // CREATE … SELECT locks what it reads.
        Kind::CreateTemporary => true,
        Kind::Ddl(Ddl::Table | Ddl::Truncate | Ddl::View | Ddl::Index | Ddl::Trigger) => true,
        Kind::Explain { analyze } => *analyze && (locks || writes()),
        Kind::Query => locks || serializable,
        Kind::Do | Kind::Set(_) => locks || serializable,
        _ => false,
    };
    match (takes, statement.certain) {
        (false, _) => Grip::Nothing,
        (true, true) => Grip::Named,
        (true, false) => Grip::Anything,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::sql::{SqlMode, analyze};

    #[test]
    fn what_reads_a_snapshot_leaves_nothing() {
        let of = |sql: &str, serializable| grip(&analyze(sql.as_bytes(), SqlMode::default()), serializable);
        for sql in [
            "SELECT * FROM t",
            "EXPLAIN SELECT * FROM t FOR UPDATE",
            "EXPLAIN ANALYZE SELECT * FROM t",
            "BEGIN",
            "COMMIT",
            "SHOW CREATE TABLE t",
            "SET @x = 1",
            "SAVEPOINT a",
            "DESCRIBE t",
            "PREPARE s FROM 'DELETE FROM t'",
        ] {
            assert_eq!(of(sql, false), Grip::Nothing, "{sql}");
        }
        for sql in [
            "INSERT INTO t VALUES (1)",
            "REPLACE INTO t VALUES (1)",
            "UPDATE t SET a = 1",
            "DELETE FROM t",
            "LOAD DATA LOCAL INFILE 'x' INTO TABLE t",
            "SELECT * FROM t FOR UPDATE",
            "SELECT * FROM t LOCK IN SHARE MODE",
            "SET @x = (SELECT a FROM t FOR SHARE)",
            "LOCK TABLES t READ",
            "TRUNCATE t",
            "ALTER TABLE t ADD b INT",
            "WITH c AS (SELECT 1) DELETE FROM t",
        ] {
            assert_eq!(of(sql, false), Grip::Named, "{sql}");
        }
        for sql in ["CALL p()", "EXECUTE s", "FROB t"] {
            assert_eq!(of(sql, false), Grip::Anything, "{sql}");
        }
        assert_eq!(of("SELECT * FROM t", true), Grip::Named);
    }
}
