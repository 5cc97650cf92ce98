//! DDL while a workflow runs (P9): on a moved table as `--on-ddl` says, elsewhere without effect.

use crate::harness::TestCluster;
use crate::scenario::{Move, WHICH};

const TABLES: &str = "
    CREATE TABLE a (id INT PRIMARY KEY, v INT); CREATE TABLE other (id INT PRIMARY KEY);
    INSERT INTO a VALUES (1, 1), (2, 2)";

async fn running<'a>(cluster: &'a TestCluster, flags: &str) -> Move<'a> {
    cluster.source_db().exec(TABLES).await;
    Move::start(cluster, "a", &format!("{flags} --wait running")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn ddl_on_a_moved_table_stops_at_its_gtid_by_default() {
    let cluster = TestCluster::start().await;
    let engine = cluster.shardlift().engine("one").await;
    let moved = running(&cluster, "").await;
    let (source, target) = (cluster.source_db(), cluster.target_db());
    source.exec("INSERT INTO a VALUES (3, 3)").await;
    source.exec("ALTER TABLE a ADD COLUMN w INT NOT NULL DEFAULT 7").await;
    source.exec("INSERT INTO a VALUES (4, 4, 4)").await;
    let seen = moved.state("Error").await;
    let message = seen["message"].as_str().unwrap();
    assert!(message.contains("ALTER TABLE a ADD COLUMN w"), "{message}");
    // Nothing after it was applied, everything before it was.
    assert_eq!(target.value("SELECT GROUP_CONCAT(id ORDER BY id) FROM a").await, "1,2,3");
    // The way on that the message names: the same change there, then past it.
    let gtid = message.split("at GTID ").nth(1).unwrap().split(' ').next().unwrap();
    target.exec("ALTER TABLE a ADD COLUMN w INT NOT NULL DEFAULT 7").await;
    moved.shardlift.must(&format!("workflow resume {WHICH} --skip-ddl {gtid}")).await;
    moved.state("Running").await;
    assert_eq!(moved.equal(&["a"]).await, [4]);
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn truncate_rename_and_swaps_stop_too() {
    let cluster = TestCluster::start().await;
    let engine = cluster.shardlift().engine("one").await;
    let moved = running(&cluster, "").await;
    let (source, target) = (cluster.source_db(), cluster.target_db());
    // A gh-ost style cut-over: a changed copy takes the table's name.
    source
        .exec("CREATE TABLE _a_gho LIKE a; ALTER TABLE _a_gho ADD COLUMN w INT; INSERT INTO _a_gho SELECT *, 1 FROM a")
        .await;
    source.exec("RENAME TABLE a TO _a_del, _a_gho TO a").await;
    source.exec("INSERT INTO a VALUES (9, 9, 9)").await;
    let seen = moved.state("Error").await;
    assert!(seen["message"].as_str().unwrap().contains("RENAME TABLE a TO _a_del"), "{seen}");
    assert_eq!(target.value("SELECT COUNT(*) FROM a").await, "2");
    moved.cancel().await;
    source.exec("DROP TABLE a; RENAME TABLE _a_del TO a").await;
    let moved = Move::start(&cluster, "a", "--wait running").await;
    source.exec("TRUNCATE TABLE a").await;
    let seen = moved.state("Error").await;
    assert!(seen["message"].as_str().unwrap().contains("TRUNCATE TABLE a"), "{seen}");
    assert_eq!(target.value("SELECT COUNT(*) FROM a").await, "2");
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ddl_is_executed_or_ignored_as_chosen() {
    let cluster = TestCluster::start().await;
    let engine = cluster.shardlift().engine("one").await;
    let moved = running(&cluster, "--on-ddl EXEC").await;
    let (source, target) = (cluster.source_db(), cluster.target_db());
    source.exec("CREATE INDEX by_v ON a (v); TRUNCATE TABLE a; INSERT INTO a VALUES (5, 5)").await;
    assert_eq!(moved.equal(&["a"]).await, [1]);
    assert!(target.rows("SHOW CREATE TABLE a").await[0][1].as_ref().unwrap().contains("by_v"));
    moved.cancel().await;
    let moved = Move::start(&cluster, "a", "--on-ddl IGNORE --wait running").await;
    source.exec("DROP INDEX by_v ON a; INSERT INTO a VALUES (6, 6)").await;
    assert_eq!(moved.equal(&["a"]).await, [2]);
    assert!(target.rows("SHOW CREATE TABLE a").await[0][1].as_ref().unwrap().contains("by_v"));
    // What ignoring cannot survive, a column that the target lacks, stops by name.
    source.exec("ALTER TABLE a ADD COLUMN w INT; INSERT INTO a VALUES (7, 7, 7)").await;
    let seen = moved.state("Error").await;
    assert!(seen["message"].as_str().unwrap().contains("commerce.a"), "{seen}");
    assert_eq!(target.value("SELECT COUNT(*) FROM a WHERE id = 7").await, "0");
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ddl_elsewhere_has_no_effect() {
    let cluster = TestCluster::start().await;
    let engine = cluster.shardlift().engine("one").await;
    let moved = running(&cluster, "").await;
    let source = cluster.source_db();
    source
        .exec(
            "ALTER TABLE other ADD COLUMN w INT; DROP TABLE other; CREATE DATABASE elsewhere;
             CREATE TABLE elsewhere.a (id INT PRIMARY KEY, text VARCHAR(9)); INSERT INTO elsewhere.a VALUES (1, 'x');
             ALTER TABLE elsewhere.a ADD COLUMN z INT; TRUNCATE TABLE elsewhere.a; DROP DATABASE elsewhere;
             CREATE VIEW v AS SELECT 1; DROP VIEW v; CREATE USER nobody; DROP USER nobody;
             CREATE TABLE made SELECT 1 AS x; DROP TABLE made; FLUSH TABLES;
             CREATE TABLE _shardlift_trigger_probe (id INT PRIMARY KEY);
             INSERT INTO a VALUES (3, 3)",
        )
        .await;
    // protocol-review B22: the engine's own triggers, known by their names, are no DDL on the table.
    source
        .exec(
            "CREATE TRIGGER shardlift_fence_1_ins_ca978112ca1bbdca BEFORE INSERT ON a FOR EACH ROW SET @x = 1;
             DROP TRIGGER shardlift_fence_1_ins_ca978112ca1bbdca; INSERT INTO a VALUES (4, 4)",
        )
        .await;
    assert_eq!(moved.equal(&["a"]).await, [4]);
    moved.state("Running").await;
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn executed_ddl_changes_what_is_known_of_the_table() {
    let cluster = TestCluster::start().await;
    let engine = cluster.shardlift().engine("one").await;
    let moved = running(&cluster, "--on-ddl EXEC").await;
    let source = cluster.source_db();
    source
        .exec(
            "ALTER TABLE a ADD COLUMN w VARCHAR(9) DEFAULT 'd' FIRST, ADD UNIQUE KEY v (v);
             INSERT INTO a VALUES ('x', 3, 3); UPDATE a SET w = 'y' WHERE id = 1;
             ALTER TABLE a DROP COLUMN w, MODIFY v BIGINT; INSERT INTO a VALUES (4, 5000000000)",
        )
        .await;
    assert_eq!(moved.equal(&["a"]).await, [4]);
    // By its qualified name a statement could reach the source's own table, were both on one server.
    source.exec("TRUNCATE TABLE commerce.a").await;
    let seen = moved.state("Error").await;
    assert!(seen["message"].as_str().unwrap().contains("TRUNCATE TABLE commerce.a"), "{seen}");
    assert_eq!(cluster.target_db().value("SELECT COUNT(*) FROM a").await, "4");
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_dropped_under_the_copy_is_met_as_ddl() {
    let cluster = TestCluster::start().await;
    let source = cluster.source_db();
    source
        .exec(
            "SET cte_max_recursion_depth = 5000; CREATE TABLE a (id INT PRIMARY KEY, v INT, w INT);
             INSERT INTO a WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 4000)
             SELECT n, n, n FROM c",
        )
        .await;
    let engine = cluster.shardlift().engine("one").await;
    let slow = "--chunk-bytes 2000 --round-ms 300 --max-rows-per-second 400";
    let moved = Move::start(&cluster, "a", slow).await;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    source.exec("ALTER TABLE a DROP COLUMN w").await;
    let seen = moved.state("Error").await;
    let message = seen["message"].as_str().unwrap();
    assert!(message.contains("ALTER TABLE a DROP COLUMN w") && message.contains("--skip-ddl"), "{message}");
    let gtid = message.split("at GTID ").nth(1).unwrap().split(' ').next().unwrap();
    cluster.target_db().exec("ALTER TABLE a DROP COLUMN w").await;
    moved.shardlift.must(&format!("workflow update {WHICH} --max-rows-per-second none")).await;
    moved.shardlift.must(&format!("workflow resume {WHICH} --skip-ddl {gtid}")).await;
    moved.state("Running").await;
    assert_eq!(moved.equal(&["a"]).await, [4000]);
    engine.stop().await;
}

/// With lower_case_table_names the binlog writes names as they are stored, not as they were given.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_named_in_another_case_is_followed_all_the_same() {
    let cluster = TestCluster::with(|spec| spec.extra_args.push("--lower-case-table-names=1".into())).await;
    let shardlift = cluster.shardlift();
    cluster.source_db().exec(TABLES).await;
    for (alias, keyspace, database) in [("zone1-100", "commerce", "COMMERCE"), ("zone1-200", "customer", "Customer")] {
        let tablet = &shardlift.json(&format!("tablet show {alias}")).await;
        let address = tablet["endpoint"]["address"].as_str().unwrap();
        shardlift.must(&format!("tablet remove {alias} --allow-primary")).await;
        shardlift
            .must(&format!(
                "tablet add {alias} --keyspace {keyspace} --shard 0 --type PRIMARY --mysql {address} \
                 --database {database} --credential engine --ssl-mode DISABLED"
            ))
            .await;
    }
    let engine = shardlift.engine("one").await;
    let moved = Move::start(&cluster, "a", "--wait running").await;
    cluster.source_db().exec("INSERT INTO a VALUES (3, 3); UPDATE a SET v = 9 WHERE id = 1").await;
    assert_eq!(moved.equal(&["a"]).await, [3]);
    engine.stop().await;
}
