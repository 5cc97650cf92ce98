//! The ways a workflow is started, and the ways it is not.

use std::time::Duration;

use tokio::time::Instant;

use crate::harness::{TestCluster, Trace, until};
use crate::scenario::{Move, PATIENCE, WHICH};

const TABLES: &str = "
    CREATE TABLE a (id INT PRIMARY KEY, v INT, KEY v (v)); INSERT INTO a VALUES (1, 1), (2, 2);
    CREATE TABLE b (id INT PRIMARY KEY); INSERT INTO b VALUES (1);
    CREATE TABLE c (id INT PRIMARY KEY); INSERT INTO c VALUES (1), (2), (3)";
/// Vitess's example shop.
const SHOP: &str = "
    CREATE TABLE product (sku VARBINARY(128) PRIMARY KEY, description VARBINARY(128), price BIGINT);
    CREATE TABLE customer (customer_id BIGINT AUTO_INCREMENT PRIMARY KEY, email VARBINARY(128), UNIQUE KEY (email));
    CREATE TABLE corder (order_id BIGINT AUTO_INCREMENT PRIMARY KEY, customer_id BIGINT, sku VARBINARY(128), price BIGINT,
                         KEY (customer_id), KEY (sku, price));
    INSERT INTO product VALUES ('SKU-1001', 'Monitor', 100), ('SKU-1002', 'Keyboard', 30);
    INSERT INTO customer (email) VALUES ('alice@domain.com'), ('bob@domain.com'), ('charlie@domain.com');
    INSERT INTO corder (customer_id, sku, price) VALUES (1, 'SKU-1001', 100), (2, 'SKU-1002', 30), (3, 'SKU-1002', 30)";
