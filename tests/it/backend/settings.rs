//! System variables carried from one connection to another: whatever a session sets, the other one reads the same.

use mysql_common::constants::CapabilityFlags;
use shardlift::gateway::backend::{Backend, Settings};
use shardlift::mysql::wire::relay::{Outcome, ReplyKind};
use shardlift::mysql::wire::{Announce, ConnectOptions, RELAYED};
use shardlift::mysql::{Address, Endpoint, Login, Secret, TlsMode};

use super::{Fixture, MODERN, QUERY, options, relayed, rows};

/// What sessions set, one statement after another in one session.
const SETS: &[&str] = &[
    "SET NAMES latin1 COLLATE latin1_bin",
    "SET CHARACTER SET latin1",
    "SET collation_connection = utf8mb4_general_ci",
    "SET character_set_connection = latin2",
    "SET character_set_results = NULL, character_set_client = utf8mb3",
    "SET character_set_results = binary",
    "SET collation_server = latin1_bin",
    "SET character_set_server = utf8mb4",
    "SET collation_database = latin1_bin",
    "SET NAMES gbk",
    "SET NAMES utf8mb4 COLLATE utf8mb4_ja_0900_as_cs",
    "SET sql_mode = 'ANSI,NO_BACKSLASH_ESCAPES'",
    "SET sql_mode = ''",
    "SET sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES'",
    "SET time_zone = '+05:30', lc_time_names = 'de_DE', lc_messages = 'en_US'",
    "SET timestamp = 1234567890.123456",
    "SET timestamp = DEFAULT",
    "SET timestamp = 1234567890",
    "SET autocommit = 0",
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    "SET transaction_read_only = 1",
    "SET SESSION TRANSACTION READ WRITE",
    "SET optimizer_switch = 'mrr=off,index_merge=off'",
    "SET group_concat_max_len = 18446744073709551615, max_execution_time = 60000",
    "SET sql_select_limit = 1000000, max_join_size = 12345678, sql_big_selects = 1",
    "SET sql_safe_updates = 1, sql_auto_is_null = 1, sql_warnings = 1, sql_quote_show_create = 0",
    "SET foreign_key_checks = 0, unique_checks = 0, sql_log_bin = 0",
    "SET wait_timeout = 100, interactive_timeout = 101, net_read_timeout = 102, net_write_timeout = 103",
    "SET lock_wait_timeout = 12, innodb_lock_wait_timeout = 13, long_query_time = 1.5",
    "SET default_week_format = 1, div_precision_increment = 6, max_sort_length = 2000, max_error_count = 10",
    "SET tmp_table_size = 2000000, sort_buffer_size = 1000000, join_buffer_size = 1000000",
    "SET information_schema_stats_expiry = 0, cte_max_recursion_depth = 10, eq_range_index_dive_limit = 1",
    "SET block_encryption_mode = 'aes-256-cbc', completion_type = CHAIN, windowing_use_high_precision = 0",
    "SET optimizer_trace = 'enabled=off,one_line=on', optimizer_trace_offset = -5, end_markers_in_json = 1",
    "SET updatable_views_with_limit = 0, explain_format = TREE, default_collation_for_utf8mb4 = utf8mb4_general_ci",
    "SET innodb_tmpdir = '/tmp', innodb_strict_mode = 0, auto_increment_increment = 2, auto_increment_offset = 2",
    "SET binlog_row_image = MINIMAL, session_track_gtids = OWN_GTID, session_track_transaction_info = STATE",
    "SET NAMES utf8mb4",
    "SET innodb_tmpdir = NULL, binlog_row_image = FULL",
];
/// They differ between any two sessions, or count statements.
const OWN: [&str; 3] = ["pseudo_thread_id", "statement_id", "timestamp"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_are_carried() {
    let fixture = Fixture::new().await;
    let (mut one, mut other) = (fixture.backend(MODERN).await, fixture.backend(MODERN).await);
    let mut set = std::collections::BTreeSet::new();
    for sql in SETS {
        let mut before: Vec<_> = shown(&mut one).await;
        run(&mut one, sql).await;
        let hides = [
            "SET NAMES",
            "SET CHARACTER SET",
            "SET character_set_connection",
            "SET character_set_server",
            "SET timestamp",
        ];
        assert_eq!(one.is_unread(), hides.iter().any(|start| sql.starts_with(start)), "{sql}");
        one.read_back().await.unwrap();
        assert!(!one.is_unread());
        let after = shown(&mut one).await;
        before.retain(|variable| !after.contains(variable));
        set.extend(before.into_iter().map(|row| row[0].clone()));
        assert!(!other.prepare_for(&one.settings().clone()).await.unwrap(), "{sql}: a reset where SET would do");
        differ_in_nothing(sql, &after, &shown(&mut other).await);
        let mut new = fixture.backend(MODERN).await;
        new.prepare_for(one.settings()).await.unwrap();
        differ_in_nothing(sql, &after, &shown(&mut new).await);
        let now = "SELECT @@timestamp = UNIX_TIMESTAMP('2009-02-13 23:31:30') + 0.0, @@timestamp > 1600000000";
        assert_eq!(rows(&mut one, now).await, rows(&mut other, now).await, "{sql}");
    }
    assert!(set.len() > 50, "only {} variables were set: {set:?}", set.len());

    // Back to a new connection's settings: by a reset.
    assert!(other.prepare_for(&Settings::default()).await.unwrap());
    let mut new = fixture.backend(MODERN).await;
    differ_in_nothing("reset", &shown(&mut new).await, &shown(&mut other).await);
    assert!(!other.prepare_for(&Settings::default()).await.unwrap());
    reset_is_whole(&mut other).await;
    late_reports(&fixture).await;
}

async fn run(backend: &mut Backend, sql: &str) -> bool {
    let (outcome, _) =
        relayed(backend, QUERY, sql.as_bytes(), &options(ReplyKind::Query { cursor: false }, MODERN)).await;
    let (relayed, carried) = outcome.unwrap();
    assert!(!matches!(relayed.outcome, Outcome::Failed { .. }), "{sql}: {:?}", relayed.outcome);
    carried
}

async fn shown(backend: &mut Backend) -> Vec<Vec<String>> {
    // In latin1 or binary the rows' headings may differ, the values are ASCII.
    let mut shown = rows(backend, "SHOW SESSION VARIABLES").await;
    shown.retain(|row| !OWN.contains(&row[0].as_str()));
    shown
}

fn differ_in_nothing(sql: &str, one: &[Vec<String>], other: &[Vec<String>]) {
    let differ: Vec<_> = one.iter().zip(other).filter(|(one, other)| one != other).collect();
    assert!(one.len() == other.len() && differ.is_empty(), "{sql}: {differ:?}");
}

/// Nothing of a session is left after a reset.
async fn reset_is_whole(backend: &mut Backend) {
    for sql in [
        "SET @x = 1",
        "CREATE TEMPORARY TABLE shop.gone (a INT)",
        "DO GET_LOCK('l', 0)",
        "BEGIN",
        "INSERT INTO shop.t (b) VALUES ('rolled back')",
        "SELECT SQL_CALC_FOUND_ROWS 1",
    ] {
        run(backend, sql).await;
    }
    assert!(backend.in_transaction() && backend.is_soiled());
    let statement = backend.statement(b"SELECT ?").await.unwrap();
    assert_eq!(backend.statement(b"SELECT ?").await.unwrap(), statement);
    assert!(backend.prepare_for(&Settings::default()).await.unwrap());
    assert!(!backend.in_transaction() && !backend.is_soiled());
    let left = "SELECT @x, IS_USED_LOCK('l'), LAST_INSERT_ID(), (SELECT COUNT(*) FROM shop.t)";
    assert_eq!(rows(backend, left).await, [["NULL", "NULL", "0", "0"]]);
    let (outcome, _) =
        relayed(backend, QUERY, b"SELECT * FROM shop.gone", &options(ReplyKind::Query { cursor: false }, MODERN)).await;
    assert!(matches!(outcome.unwrap().0.outcome, Outcome::Failed { code: 1146, .. }));
    // Tracking is on again, and statements are prepared anew.
    run(backend, "SET time_zone = '+01:00'").await;
    assert_eq!(backend.settings().get("time_zone"), Some("+01:00"));
    backend.statement(b"SELECT ?").await.unwrap();
}

/// What a statement changed and could not report never reaches another session.
async fn late_reports(fixture: &Fixture) {
    let mut backend = fixture.backend(MODERN).await;
    let old = MODERN - CapabilityFlags::CLIENT_DEPRECATE_EOF;
    let mut without = fixture.backend(old | CapabilityFlags::CLIENT_QUERY_ATTRIBUTES).await;
    for sql in [
        "CREATE PROCEDURE shop.half() BEGIN SET max_sort_length = 77; SET time_zone = '+07:00'; SIGNAL SQLSTATE '45000'; END",
        "CREATE FUNCTION shop.hidden() RETURNS INT NO SQL BEGIN SET SESSION div_precision_increment = 9; RETURN 1; END",
    ] {
        backend.execute(sql.as_bytes()).await.unwrap();
    }
    let query = options(ReplyKind::Query { cursor: false }, MODERN);
    let (outcome, _) = relayed(&mut backend, QUERY, b"CALL shop.half()", &query).await;
    assert!(!outcome.unwrap().0.reported);
    assert!(backend.settings().is_empty());
    assert!(backend.prepare_for(&Settings::default()).await.unwrap(), "it has to be reset");
    assert_eq!(rows(&mut backend, "SELECT @@time_zone").await, [["SYSTEM"]]);
    let (outcome, _) = relayed(&mut backend, QUERY, b"SELECT * FROM missing.x", &query).await;
    assert!(!outcome.unwrap().0.reported);
    assert!(!backend.prepare_for(&Settings::default()).await.unwrap(), "nothing had changed");

    let query = options(ReplyKind::Query { cursor: false }, old | CapabilityFlags::CLIENT_QUERY_ATTRIBUTES);
    let (outcome, _) = relayed(&mut without, QUERY, b"\x00\x01SELECT shop.hidden()", &query).await;
    assert!(!outcome.unwrap().0.reported);
    assert!(without.prepare_for(&Settings::default()).await.unwrap());
    let (outcome, _) = relayed(&mut without, QUERY, b"\x00\x01SET NAMES latin1 COLLATE latin1_bin", &query).await;
    assert!(outcome.unwrap().0.reported);
    without.read_back().await.unwrap();
    assert_eq!(without.settings().get("collation_connection"), Some("latin1_bin"));
}

/// Logging in again is a whole login: with a password the server has forgotten, in clear and with TLS, in any collation.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resets_log_in_again() {
    let fixture = Fixture::new().await;
    let address = Address::Tcp { host: "127.0.0.1".into(), port: fixture.server.port() };
    let mut judge = fixture.backend(MODERN).await;
    for (tls, collation) in [(TlsMode::Disabled, 8), (TlsMode::Required, 304), (TlsMode::Disabled, 304)] {
        let endpoint = Endpoint { address: address.clone(), tls, client_certificate: None };
        let login = Login { endpoint, database: Some("shop".into()), ..fixture.login() };
        let capabilities = MODERN | RELAYED;
        let connect =
            ConnectOptions { announce: Announce::relaying(capabilities, collation), ..ConnectOptions::default() };
        let mut backend = Backend::connect(login, connect).await.unwrap();
        for _ in 0..2 {
            let query = options(ReplyKind::Query { cursor: false }, capabilities);
            let sql = "SELECT CONCAT_WS(' ', ID, DATABASE(), @@session_track_system_variables) FROM \
                       information_schema.COLLATIONS WHERE COLLATION_NAME = @@collation_connection";
            let (outcome, packets) = relayed(&mut backend, QUERY, &[b"\0\x01", sql.as_bytes()].concat(), &query).await;
            outcome.unwrap();
            let row = String::from_utf8_lossy(&packets[packets.len() - 2][1..]).into_owned();
            assert_eq!(row, format!("{collation} shop *"));
            judge.execute(b"FLUSH PRIVILEGES").await.unwrap();
            backend.reset().await.unwrap();
        }
        judge.execute(b"CREATE USER IF NOT EXISTS gone@'%' IDENTIFIED BY 'p'").await.unwrap();
        judge.execute(b"GRANT SELECT ON shop.* TO gone@'%'").await.unwrap();
        let endpoint = Endpoint { address: address.clone(), tls: TlsMode::Required, client_certificate: None };
        let login = Login { endpoint, user: "gone".into(), password: Secret::new("p"), database: None };
        let mut gone = Backend::connect(login, ConnectOptions::default()).await.unwrap();
        judge.execute(b"ALTER USER gone@'%' IDENTIFIED BY 'other'").await.unwrap();
        assert_eq!(gone.reset().await.unwrap_err().code(), Some(1045));
        assert!(!gone.is_usable());
        judge.execute(b"DROP USER gone@'%'").await.unwrap();
    }
}
