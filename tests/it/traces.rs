//! A workflow that is undone leaves servers and topology as they were (P8).

use crate::harness::{TestCluster, Trace};
use crate::scenario::{Move, WHICH};

const TABLES: &str = "
    CREATE TABLE a (id BIGINT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(20), KEY v (v), UNIQUE KEY u (id, v));
    CREATE TABLE b (id INT PRIMARY KEY, w INT, KEY w (w));
    INSERT INTO a (v) VALUES ('x'), ('y'); INSERT INTO b VALUES (1, 1), (2, 2)";

#[tokio::test(flavor = "multi_thread")]
async fn start_and_cancel_leave_no_trace() {
    let cluster = TestCluster::start().await;
    cluster.source_db().exec(TABLES).await;
    let target = cluster.target_db();
    // A table of the user's, empty: it is used, and must be there afterwards, empty, with its keys.
    target.exec("CREATE TABLE b (id INT PRIMARY KEY, w INT, KEY w (w)); CREATE TABLE mine (id INT PRIMARY KEY)").await;
    let before = Trace::take(&cluster).await;
    let engine = cluster.shardlift().engine("one").await;
    for flags in ["--wait running", "--auto-start=false", "--stop-after-copy --wait copied", ""] {
        let moved = Move::start(&cluster, "a,b", flags).await;
        moved.cancel().await;
        let shardlift = cluster.shardlift();
        assert!(shardlift.refused(&format!("movetables status {WHICH}")).await.contains("does not exist"));
        assert_eq!(target.value("SELECT COUNT(*) FROM b").await, "0");
    }
    engine.stop().await;
    let after = Trace::take(&cluster).await;
    assert_eq!(after.since(&before), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_start_leaves_no_trace() {
    let cluster = TestCluster::start().await;
    cluster.source_db().exec(&format!("{TABLES}; CREATE TABLE keyless (v INT)")).await;
    let before = Trace::take(&cluster).await;
    let shardlift = cluster.shardlift();
    let start = format!("movetables start {WHICH} --source-keyspace commerce");
    assert!(shardlift.refused(&format!("{start} --tables a,keyless")).await.contains("keyless"));
    assert!(shardlift.refused(&format!("{start} --tables a,nosuch")).await.contains("nosuch"));
    assert!(shardlift.refused(&format!("{start} --all-tables --tables a")).await.contains("exclude"));
    assert_eq!(Trace::take(&cluster).await.since(&before), [""; 0]);
}

/// What appears on the target between the start and the engine's first look is somebody else's.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_somebody_elses_is_neither_written_nor_dropped() {
    let cluster = TestCluster::start().await;
    cluster.source_db().exec(TABLES).await;
    let target = cluster.target_db();
    target.exec("CREATE TABLE b (id INT PRIMARY KEY, w INT, KEY w (w))").await;
    let engine = cluster.shardlift().engine("one").await;
    let moved = Move::start(&cluster, "a,b", "--auto-start=false").await;
    target.exec("CREATE TABLE a (id INT PRIMARY KEY, precious INT); INSERT INTO a VALUES (1, 1)").await;
    target.exec("INSERT INTO b VALUES (77, 77)").await;
    moved.shardlift.must(&format!("workflow resume {WHICH}")).await;
    let seen = moved.state("Error").await;
    assert!(seen["message"].as_str().unwrap().contains("since the workflow was started"), "{seen}");
    moved.cancel().await;
    assert_eq!(target.value("SELECT precious FROM a").await, "1");
    assert_eq!(target.value("SELECT w FROM b").await, "77");
    engine.stop().await;
}
