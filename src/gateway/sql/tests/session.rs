//! Statements about the session, transactions and the server, and what ties a statement to a connection.

use super::{Case, check, read};
use crate::gateway::sql::{Assignment, Filter, Kind, Name, Scope, Show, SqlMode, analyze};

const CASES: &[Case] = &[
    ("", "Empty", ""),
    ("; SELECT 1", "Other(\"\")", "?"),
    ("BEGIN", "Begin { consistent_snapshot: false, read_only: None }", ""),
    ("begin work", "Begin { consistent_snapshot: false, read_only: None }", ""),
    ("BEGIN NOT ATOMIC", "Begin { consistent_snapshot: false, read_only: None }", "?"),
    (
        "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
        "Begin { consistent_snapshot: true, read_only: Some(true) }",
        "",
    ),
    ("START TRANSACTION READ WRITE", "Begin { consistent_snapshot: false, read_only: Some(false) }", ""),
    ("START TRANSACTION READ ONLY, READ WRITE", "Begin { consistent_snapshot: false, read_only: Some(false) }", "?"),
    ("COMMIT AND CHAIN RELEASE", "Commit { chain: true, release: true }", "?"),
    ("COMMIT", "Commit { chain: false, release: false }", ""),
    ("COMMIT WORK AND CHAIN NO RELEASE", "Commit { chain: true, release: false }", ""),
    ("ROLLBACK AND NO CHAIN RELEASE", "Rollback { chain: false, release: true }", ""),
    ("ROLLBACK WORK TO SAVEPOINT a", "RollbackTo", ""),
    ("ROLLBACK TO a", "RollbackTo", ""),
    ("SAVEPOINT a", "Savepoint", ""),
    ("RELEASE SAVEPOINT a", "ReleaseSavepoint", ""),
    ("LOCK TABLES a READ, db.b AS x LOW_PRIORITY WRITE, c y READ LOCAL", "LockTables", "l:a L:db.b l:c"),
    ("LOCK TABLE t WRITE", "LockTables", "L:t"),
    ("UNLOCK TABLES", "UnlockTables", ""),
    ("LOCK INSTANCE FOR BACKUP", "LockInstance", ""),
    ("UNLOCK INSTANCE", "UnlockInstance", ""),
    ("FLUSH TABLES WITH READ LOCK", "FlushTablesWithLock", ""),
    ("FLUSH LOCAL TABLES a, db.b FOR EXPORT", "FlushTablesWithLock", "l:a l:db.b"),
    ("FLUSH TABLE a", "Flush", "l:a"),
    ("FLUSH PRIVILEGES", "Flush", ""),
    ("XA START 'x'", "Xa(Start)", ""),
    ("XA BEGIN 'x', 'y', 1", "Xa(Start)", ""),
    ("XA END 'x'", "Xa(End)", ""),
    ("XA PREPARE 'x'", "Xa(Prepare)", ""),
    ("XA COMMIT 'x' ONE PHASE", "Xa(Commit)", ""),
    ("XA ROLLBACK 'x'", "Xa(Rollback)", ""),
    ("XA RECOVER CONVERT XID", "Xa(Recover)", ""),
    ("KILL 5", "Kill { query_only: false, id: Some(5) }", ""),
    ("KILL QUERY 18446744073709551615", "Kill { query_only: true, id: Some(18446744073709551615) }", ""),
    ("KILL CONNECTION 1 + 1", "Kill { query_only: false, id: None }", ""),
    ("KILL CONNECTION_ID()", "Kill { query_only: false, id: None }", ""),
    ("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", "SetTransaction { scope: Session }", ""),
    ("SET TRANSACTION READ ONLY", "SetTransaction { scope: Next }", ""),
    ("SET GLOBAL TRANSACTION READ WRITE", "SetTransaction { scope: Global }", ""),
    ("SET ROLE NONE", "SetRole", ""),
    ("SET DEFAULT ROLE ALL TO u", "Account", ""),
    ("SET PASSWORD = 'x'", "Account", ""),
    ("SET PASSWORD FOR 'u'@'h' TO RANDOM", "Account", ""),
    ("SET RESOURCE GROUP g", "Server", ""),
    ("CREATE USER IF NOT EXISTS u@localhost IDENTIFIED BY 'x'", "Account", ""),
    ("ALTER USER USER() IDENTIFIED BY 'x'", "Account", ""),
    ("DROP ROLE r", "Account", ""),
    ("RENAME USER a TO b", "Account", ""),
    ("GRANT SELECT ON db.t TO u", "Account", ""),
    ("REVOKE ALL ON *.* FROM u", "Account", ""),
    ("GET DIAGNOSTICS @n = NUMBER", "Diagnostics", ""),
    ("SHOW WARNINGS LIMIT 10", "Diagnostics", ""),
    ("SHOW COUNT(*) ERRORS", "Diagnostics", ""),
    ("SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'x'", "Signal", ""),
    ("SHUTDOWN", "Server", ""),
    ("START GROUP_REPLICATION", "Server", ""),
    ("STOP REPLICA", "Server", ""),
    ("CHANGE REPLICATION SOURCE TO SOURCE_HOST = 'x'", "Server", ""),
    ("RESET BINARY LOGS AND GTIDS", "Server", ""),
    ("ALTER INSTANCE ROTATE INNODB MASTER KEY", "Server", ""),
    ("CREATE RESOURCE GROUP g TYPE = USER", "Server", ""),
    ("HELP 'select'", "Help", ""),
    ("FROBNICATE t", "Other(\"FROBNICATE\")", "?"),
    ("1", "Other(\"\")", "?"),
    ("SHOW CREATE TABLE db.t", "Show(Other { database: None })", "r:db.t"),
    ("SHOW FULL COLUMNS FROM t FROM db LIKE 'a%'", "Show(Other { database: None })", "r:db.t"),
    ("SHOW KEYS IN a.t IN b WHERE Key_name = 'x'", "Show(Other { database: None })", "r:b.t t:a"),
    ("SHOW INDEX FROM db.t", "Show(Other { database: None })", "r:db.t"),
    ("SHOW GLOBAL VARIABLES LIKE 'x'", "Show(Other { database: None })", ""),
    ("SHOW FULL PROCESSLIST", "Show(Other { database: None })", ""),
    ("SHOW BINLOG EVENTS IN 'f' FROM 4", "Show(Other { database: None })", ""),
    ("SHOW VSCHEMA TABLES", "Show(VschemaTables)", ""),
    ("show vschema vindexes", "Show(VschemaVindexes)", ""),
];

