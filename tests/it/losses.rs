//! What a source can take back, hide or say in another way (protocol-review A1, A4, A5, A14, B21): never applied, never
//! passed over.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use tokio::time::sleep;

use crate::harness::{TestCluster, until};
use crate::scenario::{Move, PATIENCE, WHICH};

const TABLE: &str = "CREATE TABLE a (id INT PRIMARY KEY, v INT); INSERT INTO a VALUES (1, 1), (2, 2)";

/// A1: rows of a prepared XA transaction are in `gtid_executed` and cannot be seen.
#[tokio::test(flavor = "multi_thread")]
async fn prepared_xa_is_waited_for_before_the_copy_and_stops_the_stream_after_it() {
    let cluster = TestCluster::start().await;
    let (source, target) = (cluster.source_db(), cluster.target_db());
    source.exec(TABLE).await;
    let shardlift = cluster.shardlift();
    let start = format!("movetables start {WHICH} --source-keyspace commerce --tables a");
    source.exec("XA START 'early'; INSERT INTO a VALUES (3, 3); XA END 'early'; XA PREPARE 'early'").await;
    let refused = shardlift.refused(&start).await;
    assert!(refused.to_lowercase().contains("xa"), "{refused}");
    source.exec("XA COMMIT 'early'").await;
    // Prepared between the start and the engine's first look.
    let moved = Move::start(&cluster, "a", "").await;
    source.exec("XA START 'late'; INSERT INTO a VALUES (4, 4); XA END 'late'; XA PREPARE 'late'").await;
    let engine = shardlift.engine("one").await;
    sleep(Duration::from_secs(2)).await;
    let seen = shardlift.run(&format!("workflow show {WHICH}")).await.stdout;
    assert!(seen.contains("prepared XA"), "{seen}");
    source.exec("XA COMMIT 'late'").await;
    moved.shardlift.run(&format!("workflow resume {WHICH}")).await;
    moved.state("Running").await;
    assert_eq!(moved.equal(&["a"]).await, [4]);
    // XA elsewhere passes, also when the engine that met its prepare is not the one that meets its end.
    source.exec("CREATE TABLE other (id INT PRIMARY KEY)").await;
    source.exec("XA START 'x2'; INSERT INTO other VALUES (1); XA END 'x2'; XA PREPARE 'x2'").await;
    source.exec("INSERT INTO a VALUES (5, 5)").await;
    moved.level().await;
    engine.stop().await;
    let engine = shardlift.engine("two").await;
    source.exec("XA COMMIT 'x2'; INSERT INTO a VALUES (6, 6)").await;
    moved.level().await;
    assert_eq!(moved.equal(&["a"]).await, [6]);
    // Once it runs, XA on a moved table stops it by name, before its position moves.
    source.exec("XA START 'x3'; DELETE FROM a WHERE id = 1; XA END 'x3'; XA PREPARE 'x3'; XA ROLLBACK 'x3'").await;
    let seen = moved.state("Error").await;
    assert!(seen["message"].as_str().unwrap().contains("XA"), "{seen}");
    assert_eq!(target.value("SELECT COUNT(*) FROM a").await, "6");
    engine.stop().await;
}

/// A1: nor may one pass that is prepared while the copy is under way, on a table of which no chunk was read yet.
#[tokio::test(flavor = "multi_thread")]
async fn prepared_xa_on_a_table_whose_copy_has_not_begun_stops_the_stream() {
    let cluster = TestCluster::start().await;
    let (source, target) = (cluster.source_db(), cluster.target_db());
    source
        .exec(
            "CREATE TABLE a (id INT PRIMARY KEY, pad CHAR(100)); CREATE TABLE b (id INT PRIMARY KEY);
             INSERT INTO a WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 900)
                 SELECT n, REPEAT('x', 100) FROM c;
             ANALYZE TABLE a; INSERT INTO b VALUES (1)",
        )
        .await;
    let engine = cluster.shardlift().engine("one").await;
    let moved = Move::start(&cluster, "a,b", "--max-rows-per-second 20 --chunk-bytes 1024").await;
    until("the copy of a has begun", PATIENCE, async || {
        let there =
            "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'customer' AND TABLE_NAME = 'a'";
        let rows = match target.value(there).await.as_str() {
            "1" => target.value("SELECT COUNT(*) FROM a").await,
            _ => "no table".to_string(),
        };
        if matches!(rows.as_str(), "no table" | "0") { Err(rows) } else { Ok(()) }
    })
    .await;
    source.exec("XA START 'mid'; INSERT INTO b VALUES (2); XA END 'mid'; XA PREPARE 'mid'").await;
    let seen = moved.state("Error").await;
    let message = seen["message"].as_str().unwrap();
    assert!(message.contains("XA") && message.contains("commerce.b"), "{seen}");
    assert_eq!(target.value("SELECT COUNT(*) FROM b").await, "0");
    // The way on: it is decided, and the copy begins anew.
    source.exec("XA COMMIT 'mid'").await;
    moved.cancel().await;
    let moved = Move::start(&cluster, "a,b", "--wait running").await;
    assert_eq!(moved.equal(&["a", "b"]).await, [900, 2]);
    engine.stop().await;
}

