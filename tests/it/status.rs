//! What an operator is told: lag, states, errors with their cause, refusals with their cure (P10).

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::harness::{Shardlift, TestCluster, until};
use crate::scenario::{Move, PATIENCE, WHICH};

const TABLES: &str = "
    CREATE TABLE a (id INT PRIMARY KEY, v INT NOT NULL, KEY v (v)); INSERT INTO a VALUES (1, 1), (2, 2);
    CREATE TABLE b (id INT PRIMARY KEY, v INT NOT NULL); INSERT INTO b VALUES (1, 1);
    CREATE TABLE c (id INT PRIMARY KEY)";

async fn seen(shardlift: &Shardlift) -> Value {
    shardlift.json(&format!("movetables status {WHICH}")).await
}

async fn lag(shardlift: &Shardlift) -> Duration {
    let seen = seen(shardlift).await;
    Duration::from_millis(seen["status"]["lag_ms"].as_u64().unwrap_or_else(|| panic!("no lag: {seen}")))
}

/// Looks at the lag for a while: it never falls, and keeps pace with the clock.
async fn lag_grows(shardlift: &Shardlift, why: &str) {
    let (began, mut last) = (Instant::now(), lag(shardlift).await);
    let first = last;
    while began.elapsed() < Duration::from_secs(5) {
        sleep(Duration::from_millis(400)).await;
        let now = lag(shardlift).await;
        assert!(now >= last, "{why}: the lag fell from {last:?} to {now:?}");
        last = now;
    }
    // A report may be two seconds old.
    let (grown, passed) = (last - first, began.elapsed());
    assert!(grown + Duration::from_secs(3) > passed, "{why}: in {passed:?} the lag grew by {grown:?} only");
}

