//! A workflow's own stream and its fences: arming is no DDL to it, it passes what is closed, and it passes a closing at once.

use std::time::Duration;

use shardlift::workflow::fence;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{SOON, epoch, fence_of, refused, soon, taken};
use crate::harness::{Db, TestCluster};
use crate::scenario::Move;

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_passes_its_own_fences() {
    let cluster = TestCluster::start().await;
    let (source_db, target_db) = (cluster.source_db(), cluster.target_db());
    source_db.exec("CREATE TABLE t (id INT PRIMARY KEY, v INT); INSERT INTO t VALUES (1, 1), (2, 2)").await;
    let engine = cluster.shardlift().engine("one").await;
    let moved = Move::start(&cluster, "t", "--wait running").await;
    let uid: Uuid = target_db.value("SELECT workflow_uid FROM _shardlift.stream").await.parse().unwrap();
    let source = fence_of(&cluster, cluster.source(), "commerce", uid, &["t"]);
    let target = fence_of(&cluster, cluster.target(), "customer", uid, &["t"]);
    for fence in [&source, &target] {
        fence::ensure(fence).await.unwrap();
    }
    fence::shut(&target, epoch(1), soon()).await.unwrap();
    fence::arm(&target, epoch(1), SOON).await.unwrap();
    // protocol-review B22: with --on-ddl STOP.
    fence::arm(&source, epoch(1), SOON).await.unwrap();
    let mut intruder = Db::new(cluster.target(), cluster.app(), "customer").conn().await;
    assert!(refused(&mut intruder, "INSERT INTO t VALUES (9, 9)").await.contains("keyspace commerce"));
    let mut app = Db::new(cluster.source(), cluster.app(), "commerce").conn().await;
    let mut passed = Vec::new();
    for at in 0..5 {
        taken(&mut app, &format!("INSERT INTO t VALUES ({}, 0)", 10 + at)).await;
        taken(&mut app, "UPDATE t SET v = v + 1; DELETE FROM t WHERE id = 2").await;
        let closed = fence::close(std::slice::from_ref(&source), epoch(2 * at + 2), soon()).await.unwrap();
        refused(&mut app, "DELETE FROM t").await;
        let (began, executed) = (Instant::now(), &closed.executed[0]);
        let reached = format!("SELECT GTID_SUBSET('{executed}', position) FROM _shardlift.stream");
        while target_db.value(&reached).await != "1" {
            assert!(began.elapsed() < Duration::from_secs(20), "the stream does not pass the fence");
        }
        passed.push(began.elapsed());
        assert_eq!(target_db.value("SELECT COUNT(*) FROM t").await, (2 + at).to_string());
        fence::open(&source, epoch(2 * at + 3), soon()).await.unwrap();
        // The next one comes while nothing else does.
        sleep(Duration::from_millis(250)).await;
    }
    passed.sort();
    println!("the target's checkpoint has passed the closing after {passed:?}");
    assert!(passed[2] < Duration::from_millis(150), "{passed:?}");
    assert_eq!(moved.equal(&["t"]).await, [6]);
    for fence in [&source, &target] {
        fence::forget(fence).await.unwrap();
    }
    moved.equal(&["t"]).await;
    moved.state("Running").await;
    engine.stop().await;
}