/// A14: a statement logged as text may have written a moved table behind another's name.
#[tokio::test(flavor = "multi_thread")]
async fn statements_logged_as_text_stop_the_stream() {
    let cluster = TestCluster::start().await;
    let (source, target) = (cluster.source_db(), cluster.target_db());
    source.exec(TABLE).await;
    source.exec("CREATE TABLE innocent (id INT PRIMARY KEY)").await;
    let engine = cluster.shardlift().engine("one").await;
    let moved = Move::start(&cluster, "a", "--wait running").await;
    source.exec("CREATE TRIGGER hidden AFTER INSERT ON innocent FOR EACH ROW INSERT INTO a VALUES (NEW.id, 0)").await;
    source.exec("SET SESSION binlog_format = 'STATEMENT'; INSERT INTO innocent VALUES (77)").await;
    let seen = moved.state("Error").await;
    assert!(seen["message"].as_str().unwrap().contains("logged as text"), "{seen}");
    assert_eq!(target.value("SELECT COUNT(*) FROM a").await, "2");
    engine.stop().await;
}

/// B21: numbers are not in log order and may have gaps of millions; nothing waits for numbers that were never issued.
#[tokio::test(flavor = "multi_thread")]
async fn gtids_out_of_order_and_with_gaps_are_followed() {
    let cluster = TestCluster::start().await;
    let source = cluster.source_db();
    source.exec(TABLE).await;
    let engine = cluster.shardlift().engine("one").await;
    let moved = Move::start(&cluster, "a", "--wait running").await;
    let uuid = source.value("SELECT @@server_uuid").await;
    for (gtid, id) in [(format!("{uuid}:1000000"), 10), (format!("{uuid}:500000"), 11)] {
        source
            .exec(&format!("SET gtid_next = '{gtid}'; INSERT INTO a VALUES ({id}, 0); SET gtid_next = 'AUTOMATIC'"))
            .await;
    }
    let foreign = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee";
    source
        .exec(&format!(
            "SET gtid_next = '{foreign}:7'; INSERT INTO a VALUES (12, 0);
             SET gtid_next = '{foreign}:blue:3'; INSERT INTO a VALUES (13, 0); SET gtid_next = 'AUTOMATIC';
             FLUSH BINARY LOGS; INSERT INTO a VALUES (14, 0)"
        ))
        .await;
    assert_eq!(moved.equal(&["a"]).await, [7]);
    // And a new engine resumes by such a set.
    engine.stop().await;
    source.exec("INSERT INTO a VALUES (15, 0)").await;
    let engine = cluster.shardlift().engine("two").await;
    assert_eq!(moved.equal(&["a"]).await, [8]);
    engine.stop().await;
}

