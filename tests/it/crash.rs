//! Processes that die at any moment, with writers on: no row is lost, none doubled.

use std::time::Duration;

use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::time::{Instant, sleep};

use crate::harness::{Ledger, Load, TestCluster, compare_tables, until};
use crate::scenario::{Move, PATIENCE};

/// Small chunks and short rounds, so that kills fall into every phase.
const SMALL: &str = "--chunk-bytes 20000 --round-ms 200";
const LEDGER: &str = "ledger,ledger_writer";

/// Keeps killing the engine until `until_kills` are done and `reached` says so of the state.
async fn kill_until(cluster: &TestCluster, state: &str, least: u32, seed: u64) -> u32 {
    let shardlift = cluster.shardlift();
    let mut random = StdRng::seed_from_u64(seed);
    let deadline = Instant::now() + PATIENCE;
    let mut kills = 0;
    loop {
        let engine = shardlift.start("engine", "engine run");
        // Its predecessor's lease lasts up to 3 s: what it does, it does in what is left.
        let life = Duration::from_millis(random.random_range(3_200..5_500) + u64::from(kills) * 40);
        let dies = Instant::now() + life;
        let mut seen = String::new();
        while Instant::now() < dies {
            let status =
                shardlift.run("movetables status --workflow move --target-keyspace customer --format json").await;
            let status: serde_json::Value = serde_json::from_str(&status.stdout).unwrap_or_default();
            seen = status["state"].as_str().unwrap_or_default().to_string();
            assert_ne!(seen, "Error", "{status}\n{}", engine.log());
        }
        engine.kill9().await;
        kills += 1;
        if seen == state && kills >= least {
            return kills;
        }
        assert!(Instant::now() < deadline, "after {kills} kills it is still {seen}, not {state}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_killed_in_a_loop_loses_nothing() {
    let cluster = TestCluster::start().await;
    let (source, target) = (cluster.source_db(), cluster.target_db());
    let ledger = Ledger::start(&source, Load { writers: 4, rows: 4_000, rate: Some(150) }).await;
    let moved = Move::start(&cluster, LEDGER, SMALL).await;
    let kills = kill_until(&cluster, "Running", 6, 11).await;
    // And while it runs: it dies with batches under way.
    let more = kill_until(&cluster, "Running", 3, 12).await;
    let engine = cluster.shardlift().engine("last").await;
    moved.state("Running").await;
    ledger.wait_for(100, PATIENCE).await;
    let record = ledger.stop().await;
    let rows = moved.equal(&["ledger", "ledger_writer"]).await;
    assert_eq!(record.verify(&target).await, [""; 0]);
    let keys = target.value("SELECT COUNT(*) FROM information_schema.statistics WHERE table_name = 'ledger' AND table_schema = 'customer'").await;
    assert_eq!(keys, "2", "the deferred key is back");
    println!("{} kills, {} acknowledged transactions, rows {rows:?}: equal", kills + more, record.committed);
    engine.stop().await;
}

/// A stretch of rows far longer than the table's average makes chunks that are cut short, in a composite, collated key.
#[tokio::test(flavor = "multi_thread")]
async fn chunks_of_long_rows_are_cut_short() {
    let cluster = TestCluster::start().await;
    let source = cluster.source_db();
    source.exec("CREATE TABLE a (k VARCHAR(20), n INT, v MEDIUMBLOB, PRIMARY KEY (k, n))").await;
    source.exec("SET cte_max_recursion_depth = 20000; INSERT INTO a WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 20000) \
        SELECT ELT(1 + n % 3, 'a', 'B', 'c'), n, IF(n BETWEEN 9000 AND 9060, REPEAT('x', 60000), 'x') FROM s").await;
    source.exec("ANALYZE TABLE a").await;
    let engine = cluster.shardlift().engine("one").await;
    let moved = Move::start(&cluster, "a", SMALL).await;
    moved.state("Running").await;
    assert_eq!(moved.equal(&["a"]).await, [20_000]);
    let log = engine.log();
    assert!(log.matches("chunk cut short").count() > 3, "{log}");
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_restart_are_waited_for() {
    let cluster = TestCluster::start().await;
    let (source, target) = (cluster.source_db(), cluster.target_db());
    let ledger = Ledger::start(&source, Load { writers: 3, rows: 3_000, rate: Some(100) }).await;
    let engine = cluster.shardlift().engine("one").await;
    let moved = Move::start(&cluster, LEDGER, SMALL).await;
    sleep(Duration::from_millis(700)).await;
    cluster.target().kill9().await.unwrap();
    sleep(Duration::from_millis(500)).await;
    cluster.target().restart().await.unwrap();
    sleep(Duration::from_millis(1_500)).await;
    cluster.source().kill9().await.unwrap();
    sleep(Duration::from_millis(500)).await;
    cluster.source().restart().await.unwrap();
    moved.state("Running").await;
    ledger.wait_for(50, PATIENCE).await;
    // While it runs, in order this time.
    cluster.target().restart().await.unwrap();
    cluster.source().restart().await.unwrap();
    ledger.wait_for(50, PATIENCE).await;
    moved.state("Running").await;
    let record = ledger.stop().await;
    moved.equal(&["ledger", "ledger_writer"]).await;
    assert_eq!(record.verify(&target).await, [""; 0]);
    assert!(record.reconnects > 0);
    engine.stop().await;
}

/// protocol-review C26: an engine that was cut off and wakes up finds its transactions refused by the target.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_engine_takes_over_and_the_first_is_refused() {
    let cluster = TestCluster::start().await;
    let (source, target) = (cluster.source_db(), cluster.target_db());
    let ledger = Ledger::start(&source, Load { writers: 3, rows: 2_000, rate: Some(300) }).await;
    let shardlift = cluster.shardlift();
    let first = shardlift.engine("first").await;
    let moved = Move::start(&cluster, LEDGER, "").await;
    moved.state("Running").await;
    let token = target.value("SELECT owner_token FROM _shardlift.stream").await;
    first.freeze();
    let second = shardlift.engine("second").await;
    until("the second engine takes over", PATIENCE, async || {
        let now = target.value("SELECT owner_token FROM _shardlift.stream").await;
        if now == token { Err(now) } else { Ok(()) }
    })
    .await;
    first.thaw();
    // What the first one still has in hand would be applied a second time, over newer rows, if it were not refused.
    ledger.wait_for(300, PATIENCE).await;
    let status = moved.state("Running").await;
    assert_eq!(status["status"]["engine"], "second", "{status}");
    let record = ledger.stop().await;
    moved.equal(&["ledger", "ledger_writer"]).await;
    assert_eq!(record.verify(&target).await, [""; 0]);
    let log = first.log();
    assert!(log.contains("lost a lease") || log.contains("owner") || log.contains("lease"), "{log}");
    first.stop().await;
    second.stop().await;
}

/// What the comparison is worth: a single changed byte is found.
#[tokio::test(flavor = "multi_thread")]
async fn the_judges_find_a_changed_byte() {
    let cluster = TestCluster::start().await;
    let (source, target) = (cluster.source_db(), cluster.target_db());
    source.exec("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20)); INSERT INTO t VALUES (1, 'a'), (2, 'b')").await;
    let engine = cluster.shardlift().engine("one").await;
    let moved = Move::start(&cluster, "t", "--wait running").await;
    assert_eq!(moved.equal(&["t"]).await, [2]);
    target.exec("UPDATE t SET v = 'B' WHERE id = 2").await;
    assert_eq!(compare_tables(&source, &target, "t").await.differing, 1);
    engine.stop().await;
}