async fn lag_falls(shardlift: &Shardlift, why: &str) {
    until(&format!("{why}: the lag falls"), PATIENCE, async || {
        let now = lag(shardlift).await;
        if now < Duration::from_secs(3) { Ok(()) } else { Err(format!("{now:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lag_grows_while_nothing_is_applied_and_falls_after() {
    let cluster = TestCluster::start().await;
    cluster.source_db().exec(TABLES).await;
    let shardlift = cluster.shardlift();
    let engine = shardlift.engine("one").await;
    let moved = Move::start(&cluster, "a", "--wait running").await;
    lag_falls(&shardlift, "running").await;

    cluster.source().pause().unwrap();
    lag_grows(&shardlift, "the source is frozen").await;
    let now = seen(&shardlift).await;
    assert!(now["message"].as_str().unwrap().contains("trying again: reading the source's binlog"), "{now}");
    cluster.source().resume().unwrap();
    lag_falls(&shardlift, "the source is thawed").await;

    cluster.source().kill9().await.unwrap();
    lag_grows(&shardlift, "the source is down").await;
    let now = seen(&shardlift).await;
    assert!(now["message"].as_str().unwrap().contains("source commerce/0 (zone1-0000000100)"), "{now}");
    cluster.source().restart().await.unwrap();
    lag_falls(&shardlift, "the source is back").await;

    shardlift.must(&format!("workflow pause {WHICH}")).await;
    lag_grows(&shardlift, "paused").await;
    shardlift.must(&format!("workflow resume {WHICH}")).await;
    lag_falls(&shardlift, "resumed").await;
    moved.equal(&["a"]).await;
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_end_in_state_error_with_their_cause_and_resume_cures() {
    let cluster = TestCluster::start().await;
    let (source, target) = (cluster.source_db(), cluster.target_db());
    source.exec(TABLES).await;
    let shardlift = cluster.shardlift();
    let engine = shardlift.engine("one").await;
    let moved = Move::start(&cluster, "a,b", "--wait running").await;

    // What waiting may cure is tried again, and again, but not for ever.
    target
        .exec(
            "CREATE TRIGGER no BEFORE INSERT ON a FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'not today'",
        )
        .await;
    source.exec("INSERT INTO a VALUES (3, 3)").await;
    until("it says that it tries again", PATIENCE, async || {
        let now = seen(&shardlift).await;
        let message = now["message"].as_str().unwrap_or_default();
        if message.contains("trying again") && message.contains("not today") { Ok(()) } else { Err(now) }
    })
    .await;
    let stopped = moved.state("Error").await;
    let message = stopped["message"].as_str().unwrap().to_owned();
    for part in ["target customer/0 (zone1-0000000200)", "not today", "tried 8 times"] {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
    // It stays there, whatever engine comes, until somebody sees to it.
    engine.stop().await;
    let engine = shardlift.engine("two").await;
    until("the second engine carries it", PATIENCE, async || {
        let now = seen(&shardlift).await;
        if now["status"]["engine"] == "two" && now["message"] == message.as_str() { Ok(()) } else { Err(now) }
    })
    .await;
    let refused = shardlift.refused(&format!("movetables status {WHICH} --watch")).await;
    assert!(refused.contains("not today"), "{refused}");
    target.exec("DROP TRIGGER no").await;
    shardlift.must(&format!("workflow resume {WHICH}")).await;
    moved.state("Running").await;
    assert_eq!(moved.equal(&["a", "b"]).await, [3, 1]);

    // What waiting cannot cure is not tried again.
    target.exec("ALTER TABLE b ADD CONSTRAINT small CHECK (v < 100)").await;
    source.exec("INSERT INTO b VALUES (2, 200)").await;
    let stopped = moved.state("Error").await;
    let message = stopped["message"].as_str().unwrap();
    assert!(message.contains("small") && !message.contains("tried"), "{message}");
    assert_eq!(target.value("SELECT COUNT(*) FROM b").await, "1");
    let logs = shardlift.json(&format!("workflow logs {WHICH}")).await;
    let logs = logs.as_array().unwrap();
    let counted = |line: &&Value| line["message"].as_str().unwrap().contains("not today") && line["count"] == 7;
    assert!(logs.iter().any(|line| counted(&line)), "{logs:?}");
    assert!(logs.last().unwrap()["message"].as_str().unwrap().starts_with("Error: "), "{logs:?}");
    target.exec("ALTER TABLE b DROP CONSTRAINT small").await;
    shardlift.must(&format!("workflow resume {WHICH}")).await;
    moved.state("Running").await;
    assert_eq!(moved.equal(&["a", "b"]).await, [3, 2]);
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn listings_show_what_there_is() {
    let cluster = TestCluster::start().await;
    cluster.source_db().exec(TABLES).await;
    let shardlift = cluster.shardlift();
    assert_eq!(shardlift.json("workflow list").await, Value::Array(Vec::new()));
    assert_eq!(shardlift.json("engine list").await, Value::Array(Vec::new()));
    let engine = shardlift.engine("one").await;
    let moved = Move::start(&cluster, "a,b", "--wait running").await;

    let engines = shardlift.must("engine list").await;
    assert!(engines.starts_with("ENGINE") && engines.contains("\none "), "{engines}");
    let list = shardlift.must("workflow list").await;
    let line: Vec<&str> = list.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(line[..5], ["customer/move", "MoveTables", "commerce", "2", "Running"], "{list}");
    let list = shardlift.json("workflow list customer").await;
    assert_eq!((&list[0]["engine"], &list[0]["tables"]), (&Value::from("one"), &Value::from(2)), "{list}");
    assert!(list[0]["lag_ms"].is_u64(), "{list}");
    assert_eq!(shardlift.json("workflow list commerce").await, Value::Array(Vec::new()));

    let status = shardlift.must(&format!("movetables status {WHICH}")).await;
    let lines: Vec<&str> = status.lines().collect();
    assert!(lines[0].starts_with("Running  |  ") && lines[0].contains("lag "), "{status}");
    assert_eq!(lines[1].split_whitespace().collect::<Vec<_>>(), ["TABLE", "STATE", "ROWS", "OF", "ABOUT", "BYTES"]);
    assert!(lines[2..].iter().any(|line| line.split_whitespace().take(3).eq(["a", "done", "2"])), "{status}");
    let shown = shardlift.json(&format!("workflow show {WHICH}")).await;
    assert_eq!(shown["workflow"]["spec"]["tables"], serde_json::json!(["a", "b"]), "{shown}");
    assert_eq!(shown["status"]["tables"]["b"]["rows"], 1, "{shown}");
    assert_eq!(shardlift.json(&format!("movetables show {WHICH}")).await["state"], "Running");
    assert!(shardlift.must(&format!("workflow logs {WHICH}")).await.starts_with("TIME"));

    engine.stop().await;
    // An engine that ends in order takes its name and its reports with it.
    assert_eq!(shardlift.json("engine list").await, Value::Array(Vec::new()));
    let list = shardlift.must("workflow list").await;
    assert!(list.contains("Unowned") && list.contains("shardlift engine run"), "{list}");
    let engine = shardlift.engine("two").await;
    moved.state("Running").await;
    engine.stop().await;
}