/// A5: a server that comes back without its tail uses the numbers again for other transactions.
#[tokio::test(flavor = "multi_thread")]
async fn numbers_used_again_are_noticed() {
    let cluster = TestCluster::start().await;
    let (source, target) = (cluster.source_db(), cluster.target_db());
    source.exec(TABLE).await;
    let engine = cluster.shardlift().engine("one").await;
    let moved = Move::start(&cluster, "a", "--wait running").await;
    source.exec("INSERT INTO a VALUES (3, 3)").await;
    moved.equal(&["a"]).await;
    engine.stop().await;
    // As if the last transaction had been another one when it was applied.
    target.exec("UPDATE _shardlift.stream SET last_committed_us = last_committed_us - 1000000").await;
    let engine = cluster.shardlift().engine("two").await;
    let seen = moved.state("Error").await;
    assert!(seen["message"].as_str().unwrap().contains("used the number again"), "{seen}");
    engine.stop().await;
    // And as if it were not there at all.
    let uuid = source.value("SELECT @@server_uuid").await;
    target
        .exec(&format!("UPDATE _shardlift.stream SET last_gtid = NULL, position = CONCAT(position, ',{uuid}:900000')"))
        .await;
    moved.shardlift.run(&format!("workflow resume {WHICH}")).await;
    let engine = cluster.shardlift().engine("three").await;
    let seen = moved.state("Error").await;
    let message = seen["message"].as_str().unwrap();
    assert!(message.contains("no longer has") && message.contains(":900000"), "{seen}");
    engine.stop().await;
}

/// P13: purged binlogs that are still needed are an error that names the range.
#[tokio::test(flavor = "multi_thread")]
async fn purged_binlogs_are_named() {
    let cluster = TestCluster::start().await;
    let (source, target) = (cluster.source_db(), cluster.target_db());
    source.exec(TABLE).await;
    let engine = cluster.shardlift().engine("one").await;
    let moved = Move::start(&cluster, "a", "--wait running").await;
    moved.equal(&["a"]).await;
    engine.stop().await;
    source.exec("INSERT INTO a VALUES (3, 3); FLUSH BINARY LOGS; INSERT INTO a VALUES (4, 4); FLUSH BINARY LOGS").await;
    let mut conn = source.conn().await;
    let last: Vec<(String, u64, String)> = conn.query("SHOW BINARY LOGS").await.unwrap();
    conn.query_drop(format!("PURGE BINARY LOGS TO '{}'", last.last().unwrap().0)).await.unwrap();
    conn.disconnect().await.unwrap();
    let engine = cluster.shardlift().engine("two").await;
    let seen = moved.state("Error").await;
    let message = seen["message"].as_str().unwrap();
    assert!(message.contains("purged") && message.contains(&source.value("SELECT @@server_uuid").await), "{seen}");
    assert_eq!(target.value("SELECT COUNT(*) FROM a").await, "2");
    engine.stop().await;
}

/// A4: an event may arrive before its commit is safe. With a semi-sync source whose replica does not acknowledge, it is
/// neither visible nor applied; after the failover that loses it, the stream goes on with what the new primary has.
#[tokio::test(flavor = "multi_thread")]
async fn commits_a_failover_takes_back_are_never_applied() {
    let cluster = TestCluster::with(|spec| {
        spec.replicas = 1;
        spec.semi_sync = Some(Duration::from_secs(3_600));
    })
    .await;
    let (source, target) = (cluster.source_db(), cluster.target_db());
    source.exec(TABLE).await;
    let shardlift = cluster.shardlift();
    let engine = shardlift.engine("one").await;
    let moved = Move::start(&cluster, "a", "--wait running").await;
    source.exec("INSERT INTO a VALUES (3, 3)").await;
    moved.equal(&["a"]).await;
    let replica = cluster.db(cluster.source_replica(), "commerce");
    replica.exec("STOP REPLICA").await;
    // Nobody acknowledges: the client waits, the binlog has it already.
    let mut conn = source.conn().await;
    let hanging = tokio::spawn(async move { conn.query_drop("INSERT INTO a VALUES (666, 666)").await });
    sleep(Duration::from_secs(3)).await;
    assert_eq!(target.value("SELECT COUNT(*) FROM a WHERE id = 666").await, "0", "applied before it was safe");
    cluster.source().kill9().await.unwrap();
    assert!(hanging.await.unwrap().is_err(), "it was never acknowledged");
    cluster.source_replica().promote().await.unwrap();
    let alias = cluster.source_replica_alias();
    shardlift.must(&format!("shard set-primary commerce/0 {alias}")).await;
    replica.exec("SET GLOBAL rpl_semi_sync_source_enabled = OFF; INSERT INTO a VALUES (4, 4)").await;
    until("the stream follows the new primary", PATIENCE, async || {
        let ids = target.value("SELECT GROUP_CONCAT(id ORDER BY id) FROM a").await;
        if ids == "1,2,3,4" { Ok(()) } else { Err(ids) }
    })
    .await;
    engine.stop().await;
}