/// How soon one is told that no engine listens.
const TOLD: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread")]
async fn without_an_engine_one_is_told_what_to_run() {
    let cluster = TestCluster::start().await;
    cluster.source_db().exec(TABLES).await;
    let shardlift = cluster.shardlift();
    let start = format!("movetables start {WHICH} --source-keyspace commerce --tables a --wait running");
    let verbs = [start, format!("workflow pause {WHICH}"), format!("workflow resume {WHICH}")];
    for line in &verbs {
        let began = Instant::now();
        let ran = shardlift.run(line).await;
        assert_eq!(ran.code, Some(3), "`{line}`: {ran}");
        assert!(ran.stdout.contains("run `shardlift engine run`"), "`{line}`: {ran}");
        // Preflight comes first, and takes its time with two busy cores.
        let spare = if line.contains("start") { Duration::from_secs(6) } else { Duration::ZERO };
        assert!(began.elapsed() < TOLD + spare, "`{line}` took {:?}", began.elapsed());
    }
    // Wishes are obeyed once there is one.
    let engine = shardlift.engine("one").await;
    shardlift.wait_state("customer", "move", "Running", PATIENCE).await;
    engine.stop().await;
    let ran = shardlift.run(&format!("movetables cancel {WHICH}")).await;
    assert_eq!(ran.code, Some(3), "{ran}");
    assert!(shardlift.refused(&format!("workflow pause {WHICH}")).await.contains("being cancelled"));
    let engine = shardlift.engine("two").await;
    until("it is undone", PATIENCE, async || {
        let left = shardlift.must("workflow list --format json").await;
        if left.trim() == "[]" { Ok(()) } else { Err(left) }
    })
    .await;
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_refused_by_name() {
    let cluster = TestCluster::start().await;
    cluster.source_db().exec(TABLES).await;
    let shardlift = cluster.shardlift();
    let engine = shardlift.engine("one").await;
    Move::start(&cluster, "a", "--wait running").await;
    let before = Trace::take(&cluster).await;
    let which = "--workflow nosuch --target-keyspace customer";
    let verbs = ["status", "show", "pause", "resume", "cancel"].map(|verb| format!("movetables {verb} {which}"));
    let more = ["show", "logs", "update --max-connections 1"].map(|verb| format!("workflow {verb} {which}"));
    for line in verbs.iter().chain(&more) {
        let refused = shardlift.refused(line).await;
        assert!(refused.contains("workflow nosuch does not exist"), "`{line}`: {refused}");
    }
    let start = "movetables start --source-keyspace commerce --target-keyspace";
    for (flags, words) in [
        ("customer --workflow move --tables b", vec!["customer/move exists already", "workflow resume"]),
        ("customer --workflow other --tables a,b", vec!["a", "customer/move"]),
        ("customer --workflow other --all-tables", vec!["a", "customer/move"]),
        ("customer --workflow other --tables nosuch", vec!["nosuch"]),
        ("customer --workflow other", vec!["--tables", "--all-tables"]),
        ("customer --workflow other --all-tables --exclude-tables nosuch", vec!["nosuch"]),
        ("customer --tables b", vec!["--workflow"]),
        ("commerce --workflow other --tables b", vec!["same keyspace"]),
        ("nosuch --workflow other --tables b", vec!["nosuch", "does not exist"]),
        ("customer --workflow other --tables b --workers 99", vec!["--workers 99"]),
        ("customer --workflow other --tables b --chunk-bytes 1", vec!["--chunk-bytes"]),
        ("customer -f workflows/nosuch.yaml", vec!["workflows/nosuch.yaml"]),
    ] {
        let refused = shardlift.refused(&format!("{start} {flags}")).await;
        for word in words {
            assert!(refused.contains(word), "`{flags}`: {word:?} is not in: {refused}");
        }
    }
    for usage in ["customer --tables b --wait tomorrow", "customer --tables b --on-ddl MAYBE", "bad/name --tables b"] {
        let ran = shardlift.run(&format!("{start} {usage} --workflow other")).await;
        assert_eq!(ran.code, Some(2), "`{usage}`: {ran}");
    }
    assert_eq!(Trace::take(&cluster).await.since(&before), [""; 0]);
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_can_be_all_that_is_wanted_and_a_start_can_wait() {
    let cluster = TestCluster::start().await;
    let (source, target) = (cluster.source_db(), cluster.target_db());
    source.exec(TABLES).await;
    let shardlift = cluster.shardlift();
    let engine = shardlift.engine("one").await;
    let moved = Move::start(&cluster, "a,b", "--stop-after-copy --wait copied").await;
    let seen = moved.state("Stopped").await;
    assert!(seen["message"].as_str().unwrap().contains("copy is complete"), "{seen}");
    // The keys are there, and nothing that happens now is.
    assert!(target.rows("SHOW CREATE TABLE a").await[0][1].as_ref().unwrap().contains("KEY `v`"));
    source.exec("INSERT INTO a VALUES (3, 3)").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(target.value("SELECT COUNT(*) FROM a").await, "2");
    shardlift.must(&format!("movetables resume {WHICH}")).await;
    moved.state("Running").await;
    assert_eq!(moved.equal(&["a", "b"]).await, [3, 1]);
    moved.cancel().await;

    let moved = Move::start(&cluster, "a", "--stop-after-copy --wait running").await;
    moved.state("Stopped").await;
    moved.cancel().await;

    let moved = Move::start(&cluster, "a,b,c", "--auto-start=false").await;
    moved.state("Stopped").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(target.rows("SHOW TABLES").await, Vec::<Vec<Option<String>>>::new(), "it has begun by itself");
    shardlift.must(&format!("movetables resume {WHICH}")).await;
    moved.state("Running").await;
    assert_eq!(moved.equal(&["a", "b", "c"]).await, [3, 1, 3]);
    moved.cancel().await;

    let line = format!("movetables start {WHICH} --source-keyspace commerce --all-tables --exclude-tables b");
    shardlift.must(&format!("{line} --wait running")).await;
    assert_eq!(moved.equal(&["a", "c"]).await, [3, 3]);
    assert_eq!(target.rows("SHOW TABLES LIKE 'b'").await, Vec::<Vec<Option<String>>>::new());
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_is_carried_in_the_foreground_until_ctrl_c() {
    let cluster = TestCluster::start().await;
    let source = cluster.source_db();
    source.exec(TABLES).await;
    let shardlift = cluster.shardlift();
    let line = format!("movetables start {WHICH} --source-keyspace commerce --tables a,b --foreground");
    let carried = shardlift.start("foreground", &line);
    let moved = Move { cluster: &cluster, shardlift: shardlift.clone() };
    moved.state("Running").await;
    assert_eq!(moved.equal(&["a", "b"]).await, [2, 1]);
    let status = carried.interrupt().await;
    assert_eq!(status.code(), Some(3), "Ctrl-C leaves it to others: {status}");
    // It left in order: nobody waits for its lease, and the next one goes on where it was.
    assert_eq!(shardlift.json("engine list").await.as_array().unwrap().len(), 0);
    source.exec("INSERT INTO b VALUES (2)").await;
    let engine = shardlift.engine("one").await;
    assert_eq!(moved.equal(&["a", "b"]).await, [2, 2]);
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shop_moves_by_its_file() {
    let cluster = TestCluster::start().await;
    let (source, target) = (cluster.source_db(), cluster.target_db());
    source.exec(SHOP).await;
    let shardlift = cluster.shardlift();
    let engine = shardlift.engine("one").await;
    shardlift.must("movetables start -f workflows/commerce2customer.yaml --wait running").await;
    let moved = Move { cluster: &cluster, shardlift: shardlift.clone() };
    source.exec("INSERT INTO corder (customer_id, sku, price) VALUES (1, 'SKU-1002', 30)").await;
    assert_eq!(moved.equal(&["customer", "corder"]).await, [3, 4]);
    assert_eq!(target.rows("SHOW TABLES LIKE 'product'").await, Vec::<Vec<Option<String>>>::new());
    let which = "--workflow commerce2customer --target-keyspace customer";
    let shown = shardlift.json(&format!("movetables show {which}")).await;
    let throttle = &shown["workflow"]["throttle"];
    assert_eq!((&throttle["rows_per_second"], &throttle["replica_lag_ms"]), (&50_000.into(), &10_000.into()));
    shardlift.must(&format!("movetables cancel {which}")).await;
    // Flags win over the file.
    let flags = "--workflow products --tables product --on-ddl IGNORE --max-rows-per-second 7000 --wait running";
    shardlift.must(&format!("movetables start {flags} -f workflows/commerce2customer.yaml")).await;
    let shown = shardlift.json("movetables show --workflow products --target-keyspace customer").await;
    let workflow = &shown["workflow"];
    assert_eq!(workflow["spec"]["tables"], serde_json::json!(["product"]));
    assert_eq!(workflow["spec"]["options"]["on_ddl"], "IGNORE");
    assert_eq!(workflow["throttle"]["rows_per_second"], 7_000);
    assert_eq!(moved.equal(&["product"]).await, [2]);
    engine.stop().await;
}
