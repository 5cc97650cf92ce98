//! Roads round a closed fence: statements that fire no trigger (protocol-review A13).

use std::slice::from_ref;

use mysql_async::prelude::Queryable;
use shardlift::workflow::fence::{self, FenceError, Guard};

use super::{Fenced, SOON, code, epoch, refused, soon, taken};

/// Each on a table of its own, so that they do not wait for each other.
const DDL: &[&str] = &[
    "TRUNCATE TABLE a",
    "DROP TABLE b",
    "RENAME TABLE c TO c_old, c_new TO c",
    "ALTER TABLE d ADD COLUMN w INT",
    "DROP TRIGGER {trigger}",
    "ALTER TABLE p TRUNCATE PARTITION x",
];

#[tokio::test(flavor = "multi_thread")]
async fn ddl_waits_while_the_guard_stands() {
    let tables =
        "CREATE TABLE t (id INT PRIMARY KEY); CREATE TABLE a LIKE t; CREATE TABLE b LIKE t; CREATE TABLE c LIKE t;
        CREATE TABLE d LIKE t; CREATE TABLE e LIKE t; CREATE TABLE c_new LIKE t;
        CREATE TABLE p (id INT PRIMARY KEY) PARTITION BY RANGE (id) (PARTITION x VALUES LESS THAN (100));
        INSERT INTO t VALUES (1); INSERT INTO p VALUES (1)";
    let (fenced, target) = Fenced::with_target(tables, &["t", "a", "b", "c", "d", "e", "p"]).await;
    let both = [fenced.source.clone(), target];
    for fence in &both {
        fence::arm(fence, epoch(1), SOON).await.unwrap();
    }
    let mut guard = Guard::take(&both).await.unwrap();
    fence::check(&fenced.source, epoch(1)).await.unwrap();
    fence::close(&both, epoch(2), soon()).await.unwrap();
    // Before any DDL waits: reading and the stream go on, the fence refuses.
    let mut stream = fenced.source_db().conn().await;
    taken(&mut stream, &format!("SET @shardlift_stream = '{}'", fenced.source.key.uid)).await;
    taken(&mut stream, "INSERT INTO t VALUES (2)").await;
    let mut app = fenced.app().await;
    refused(&mut app, "DELETE FROM t").await;
    taken(&mut app, "SELECT * FROM t").await;
    let triggers = "SELECT trigger_name FROM information_schema.triggers WHERE trigger_schema = DATABASE()
        AND event_object_table = 'e' LIMIT 1";
    let trigger = fenced.source_db().value(triggers).await;
    let tries = DDL.iter().map(|sql| {
        let (db, sql) = (fenced.source_db(), sql.replace("{trigger}", &trigger));
        async move {
            let mut conn = db.conn().await;
            taken(&mut conn, "SET lock_wait_timeout = 1").await;
            let error = conn.query_drop(&sql).await.expect_err(&sql);
            assert_eq!(code(&error), Some(1205), "{sql}: {error}");
        }
    });
    futures_util::future::join_all(tries).await;
    guard.still_there().await.unwrap();
    fence::check(&fenced.source, epoch(1)).await.unwrap();
    guard.release().await;
    let mut conn = fenced.source_db().conn().await;
    taken(&mut conn, "SET lock_wait_timeout = 1").await;
    taken(&mut conn, "TRUNCATE TABLE t").await;

    // A guard that is gone is known to be gone.
    let mut guard = Guard::take(from_ref(&fenced.source)).await.unwrap();
    assert_eq!(fence::take_over(&fenced.source).await.unwrap(), 1);
    assert!(guard.still_there().await.is_err());
    drop(guard);
    // Taking it while somebody else changes the table says who.
    taken(&mut conn, "LOCK TABLES t WRITE").await;
    match Guard::take(from_ref(&fenced.source)).await {
        Err(error @ FenceError::Blocked { .. }) => assert!(error.to_string().contains("table t was in use"), "{error}"),
        other => panic!("{other:?}"),
    }
}