#[test]
fn kinds_of_session_statements() {
    check(CASES);
}

fn name_of(sql: &str, name: Option<Name>) -> String {
    let name = name.unwrap();
    assert!(sql[name.span].contains(&name.text));
    name.text
}

#[test]
fn show_is_taken_apart() {
    let Kind::Show(Show::Tables {
        full: true,
        extended: false,
        database: Some(name),
        filter: Some(Filter::Like(like)),
    }) = read(r"SHOW FULL TABLES IN `k s` LIKE 'a\_%'").kind
    else {
        panic!("not SHOW TABLES")
    };
    assert_eq!((name.text.as_str(), like.as_str()), ("k s", r"a\_%"));
    let sql = "SHOW TABLES WHERE Tables_in_x IN (SELECT a FROM t) ;";
    let statement = read(sql);
    let Kind::Show(Show::Tables { database: None, filter: Some(Filter::Where(range)), .. }) = statement.kind else {
        panic!("not SHOW TABLES")
    };
    assert_eq!((&sql[range], statement.tables.len()), ("Tables_in_x IN (SELECT a FROM t)", 1));
    let filter = Some(Filter::Like("%a".to_owned()));
    assert_eq!(
        read("show vitess_Tablets LIKE '%a'").kind,
        Kind::Show(Show::Vitess { name: "vitess_tablets".to_owned(), filter: filter.clone() })
    );
    assert_eq!(read("SHOW SCHEMAS LIKE '%a'").kind, Kind::Show(Show::Databases { filter: filter.clone() }));
    assert_eq!(read("show keyspaces").kind, Kind::Show(Show::Keyspaces { filter: None }));
    for sql in [
        "SHOW TABLE STATUS FROM db LIKE 't'",
        "SHOW OPEN TABLES IN db",
        "SHOW TRIGGERS FROM db",
        "SHOW EVENTS FROM db",
        "SHOW CREATE DATABASE IF NOT EXISTS db",
        "SHOW CREATE PROCEDURE db.p",
        "SHOW FUNCTION CODE db.p",
    ] {
        let Kind::Show(Show::Other { database }) = read(sql).kind else { panic!("{sql}") };
        assert_eq!(name_of(sql, database), "db", "{sql}");
    }
}

