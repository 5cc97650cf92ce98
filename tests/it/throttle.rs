//! Throttling (P14): it slows the copy before the apply, says why, obeys at once, and holds up nothing else.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::harness::{Db, Ledger, Load, TestCluster, until};
use crate::scenario::{Move, PATIENCE, WHICH};

/// A command that only writes a wish and waits for its owner must be back by then, whatever is throttled.
const PROMPT: Duration = Duration::from_secs(5);

/// `big`, with rows of about 110 bytes.
async fn fill(db: &Db, rows: u32) {
    db.exec(&format!(
        "SET cte_max_recursion_depth = {rows}; CREATE TABLE big (id INT PRIMARY KEY, v INT NOT NULL, pad CHAR(100));
         INSERT INTO big WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {rows})
         SELECT n, 0, REPEAT('x', 100) FROM c; ANALYZE TABLE big"
    ))
    .await;
}

async fn arrived(target: &Db) -> u64 {
    target.value("SELECT COUNT(*) FROM big").await.parse().unwrap()
}

/// Rows per second that arrive, over a while.
async fn rate(target: &Db, over: Duration) -> f64 {
    let (began, before) = (Instant::now(), arrived(target).await);
    sleep(over).await;
    (arrived(target).await - before) as f64 / began.elapsed().as_secs_f64()
}

async fn status(moved: &Move<'_>) -> Value {
    moved.shardlift.json(&format!("movetables status {WHICH}")).await
}

/// Waits until the status names a reason for which the copy waits that holds `words`.
async fn throttled(moved: &Move<'_>, words: &str) -> String {
    until(&format!("the status says that {words:?} throttles"), PATIENCE, async || {
        let seen = status(moved).await;
        match seen["status"]["throttled"].as_str() {
            Some(reason) if reason.contains(words) => Ok(reason.to_owned()),
            _ => Err(seen),
        }
    })
    .await
}

async fn promptly(what: &str, moved: &Move<'_>, verb: &str) {
    let began = Instant::now();
    moved.shardlift.must(&format!("{verb} {WHICH}")).await;
    assert!(began.elapsed() < PROMPT, "{what} took {:?}", began.elapsed());
}

