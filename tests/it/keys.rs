//! Keys and unique values that move: chains, swaps, cycles, keys that differ only by case, both sides of the copy front.

use std::time::Duration;

use crate::harness::TestCluster;
use crate::scenario::Move;

/// Statements of one transaction each; whatever is true of one connection's order must be true of the target.
const MOVES: &[&str] = &[
    // A chain of key changes, and the key is born again.
    "UPDATE t SET id = 1001 WHERE id = 1; UPDATE t SET id = 1002 WHERE id = 1001; INSERT INTO t VALUES (1, 'again', 1)",
    // A swap of keys through a third one.
    "UPDATE t SET id = -1 WHERE id = 2; UPDATE t SET id = 2 WHERE id = 3; UPDATE t SET id = 3 WHERE id = -1",
    // A swap and a 3-cycle of unique values.
    "UPDATE t SET u = 'x' WHERE id = 4; UPDATE t SET u = 'u4' WHERE id = 5; UPDATE t SET u = 'u5' WHERE id = 4",
    "UPDATE t SET u = 'x' WHERE id = 6; UPDATE t SET u = 'u6' WHERE id = 7; UPDATE t SET u = 'u7' WHERE id = 8;
     UPDATE t SET u = 'u8' WHERE id = 6",
    // Delete and insert again, another row with the freed value.
    "DELETE FROM t WHERE id = 9; INSERT INTO t VALUES (9, 'u9b', 0); DELETE FROM t WHERE id = 10;
     INSERT INTO t VALUES (2010, 'u10', 1)",
    // Both sides of the copy front, wherever it is.
    "DELETE FROM t WHERE id IN (11, 990); UPDATE t SET id = id + 3000 WHERE id IN (12, 991)",
    "UPDATE t SET id = 989 WHERE id = 3012; DELETE FROM t WHERE id = 3991",
    // Keys that differ only by case, on a table whose key does not compare as bytes.
    "UPDATE ci SET k = 'KEY1' WHERE k = 'key1'; UPDATE ci SET k = 'Key2', v = v + 1 WHERE k = 'key2'",
    "DELETE FROM ci WHERE k = 'key3'; INSERT INTO ci VALUES ('KEY3', 33); UPDATE ci SET k = 'kéy3' WHERE k = 'key3'",
    "UPDATE ci SET k = 'tmp' WHERE k = 'key4'; UPDATE ci SET k = 'KEY4' WHERE k = 'key5';
     UPDATE ci SET k = 'KEY5' WHERE k = 'tmp'",
    // Many rows of one statement shift by one: each takes the key of the next.
    "UPDATE t SET id = id + 1 WHERE id BETWEEN 100 AND 140 ORDER BY id DESC",
    // 0 is a key like any other.
    "INSERT INTO z VALUES (0, 'zero'), (1, 'one'); UPDATE z SET id = 0, v = 'one, now zero' WHERE id = 0",
    "UPDATE t SET u = NULL WHERE id BETWEEN 200 AND 210; UPDATE t SET u = CONCAT('v', id) WHERE id BETWEEN 205 AND 220",
];

async fn fill(cluster: &TestCluster) {
    cluster
        .source_db()
        .exec(
            "SET cte_max_recursion_depth = 2000, sql_mode = 'NO_AUTO_VALUE_ON_ZERO';
             CREATE TABLE t (id BIGINT PRIMARY KEY, u VARCHAR(20) UNIQUE, v INT NOT NULL DEFAULT 0);
             INSERT INTO t (id, u) WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 1000)
             SELECT n, CONCAT('u', n) FROM c WHERE n NOT IN (141, 989);
             CREATE TABLE ci (k VARCHAR(20) COLLATE utf8mb4_0900_as_ci PRIMARY KEY, v INT);
             INSERT INTO ci SELECT CONCAT('key', id), id FROM t;
             CREATE TABLE z (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(20))",
        )
        .await;
}

async fn make_moves(cluster: &TestCluster, pause: Duration) {
    for moves in MOVES {
        let sql = format!("SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO'; START TRANSACTION; {moves}; COMMIT");
        cluster.source_db().exec(&sql).await;
        tokio::time::sleep(pause).await;
    }
}

const TABLES: &str = "t,ci,z";
const NAMES: &[&str] = &["t", "ci", "z"];

#[tokio::test(flavor = "multi_thread")]
async fn keys_move_while_running_one_transaction_at_a_time() {
    let cluster = TestCluster::start().await;
    fill(&cluster).await;
    let engine = cluster.shardlift().engine("one").await;
    let moved = Move::start(&cluster, TABLES, "--wait running").await;
    make_moves(&cluster, Duration::from_millis(100)).await;
    moved.equal(NAMES).await;
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_move_in_one_batch_and_are_replayed() {
    let cluster = TestCluster::start().await;
    fill(&cluster).await;
    let shardlift = cluster.shardlift();
    let engine = shardlift.engine("one").await;
    let moved = Move::start(&cluster, TABLES, "--wait running").await;
    let before = cluster.target_db().value("SELECT position FROM _shardlift.stream").await;
    // With the engine away, all of it becomes one batch.
    engine.stop().await;
    make_moves(&cluster, Duration::ZERO).await;
    let engine = shardlift.engine("two").await;
    moved.equal(NAMES).await;
    engine.stop().await;
    // As after a crash between lanes: what was applied is applied again, onto rows that are ahead.
    let ceiling = cluster.target_db().value("SELECT position FROM _shardlift.stream").await;
    let target = cluster.target_db();
    target
        .exec(&format!("UPDATE _shardlift.stream SET position = '{before}', ceiling = '{ceiling}', last_gtid = NULL"))
        .await;
    let engine = shardlift.engine("three").await;
    moved.equal(NAMES).await;
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_move_on_both_sides_of_the_copy_front() {
    let cluster = TestCluster::start().await;
    fill(&cluster).await;
    let engine = cluster.shardlift().engine("one").await;
    // Slow and in many rounds: the moves fall between chunks.
    let slow = "--chunk-bytes 1500 --round-ms 150 --workers 2 --max-rows-per-second 700";
    let moved = Move::start(&cluster, TABLES, slow).await;
    make_moves(&cluster, Duration::from_millis(150)).await;
    moved.state("Running").await;
    moved.equal(NAMES).await;
    engine.stop().await;
}