#[test]
fn use_takes_what_is_written() {
    for (sql, text) in [
        ("USE ks", "ks"),
        ("use  ks@replica ; ", "ks@replica"),
        ("USE ks:-80", "ks:-80"),
        ("USE ks/-80@rdonly", "ks/-80@rdonly"),
        ("USE `ks:80-`", "ks:80-"),
        ("USE `ks`@primary -- x", "ks@primary"),
        ("/* a */ USE/* b */ks/* c */", "ks"),
        ("/*!40000 USE ks*/", "ks"),
        ("USE", ""),
        ("USE ;", ""),
    ] {
        let Kind::Use(name) = read(sql).kind else { panic!("{sql}") };
        assert_eq!(name.text, text, "{sql}");
        assert!(sql[name.span].replace('`', "").contains(text));
    }
}

/// `scope name = value` of each assignment.
fn assignments(sql: &str) -> Vec<(Scope, String, String)> {
    let Kind::Set(all) = read(sql).kind else { panic!("{sql}") };
    all.into_iter().map(|Assignment { scope, name, value }| (scope, name, sql[value].to_owned())).collect()
}

#[test]
fn set_is_taken_apart() {
    let is = |sql: &str, expected: &[(Scope, &str, &str)]| {
        let expected: Vec<_> =
            expected.iter().map(|(scope, name, value)| (*scope, (*name).to_owned(), (*value).to_owned())).collect();
        assert_eq!(assignments(sql), expected, "{sql}");
    };
    is("SET autocommit=1", &[(Scope::Session, "autocommit", "1")]);
    is("SET NAMES 'utf8mb4' COLLATE utf8mb4_bin ; ", &[(Scope::Names, "", "'utf8mb4' COLLATE utf8mb4_bin")]);
    is(
        "SET NAMES utf8mb4, @@SESSION.sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES'), @@wait_timeout := 5",
        &[
            (Scope::Names, "", "utf8mb4"),
            (Scope::Session, "sql_mode", "CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')"),
            (Scope::Session, "wait_timeout", "5"),
        ],
    );
    is("SET CHARACTER SET DEFAULT", &[(Scope::CharacterSet, "", "DEFAULT")]);
    is("SET CHARSET utf8", &[(Scope::CharacterSet, "", "utf8")]);
    is(
        "SET GLOBAL a = 1, b = 2, SESSION c = 3, d = 4, @@e = 5, @f = 6",
        &[
            (Scope::Global, "a", "1"),
            (Scope::Global, "b", "2"),
            (Scope::Session, "c", "3"),
            (Scope::Session, "d", "4"),
            (Scope::Session, "e", "5"),
            (Scope::User, "f", "6"),
        ],
    );
    is(
        "SET PERSIST a = 1, @@persist_only.b = ON, @@global.`c` = 'x'",
        &[(Scope::Persist, "a", "1"), (Scope::PersistOnly, "b", "ON"), (Scope::Global, "c", "'x'")],
    );
    is(
        "SET global = 1, hot.key_buffer_size = 2",
        &[(Scope::Session, "global", "1"), (Scope::Session, "hot.key_buffer_size", "2")],
    );
    is(
        "SET @a = (SELECT 1, 2), @`b c` = @a := 3",
        &[(Scope::User, "a", "(SELECT 1, 2)"), (Scope::User, "b c", "@a := 3")],
    );
    is(
        "SET time_zone = '+00:00', transaction_isolation='READ-COMMITTED'",
        &[(Scope::Session, "time_zone", "'+00:00'"), (Scope::Session, "transaction_isolation", "'READ-COMMITTED'")],
    );
    is(
        "SET STATEMENT max_statement_time = 1 FOR SELECT 1",
        &[(Scope::Unknown, "statement", "max_statement_time = 1 FOR SELECT 1")],
    );
    assert!(!read("SET STATEMENT a = 1 FOR SELECT 1").certain);
    let statement = read("SET @a = (SELECT max(x) FROM db.t), b = @c");
    assert_eq!(super::found(&statement), "r:db.t");
    assert_eq!(statement.uses.variables_assigned.into_iter().collect::<Vec<_>>(), ["a"]);
    assert_eq!(statement.uses.variables_read.into_iter().collect::<Vec<_>>(), ["c"]);
}

