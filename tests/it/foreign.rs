//! Foreign keys within the set (protocol-review A11): what they change on the source arrives as rows of its own, and is
//! changed on the target by nothing else.

use std::fs;
use std::time::Duration;

use tokio::time::sleep;

use crate::harness::{Db, TestCluster};
use crate::scenario::{Move, WHICH};

const TABLES: &str = "
    CREATE TABLE parent (id INT PRIMARY KEY, code VARCHAR(20) NOT NULL UNIQUE);
    CREATE TABLE child (id INT PRIMARY KEY, parent_id INT NOT NULL, v INT NOT NULL DEFAULT 0,
        FOREIGN KEY (parent_id) REFERENCES parent (id) ON DELETE CASCADE ON UPDATE CASCADE);
    CREATE TABLE grandchild (id INT PRIMARY KEY, child_id INT, parent_code VARCHAR(20),
        FOREIGN KEY (child_id) REFERENCES child (id) ON DELETE CASCADE ON UPDATE CASCADE,
        FOREIGN KEY (parent_code) REFERENCES parent (code) ON DELETE SET NULL ON UPDATE CASCADE);
    CREATE TABLE tree (id INT PRIMARY KEY, up INT, FOREIGN KEY (up) REFERENCES tree (id) ON DELETE CASCADE)";
const NAMES: &[&str] = &["parent", "child", "grandchild", "tree"];

/// What is done to rows with keys around `n`, each with consequences elsewhere.
fn deeds(n: u32) -> String {
    [
        format!("DELETE FROM parent WHERE id = {n}"),
        format!("UPDATE parent SET id = id + 100000 WHERE id = {}", n + 1),
        format!("UPDATE parent SET code = CONCAT('new', code) WHERE id = {}", n + 2),
        // The key's new owner has nothing to do with the old one's children.
        format!("DELETE FROM parent WHERE id = {0}; INSERT INTO parent VALUES ({0}, 'again{0}')", n + 3),
        // A cascade that is rolled back never was.
        format!("START TRANSACTION; DELETE FROM parent WHERE id = {}; ROLLBACK", n + 4),
        format!("DELETE FROM tree WHERE id = {n}"),
        format!(
            "START TRANSACTION; UPDATE child SET id = id + 200000 WHERE parent_id = {0}; DELETE FROM parent WHERE id = {0};
             COMMIT",
            n + 5
        ),
    ]
    .join("; ")
}

async fn fill(db: &Db) {
    db.exec(&format!(
        "SET cte_max_recursion_depth = 10000; {TABLES};
         INSERT INTO parent WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 600)
         SELECT n, CONCAT('code', n) FROM c;
         INSERT INTO child WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 2400)
         SELECT n, 1 + n % 600, n FROM c;
         INSERT INTO grandchild SELECT id, id, CONCAT('code', 1 + id % 600) FROM child;
         INSERT INTO tree WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 600)
         SELECT n, IF(n % 10 = 1, NULL, n - 1) FROM c"
    ))
    .await;
}

/// Rows whose parent is missing.
async fn orphans(db: &Db) -> String {
    db.value(
        "SELECT (SELECT COUNT(*) FROM child WHERE parent_id NOT IN (SELECT id FROM parent))
         + (SELECT COUNT(*) FROM grandchild WHERE child_id NOT IN (SELECT id FROM child))
         + (SELECT COUNT(*) FROM grandchild WHERE parent_code NOT IN (SELECT code FROM parent))
         + (SELECT COUNT(*) FROM tree WHERE up NOT IN (SELECT id FROM tree AS above))",
    )
    .await
}