/// What is written on the source now is soon on the target, however the copy is held.
async fn is_followed(cluster: &TestCluster, id: u32, within: Duration) {
    let (source, target) = (cluster.source_db(), cluster.target_db());
    source.exec(&format!("UPDATE big SET v = v + 1 WHERE id = {id}")).await;
    let now = source.value(&format!("SELECT v FROM big WHERE id = {id}")).await;
    until("a change is applied while the copy is throttled", within, async || {
        let there = target.value(&format!("SELECT COALESCE(MAX(v), 'no row') FROM big WHERE id = {id}")).await;
        if there == now { Ok(()) } else { Err(there) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limits_the_copy_and_is_changed_live() {
    let cluster = TestCluster::start().await;
    let (source, target) = (cluster.source_db(), cluster.target_db());
    fill(&source, 60_000).await;
    let engine = cluster.shardlift().engine("one").await;
    // The usual chunks are far larger than what a second's budget allows.
    let moved = Move::start(&cluster, "big", "--max-rows-per-second 2000").await;
    let reason = throttled(&moved, "rows per second").await;
    assert!(reason.contains("2000"), "{reason}");
    let measured = rate(&target, Duration::from_secs(4)).await;
    assert!((1_200.0..2_600.0).contains(&measured), "{measured} rows/s at a limit of 2000");
    is_followed(&cluster, 1, Duration::from_secs(10)).await;

    moved.shardlift.must(&format!("workflow update {WHICH} --max-rows-per-second 500")).await;
    sleep(Duration::from_secs(2)).await;
    let measured = rate(&target, Duration::from_secs(4)).await;
    assert!((300.0..650.0).contains(&measured), "{measured} rows/s at a limit of 500");

    promptly("pausing", &moved, "workflow pause").await;
    let seen = status(&moved).await;
    assert_eq!((&seen["state"], &seen["status"]["throttled"]), (&Value::from("Stopped"), &Value::Null), "{seen}");
    let (before, _) = (arrived(&target).await, sleep(Duration::from_secs(1)).await);
    assert_eq!(arrived(&target).await, before, "rows arrive while it is paused");
    promptly("resuming", &moved, "workflow resume").await;
    throttled(&moved, "500").await;

    let began = Instant::now();
    let line = format!("workflow update {WHICH} --max-rows-per-second none");
    assert!(moved.shardlift.must(&line).await.contains("\"rows_per_second\": null"));
    let seen = moved.state("Running").await;
    assert!(began.elapsed() < Duration::from_secs(20), "without a limit it took {:?}", began.elapsed());
    assert_eq!(seen["status"]["throttled"], Value::Null, "{seen}");
    assert_eq!(moved.equal(&["big"]).await, [60_000]);
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_are_limited_too_and_cancel_does_not_wait() {
    let cluster = TestCluster::start().await;
    let target = cluster.target_db();
    fill(&cluster.source_db(), 60_000).await;
    let engine = cluster.shardlift().engine("one").await;
    let moved = Move::start(&cluster, "big", "--max-bytes-per-second 200000").await;
    throttled(&moved, "bytes per second").await;
    // A row is about 110 bytes.
    let measured = rate(&target, Duration::from_secs(6)).await * 110.0;
    assert!((120_000.0..260_000.0).contains(&measured), "{measured} bytes/s at a limit of 200000");
    promptly("cancelling", &moved, "movetables cancel").await;
    assert_eq!(target.rows("SHOW TABLES LIKE 'big'").await, Vec::<Vec<Option<String>>>::new());
    engine.stop().await;
}

/// A replica of the target that lags, or does not replicate at all, holds the copy and is named; changes go on.
#[tokio::test(flavor = "multi_thread")]
async fn a_lagging_replica_holds_the_copy_and_nothing_else() {
    let cluster = TestCluster::with(|spec| spec.replicas = 1).await;
    let (source, target) = (cluster.source_db(), cluster.target_db());
    fill(&source, 60_000).await;
    let engine = cluster.shardlift().engine("one").await;
    // Slow at first, so that the replica's trouble begins while rows are left.
    let slow = "--max-rows-per-second 3000 --max-replica-lag 1500";
    let moved = Move::start(&cluster, "big", slow).await;
    until("rows arrive", PATIENCE, async || match target.rows("SHOW TABLES LIKE 'big'").await.len() {
        1 if arrived(&target).await > 1_000 => Ok(()),
        _ => Err("none yet"),
    })
    .await;
    let replica = cluster.db(cluster.target_replica(), "customer");
    // Its applier waits for this lock, and its lag grows.
    let mut lock = replica.conn().await;
    lock.query_drop("FLUSH TABLES WITH READ LOCK").await.unwrap();
    let reason = throttled(&moved, "lags").await;
    assert!(reason.contains("customer/0 (zone1-0000000201)"), "{reason}");
    moved.shardlift.must(&format!("workflow update {WHICH} --max-rows-per-second none")).await;
    // What was under way when it was held may still arrive.
    sleep(Duration::from_secs(1)).await;
    let held = arrived(&target).await;
    assert!(held < 60_000, "everything was copied before the replica could hold it");
    for id in [1, 100, 500] {
        is_followed(&cluster, id, Duration::from_secs(5)).await;
    }
    assert_eq!(arrived(&target).await, held, "the copy goes on although a replica lags");
    promptly("pausing", &moved, "workflow pause").await;
    promptly("resuming", &moved, "workflow resume").await;
    throttled(&moved, "lags").await;
    lock.query_drop("UNLOCK TABLES").await.unwrap();
    until("the copy goes on", PATIENCE, async || {
        let now = arrived(&target).await;
        if now > held { Ok(()) } else { Err(now) }
    })
    .await;
    moved.state("Running").await;

    // Once there is nothing left to copy, nothing is throttled. A channel that is stopped counts as lagging.
    let ledger = Ledger::start(&source, Load { writers: 2, rows: 2_000, rate: Some(100) }).await;
    replica.exec("STOP REPLICA SQL_THREAD").await;
    let line = "movetables start --workflow more --target-keyspace customer --source-keyspace commerce \
                --tables ledger,ledger_writer --max-replica-lag 1500";
    moved.shardlift.must(line).await;
    let show = "movetables status --workflow more --target-keyspace customer";
    until("a stopped replica is named", PATIENCE, async || {
        let seen = moved.shardlift.json(show).await;
        match seen["status"]["throttled"].as_str() {
            Some(reason) if reason.contains("does not replicate") => Ok(()),
            _ => Err(seen),
        }
    })
    .await;
    let seen = moved.state("Running").await;
    assert_eq!(seen["status"]["throttled"], Value::Null, "{seen}");
    is_followed(&cluster, 2, Duration::from_secs(5)).await;
    let began = Instant::now();
    moved.shardlift.must("movetables cancel --workflow more --target-keyspace customer").await;
    assert!(began.elapsed() < PROMPT, "cancelling took {:?}", began.elapsed());
    replica.exec("START REPLICA SQL_THREAD").await;
    ledger.stop().await;
    moved.equal(&["big"]).await;
    engine.stop().await;
}