#[test]
fn prepare_gives_its_text() {
    let Kind::Prepare { name, source } = read(r"PREPARE `s` FROM 'SELECT \'a\' FROM t'").kind else { panic!() };
    assert_eq!((name.unwrap().text.as_str(), source.as_deref()), ("s", Some(b"SELECT 'a' FROM t".as_slice())));
    assert!(matches!(read("PREPARE s FROM @v").kind, Kind::Prepare { source: None, .. }));
    for sql in ["EXECUTE s USING @a, @b", "DEALLOCATE PREPARE s", "DROP PREPARE s"] {
        let (Kind::Execute { name } | Kind::Deallocate { name }) = read(sql).kind else { panic!("{sql}") };
        assert_eq!(name_of(sql, name), "s");
    }
}

#[test]
fn what_ties_to_a_connection_is_seen() {
    let uses = |sql: &str| read(sql).uses;
    assert!(uses("SELECT * FROM (SELECT * FROM t FOR UPDATE) d").locking_read);
    assert!(uses("SELECT * FROM t LOCK IN SHARE MODE").locking_read);
    assert!(!uses("SELECT * FROM t USE INDEX FOR JOIN (i) WHERE SUBSTRING(a FROM 1 FOR 2)").locking_read);
    assert!(uses("SELECT a INTO OUTFILE 'f' FROM t").into_outfile);
    assert!(uses("SELECT SQL_CALC_FOUND_ROWS a FROM t").calc_found_rows);
    let asked = uses("SELECT IS_FREE_LOCK('a'), is_used_lock('b')");
    assert!(asked.asks_for_locks && !asked.advisory_locks);
    assert!(uses("DO get_lock('a', 1)").advisory_locks && uses("SELECT `RELEASE_LOCK` ('a')").advisory_locks);
    for sql in ["SELECT LAST_INSERT_ID()", "SELECT FOUND_ROWS ()", "SELECT @@local.warning_count", "SHOW WARNINGS"] {
        assert!(uses(sql).previous_statement, "{sql}");
    }
    assert!(!uses("UPDATE t SET a = LAST_INSERT_ID(a + 1)").previous_statement);
    assert!(uses("SELECT connection_id()").connection_id && uses("SELECT @@pseudo_thread_id").connection_id);
    let sql = "SELECT DATABASE(), schema ( ), database, `schema`()";
    let calls: Vec<_> = uses(sql).database_function.into_iter().map(|range| &sql[range]).collect();
    assert_eq!(calls, ["DATABASE()", "schema ( )"]);
    let variables = uses("SELECT @A := @b, @'c d', @e.f INTO @G, @h FROM t WHERE @i = 1");
    assert_eq!(variables.variables_assigned.into_iter().collect::<Vec<_>>(), ["a", "g", "h"]);
    assert_eq!(variables.variables_read.into_iter().collect::<Vec<_>>(), ["b", "c d", "e.f", "i"]);
    assert!(uses("CALL p(@out)").variables_assigned.contains("out"));
    assert!(uses("LOAD DATA INFILE 'f' INTO TABLE t (@a)").variables_assigned.contains("a"));
    assert!(uses("CREATE PROCEDURE p() SET @x = GET_LOCK('a', 1)") == super::super::Uses::default());
    assert!(read("TRUNCATE t").kind.commits_implicitly() && !read("DROP TEMPORARY TABLE t").kind.commits_implicitly());
}

#[test]
fn modes_change_quoting() {
    let ansi = SqlMode { ansi_quotes: true, ..SqlMode::default() };
    let statement = analyze(br#"SELECT "x" FROM "a"."b""c" WHERE d = 'e"'"#, ansi);
    assert_eq!(super::found(&statement), "r:a.b\"c");
    let plain = SqlMode { no_backslash_escapes: true, ..SqlMode::default() };
    assert_eq!(super::found(&analyze(br"SELECT 'a\' FROM t", plain)), "r:t");
    assert_eq!(super::found(&read(r"SELECT 'a\' FROM t'")), "");
}
