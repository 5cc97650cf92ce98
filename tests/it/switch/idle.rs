//! A transaction that is idle after a write, begun in the moment between the last look and the announcement of a pause: who was
//! made to wait for it is let go again.

use std::fs;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use tokio::time::{Instant, sleep, timeout};

use super::{TABLES, small_tables, through};
use crate::harness::{TestCluster, until};
use crate::scenario::{Move, PATIENCE, WHICH};

/// A pause is begun anew for as long as sessions that are ready for it live, 2 s: on a machine that is too busy to release the
/// engine within that, it waits for the transaction as for any.
const TRIES: i32 = 5;
/// The transaction is idle for much longer.
const LET_GO: Duration = Duration::from_millis(1_500);

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_transaction_holds_up_nobody_for_long() {
    let cluster = TestCluster::start().await;
    let (points, held) = (cluster.folder().join("points"), cluster.folder().join("held"));
    fs::write(&points, "").unwrap();
    let shardlift = cluster.shardlift().with("SHARDLIFT_FAILPOINTS", &format!("@{}", points.display()));
    let source = cluster.source_db();
    small_tables(&source).await;
    let gateway = cluster.gateway("").await;
    let app = through(&gateway, "commerce");
    let engine = shardlift.engine("one").await;
    let moved = Move::start(&cluster, TABLES, "").await;
    moved.state("Running").await;

    for attempt in 1..=TRIES {
        fs::write(&points, format!("before-close=hold:{}", held.display())).unwrap();
        let asked = shardlift.start("ask", &format!("movetables switch-traffic {WHICH}"));
        until("the pause is announced", PATIENCE, async || held.exists().then_some(()).ok_or("not yet")).await;
        let mut idle = source.conn().await;
        idle.query_drop(format!("BEGIN; INSERT INTO ledger VALUES ({}, 1)", 100 + attempt)).await.unwrap();
        let (app, id) = (app.clone(), 200 + attempt);
        let began = Instant::now();
        let mut write = tokio::spawn(async move { app.exec(&format!("INSERT INTO ledger VALUES ({id}, 2)")).await });
        sleep(Duration::from_millis(100)).await;
        assert!(!write.is_finished(), "the pause holds writes");
        fs::remove_file(&held).unwrap();
        let let_go = timeout(LET_GO, &mut write).await.is_ok();
        let after = began.elapsed();
        idle.query_drop("COMMIT").await.unwrap();
        if !let_go {
            write.await.unwrap();
        }
        assert!(asked.ended().await.success());
        let there = format!("SELECT COUNT(*) FROM ledger WHERE id IN ({}, {id})", 100 + attempt);
        assert_eq!(cluster.target_db().value(&there).await, "2");
        if let_go {
            println!("attempt {attempt}: a write went on after {after:?}, beside the idle transaction");
            engine.stop().await;
            return;
        }
        shardlift.must(&format!("movetables reverse-traffic {WHICH}")).await;
    }
    panic!("in {TRIES} attempts a write waited for the idle transaction");
}
