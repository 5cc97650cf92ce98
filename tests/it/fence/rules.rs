//! What passes a fence and what does not, and that nothing is left of it.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use shardlift::workflow::fence::{self, FenceError, FenceState, Outcome};
use tokio::time::Instant;
use uuid::Uuid;

use super::{Fenced, SOON, code, epoch, fence_of, refused, soon, taken};
use crate::harness::{Db, TestCluster, Trace};

const ODD: &str = "it's \\ odd, ü, as long as the name of a table in MySQL may be";

#[tokio::test(flavor = "multi_thread")]
async fn it_refuses_when_closed_and_leaves_nothing() {
    let cluster = TestCluster::start().await;
    let quoted = format!("`{}`", ODD.replace('`', "``"));
    let ddl = format!(
        "CREATE TABLE t (id INT PRIMARY KEY, v INT); CREATE TABLE {quoted} (id INT PRIMARY KEY);
         CREATE TABLE other (id INT PRIMARY KEY); INSERT INTO t VALUES (1, 1)"
    );
    cluster.source_db().exec(&ddl).await;
    let before = Trace::take(&cluster).await;
    let one = fence_of(&cluster, cluster.source(), "commerce", Uuid::new_v4(), &["t", ODD]);
    assert_eq!(fence::state(&one).await.unwrap(), None);
    assert!(matches!(fence::arm(&one, epoch(1), SOON).await, Err(FenceError::Missing { .. })));
    for _ in 0..2 {
        fence::ensure(&one).await.unwrap();
    }
    for _ in 0..2 {
        fence::arm(&one, epoch(1), SOON).await.unwrap();
    }
    assert_eq!(fence::check(&one, epoch(1)).await.unwrap(), FenceState { closed: false, epoch: epoch(0) });

    let mut app = Db::new(cluster.source(), cluster.app(), "commerce").conn().await;
    taken(&mut app, "INSERT INTO t VALUES (2, 2)").await;
    let mut admin = cluster.source_db().conn().await;
    taken(&mut admin, "SET sql_log_bin = 0").await;
    // Open or not: what the binlog does not have cannot follow (protocol-review A13).
    assert!(refused(&mut admin, "INSERT INTO t VALUES (3, 3)").await.contains("sql_log_bin"));

    let closed = fence::close(std::slice::from_ref(&one), epoch(2), soon()).await.unwrap();
    assert_eq!((closed.executed.len(), closed.tries), (1, 1));
    let message = refused(&mut app, "INSERT INTO t VALUES (3, 3)").await;
    assert_eq!(message, "shardlift: writes to table t belong in keyspace customer (workflow move)");
    for sql in ["UPDATE t SET v = 9", "DELETE FROM t", "REPLACE t VALUES (1, 2)", "INSERT IGNORE INTO t VALUES (3, 3)"]
    {
        refused(&mut app, sql).await;
    }
    let message = refused(&mut app, &format!("INSERT INTO {quoted} VALUES (1)")).await;
    assert!(message.chars().count() <= 128 && message.contains("keyspace customer (workflow move)"), "{message}");
    taken(&mut app, "INSERT INTO other VALUES (1)").await;
    taken(&mut app, "SELECT * FROM t FOR UPDATE").await;
    // Only the workflow's own streams pass, and only by the whole token: 0 = 'a…' where numbers are compared.
    for token in ["0", "'x'", &format!("'{}'", Uuid::new_v4()), "NULL"] {
        taken(&mut app, &format!("SET @shardlift_stream = {token}")).await;
        refused(&mut app, "INSERT INTO t VALUES (3, 3)").await;
    }
    taken(&mut app, &format!("SET NAMES binary, @shardlift_stream = '{}'", one.key.uid)).await;
    taken(&mut app, "INSERT INTO t VALUES (3, 3)").await;
    taken(&mut app, "SET NAMES utf8mb4, @shardlift_stream = NULL").await;

    // What is not known to be open is closed (A15).
    cluster.source_db().exec("DELETE FROM _shardlift.fence").await;
    refused(&mut app, "INSERT INTO t VALUES (4, 4)").await;
    assert!(matches!(fence::check(&one, epoch(1)).await, Err(FenceError::Missing { .. })));
    assert!(matches!(fence::open(&one, epoch(3), soon()).await, Err(FenceError::Missing { .. })));
    // To shut it is to make it so.
    fence::shut(&one, epoch(2), soon()).await.unwrap();
    assert!(fence::state(&one).await.unwrap().is_some_and(|state| state.closed));
    refused(&mut app, "INSERT INTO t VALUES (4, 4)").await;
    cluster.source_db().exec("DELETE FROM _shardlift.fence").await;
    fence::ensure(&one).await.unwrap();
    taken(&mut app, "DELETE FROM t WHERE id > 1").await;
    taken(&mut app, "DELETE FROM other").await;
    for _ in 0..2 {
        fence::forget(&one).await.unwrap();
    }
    assert_eq!(Trace::take(&cluster).await.since(&before), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_hold_it_and_keyspaces_in_one_server_have_two() {
    let fenced = Fenced::start("CREATE TABLE t (id INT PRIMARY KEY, v INT)", &["t"]).await;
    a_writer_under_any_isolation_level_holds_it_until_commit(&fenced).await;
    fenced.source_db().exec("DELETE FROM t").await;
    fence::forget(&fenced.source).await.unwrap();
    fence::ensure(&fenced.source).await.unwrap();
    two_keyspaces_in_one_server_have_two_fences(&fenced).await;
}

async fn two_keyspaces_in_one_server_have_two_fences(fenced: &Fenced) {
    // protocol-review A16: closing one side must not close the other.
    let Fenced { cluster, source } = fenced;
    cluster.db(cluster.source(), "mysql").exec("CREATE DATABASE customer").await;
    let there = cluster.db(cluster.source(), "customer");
    there.exec("CREATE TABLE t (id INT PRIMARY KEY, v INT)").await;
    let target = fence_of(cluster, cluster.source(), "customer", source.key.uid, &["t"]);
    fence::ensure(&target).await.unwrap();
    assert_eq!(fence::shut(&target, epoch(1), soon()).await.unwrap(), Outcome::Done);
    fence::arm(source, epoch(1), SOON).await.unwrap();
    fence::arm(&target, epoch(1), SOON).await.unwrap();
    let mut old = fenced.app().await;
    let mut new = fenced.app_on(cluster.source(), "customer").await;
    taken(&mut old, "INSERT INTO t VALUES (1, 0)").await;
    refused(&mut new, "INSERT INTO t VALUES (1, 0)").await;
    fence::close(std::slice::from_ref(source), epoch(2), soon()).await.unwrap();
    refused(&mut old, "INSERT INTO t VALUES (2, 0)").await;
    refused(&mut new, "INSERT INTO t VALUES (2, 0)").await;
    fence::open(&target, epoch(3), soon()).await.unwrap();
    taken(&mut new, "INSERT INTO t VALUES (3, 0)").await;
    assert!(refused(&mut old, "INSERT INTO t VALUES (3, 0)").await.contains("keyspace customer"));
    // One goes, the other stays armed.
    fence::forget(&target).await.unwrap();
    taken(&mut new, "INSERT INTO t VALUES (4, 0)").await;
    refused(&mut old, "INSERT INTO t VALUES (4, 0)").await;
    fence::check(source, epoch(1)).await.unwrap();
}

async fn a_writer_under_any_isolation_level_holds_it_until_commit(fenced: &Fenced) {
    let source = &fenced.source;
    fenced.source_db().exec("INSERT INTO t VALUES (1, 0)").await;
    // C23: a snapshot older than the triggers, and one older than the closing, see the fence as it is.
    let mut early = fenced.app().await;
    taken(&mut early, "START TRANSACTION WITH CONSISTENT SNAPSHOT").await;
    fence::arm(source, epoch(1), SOON).await.unwrap();
    taken(&mut early, "INSERT INTO t VALUES (100, 0)").await;
    taken(&mut early, "ROLLBACK").await;
    taken(&mut early, "START TRANSACTION WITH CONSISTENT SNAPSHOT").await;
    let mut at = 1;
    for level in ["READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"] {
        let mut app = fenced.app().await;
        taken(&mut app, &format!("SET SESSION TRANSACTION ISOLATION LEVEL {level}")).await;
        // The lock survives a savepoint's rollback and a failed statement.
        for sql in ["BEGIN", "UPDATE t SET v = v + 1 WHERE id = 1", "SAVEPOINT a", "INSERT INTO t VALUES (2, 2)"] {
            taken(&mut app, sql).await;
        }
        taken(&mut app, "ROLLBACK TO a").await;
        assert_eq!(code(&app.query_drop("INSERT INTO t VALUES (1, 1)").await.unwrap_err()), Some(1062));
        let fences = std::slice::from_ref(source);
        let briefly = Instant::now() + Duration::from_millis(120);
        match fence::close(fences, epoch(at + 1), briefly).await {
            Err(FenceError::Held { blockers, .. }) => assert!(!blockers.is_empty(), "{level}"),
            other => panic!("{level}: closed over an open transaction: {other:?}"),
        }
        taken(&mut app, "UPDATE t SET v = v + 1 WHERE id = 1").await;
        taken(&mut app, "COMMIT").await;
        fence::close(fences, epoch(at + 1), soon()).await.unwrap();
        refused(&mut app, "UPDATE t SET v = 0").await;
        if level == "SERIALIZABLE" {
            refused(&mut early, "INSERT INTO t VALUES (100, 0)").await;
            taken(&mut early, "ROLLBACK").await;
        }
        fence::open(source, epoch(at + 2), soon()).await.unwrap();
        at += 2;
    }
    assert_eq!(fenced.source_db().value("SELECT v FROM t").await, "8");
}