async fn keys(db: &Db) -> Vec<Vec<Option<String>>> {
    db.rows(
        "SELECT table_name, constraint_name, referenced_table_name, update_rule, delete_rule
         FROM information_schema.referential_constraints WHERE constraint_schema = DATABASE() ORDER BY 1, 2",
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn cascades_arrive_during_the_copy_and_while_running() {
    let cluster = TestCluster::start().await;
    let (source, target) = (cluster.source_db(), cluster.target_db());
    fill(&source).await;
    let engine = cluster.shardlift().engine("one").await;
    // Slow and in many rounds: cascades reach over tables of which some are copied, some half, some not yet.
    let slow = "--chunk-bytes 1500 --round-ms 150 --workers 2 --max-rows-per-second 1500";
    let moved = Move::start(&cluster, &NAMES.join(","), slow).await;
    let mut n = 0;
    while moved.shardlift.json(&format!("movetables status {WHICH}")).await["state"] != "Running" {
        if n < 500 {
            source.exec(&deeds(1 + n)).await;
            n += 10;
        }
        sleep(Duration::from_millis(50)).await;
    }
    assert!(n >= 30, "the copy was over after {n}: nothing happened during it");
    let during = moved.equal(NAMES).await;
    for n in (1 + n..590).step_by(10) {
        source.exec(&deeds(n)).await;
    }
    // A statement that changes a parent only, and one that reaches everything.
    source.exec("UPDATE parent SET code = CONCAT(code, 'x')").await;
    source.exec("UPDATE parent SET id = id + 300000 WHERE id % 7 = 0 ORDER BY id DESC; DELETE FROM parent WHERE id % 11 = 0").await;
    let after = moved.equal(NAMES).await;
    assert!(after.iter().zip(&during).all(|(after, during)| after < during), "{during:?}, then {after:?}");
    assert_eq!(orphans(&target).await, "0");
    let there = keys(&target).await;
    assert_eq!(there, keys(&source).await);
    assert_eq!(there.len(), 4);
    engine.stop().await;
}

/// The same in one batch after a pause, folded by key, and with another engine's replay of it.
#[tokio::test(flavor = "multi_thread")]
async fn cascades_arrive_in_one_batch_and_are_replayed() {
    let cluster = TestCluster::start().await;
    let (source, target) = (cluster.source_db(), cluster.target_db());
    fill(&source).await;
    let shardlift = cluster.shardlift();
    let engine = shardlift.engine("one").await;
    let moved = Move::start(&cluster, &NAMES.join(","), "--wait running").await;
    let before = target.value("SELECT position FROM _shardlift.stream").await;
    engine.stop().await;
    for n in (1..590).step_by(10) {
        source.exec(&deeds(n)).await;
    }
    source.exec("DELETE FROM parent WHERE id % 13 = 0").await;
    let engine = shardlift.engine("two").await;
    let rows = moved.equal(NAMES).await;
    engine.stop().await;
    let ceiling = target.value("SELECT position FROM _shardlift.stream").await;
    target
        .exec(&format!("UPDATE _shardlift.stream SET position = '{before}', ceiling = '{ceiling}', last_gtid = NULL"))
        .await;
    let engine = shardlift.engine("three").await;
    assert_eq!(moved.equal(NAMES).await, rows);
    assert_eq!(orphans(&target).await, "0");
    engine.stop().await;
}

/// A source that was restarted with InnoDB's own foreign keys no longer logs what they change: the stream stops at the
/// parent's change, although preflight saw another server.
#[tokio::test(flavor = "multi_thread")]
async fn a_cascade_that_is_not_logged_stops_the_stream() {
    let cluster = TestCluster::start().await;
    let (source, target) = (cluster.source_db(), cluster.target_db());
    fill(&source).await;
    let shardlift = cluster.shardlift();
    let engine = shardlift.engine("one").await;
    let moved = Move::start(&cluster, &NAMES.join(","), "--wait running").await;
    moved.equal(NAMES).await;
    let server = cluster.source();
    fs::write(server.spec().dir.join("my.cnf"), "[mysqld]\ninnodb_native_foreign_keys = ON\n").unwrap();
    server.restart().await.unwrap();
    assert_eq!(source.value("SELECT @@global.innodb_native_foreign_keys").await, "1");
    // What cascades nowhere is no reason to stop.
    source
        .exec(
            "INSERT INTO parent VALUES (9000, 'new'); UPDATE grandchild SET parent_code = NULL WHERE id = 1;
             SET foreign_key_checks = 0; UPDATE parent SET code = 'newer' WHERE id = 9000",
        )
        .await;
    let rows = moved.equal(NAMES).await;
    source.exec("DELETE FROM parent WHERE id = 17").await;
    let seen = moved.state("Error").await;
    let message = seen["message"].as_str().unwrap();
    assert!(message.contains("commerce.parent") && message.contains("innodb_native_foreign_keys"), "{message}");
    assert_eq!(target.value("SELECT COUNT(*) FROM parent WHERE id = 17").await, "1");
    assert_eq!(target.value("SELECT COUNT(*) FROM parent").await, rows[0].to_string());
    // And a new start is refused.
    moved.cancel().await;
    let start = format!("movetables start {WHICH} --source-keyspace commerce --tables {}", NAMES.join(","));
    let refused = shardlift.refused(&start).await;
    assert!(refused.contains("innodb_native_foreign_keys"), "{refused}");
    engine.stop().await;
}
