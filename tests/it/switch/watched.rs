//! Nobody goes round the fence of a closed side unseen (protocol-review A13), and a primary that comes there after the switch
//! is closed before anything else (A6).

use std::fs;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use serde_json::Value;

use super::{FENCED, TABLES, is_fenced, settled, small_tables};
use crate::harness::{Db, TestCluster, compare_tables, until};
use crate::scenario::{Move, PATIENCE, WHICH};

/// What a closed side's watch has found so far: the cause, and the transactions.
async fn broken(cluster: &TestCluster) -> Option<(String, String)> {
    let shown = cluster.shardlift().json(&format!("workflow show {WHICH}")).await;
    let broken = &shown["workflow"]["closed"]["broken"];
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (!broken.is_null()).then(|| (text(&broken["why"]), text(&broken["strangers"])))
}

async fn until_broken(cluster: &TestCluster, words: &[&str]) -> (String, String) {
    until("the way back is marked as broken", PATIENCE, async || match broken(cluster).await {
        Some(found) if words.iter().all(|word| found.0.contains(word) || found.1.contains(word)) => Ok(found),
        other => Err(format!("{other:?}")),
    })
    .await
}

/// A transaction of somebody who has the token: the triggers let it pass.
async fn go_round(cluster: &TestCluster, db: &Db, sql: &str) -> String {
    let shown = cluster.shardlift().json(&format!("workflow show {WHICH}")).await;
    let token = shown["workflow"]["uid"].as_str().unwrap().to_owned();
    let before = db.value("SELECT @@global.gtid_executed").await;
    db.exec(&format!("SET @shardlift_stream = '{token}'; {sql}")).await;
    db.value(&format!("SELECT GTID_SUBTRACT(@@global.gtid_executed, '{before}')")).await
}

/// After the commit: what the streams do themselves is nothing, whatever way they do it; what anybody else does is found,
/// also by an engine that comes later.
#[tokio::test(flavor = "multi_thread")]
async fn what_strangers_do_breaks_the_way_back() {
    let cluster = TestCluster::start().await;
    let shardlift = cluster.shardlift();
    let (source, target) = (cluster.source_db(), cluster.target_db());
    small_tables(&source).await;
    source.exec("CREATE TABLE other (id INT PRIMARY KEY)").await;
    let engine = shardlift.engine("one").await;
    let moved = Move::start(&cluster, TABLES, "--on-ddl EXEC").await;
    moved.state("Running").await;
    shardlift.must(&format!("movetables switch-traffic {WHICH}")).await;
    target.exec("INSERT INTO ledger VALUES (3, 3); ALTER TABLE ledger ADD COLUMN note INT").await;
    until("the closed side has the column, too", PATIENCE, async || {
        let columns = "SELECT COUNT(*) FROM information_schema.columns WHERE table_name = 'ledger'";
        let found = source.value(columns).await;
        if found == "3" { Ok(()) } else { Err(found) }
    })
    .await;
    settled(&cluster).await;
    engine.stop().await;
    // A backlog that is applied on several connections at a time.
    target.exec("SET SESSION cte_max_recursion_depth = 10000; INSERT INTO ledger_writer WITH RECURSIVE n (id) AS (SELECT 1000 UNION ALL SELECT id + 1 FROM n WHERE id < 6000) SELECT id FROM n").await;
    let engine = shardlift.engine("two").await;
    settled(&cluster).await;
    assert_ne!(source.value("SELECT COUNT(*) FROM _shardlift.lane").await, "0", "it was applied on one connection");
    source.exec("INSERT INTO other VALUES (1); ALTER TABLE other ADD COLUMN v INT").await;
    target.exec("INSERT INTO ledger VALUES (4, 4, 4)").await;
    settled(&cluster).await;
    assert_eq!(broken(&cluster).await, None);
    engine.kill9().await;

    let gtid = go_round(&cluster, &source, "INSERT INTO commerce.ledger (id, v) VALUES (77, 7)").await;
    let engine = shardlift.engine("three").await;
    let (why, _) = until_broken(&cluster, &[&gtid]).await;
    assert!(why.contains(&gtid) && why.contains("table ledger") && why.contains("commerce/0"), "{why}");
    let shown = shardlift.json(&format!("workflow show {WHICH}")).await;
    assert!(shown["message"].as_str().unwrap().contains(&gtid), "{shown}");
    let refused = shardlift.refused(&format!("movetables reverse-traffic {WHICH}")).await;
    for word in [gtid.as_str(), "movetables complete", "workflow repair"] {
        assert!(refused.contains(word), "{refused}");
    }
    // A second one is added, be it DDL, which no trigger meets.
    source.exec("TRUNCATE TABLE ledger").await;

    until("the TRUNCATE is found", PATIENCE, async || match broken(&cluster).await {
        Some((_, strangers)) if strangers != gtid => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    shardlift.must(&format!("movetables complete {WHICH} --keep-data")).await;
    engine.stop().await;
}

/// Before the commit it undoes the switch; and what cannot be read any more afterwards may have been anything.
#[tokio::test(flavor = "multi_thread")]
async fn what_strangers_do_undoes_a_switch_that_is_not_committed() {
    let cluster = TestCluster::start().await;
    let (source, target) = (cluster.source_db(), cluster.target_db());
    small_tables(&source).await;
    let held = cluster.folder().join("held");
    let points = format!("before-commit=hold:{}", held.display());
    let shardlift = cluster.shardlift();
    let engine = shardlift.with("SHARDLIFT_FAILPOINTS", &points).engine("one").await;
    let moved = Move::start(&cluster, TABLES, "").await;
    moved.state("Running").await;
    let asked = shardlift.start("ask", &format!("movetables switch-traffic {WHICH}"));
    until("the switch is about to be committed", PATIENCE, async || held.exists().then_some(()).ok_or("not yet")).await;
    let gtid = go_round(&cluster, &source, "UPDATE commerce.ledger SET v = 77 WHERE id = 1").await;
    // Within the pause, and long enough for a look.
    tokio::time::sleep(Duration::from_millis(500)).await;
    fs::remove_file(&held).unwrap();
    let said = asked.said();
    assert!(!asked.ended().await.success());
    let shown = shardlift.json(&format!("workflow show {WHICH}")).await;
    let why = shown["workflow"]["switch"]["why"].as_str().unwrap();
    assert!(why.contains(&gtid) && why.contains("table ledger"), "{why}\n{said}");
    assert!(!is_fenced(&source).await);
    settled(&cluster).await;
    assert_eq!(target.value("SELECT v FROM ledger WHERE id = 1").await, "77");

    shardlift.must(&format!("movetables switch-traffic {WHICH}")).await;
    engine.kill9().await;
    go_round(&cluster, &source, "DELETE FROM commerce.ledger WHERE id = 2").await;
    source.exec("FLUSH BINARY LOGS").await;
    let last = source.rows("SHOW BINARY LOGS").await.last().unwrap()[0].clone().unwrap();
    source.exec(&format!("PURGE BINARY LOGS TO '{last}'")).await;
    let engine = shardlift.engine("two").await;
    until_broken(&cluster, &["cannot be known"]).await;
    engine.stop().await;
}

/// A replica that was not given the fence becomes the primary of the closed side.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_primary_of_the_closed_side_is_closed() {
    let cluster = TestCluster::with(|spec| spec.replicas = 2).await;
    let source = cluster.source_db();
    small_tables(&source).await;
    let held = cluster.folder().join("held");
    let points = format!("before-pause=hold:{}", held.display());
    let shardlift = cluster.shardlift();
    let engine = shardlift.with("SHARDLIFT_FAILPOINTS", &points).engine("one").await;
    let moved = Move::start(&cluster, TABLES, "").await;
    moved.state("Running").await;
    let tablets = cluster.tablets("commerce", "0");
    let [_, (sound, sound_server), (late, late_server)] = &tablets[..] else { panic!("{} tablets", tablets.len()) };
    let (sound_db, late_db) = (cluster.db(sound_server, "commerce"), cluster.db(late_server, "commerce"));
    let asked = shardlift.start("ask", &format!("movetables switch-traffic {WHICH}"));
    until("the switch is about to begin its pause", PATIENCE, async || held.exists().then_some(()).ok_or("not yet"))
        .await;
    late_db.exec("STOP REPLICA").await;
    fs::remove_file(&held).unwrap();
    assert!(asked.ended().await.success());

    // One that was: nothing is broken, and traffic goes back to it.
    let set = source.value("SELECT @@global.gtid_executed").await;
    assert_eq!(sound_db.value(&format!("SELECT WAIT_FOR_EXECUTED_GTID_SET('{set}', 60)")).await, "0");
    sound_server.promote().await.unwrap();
    shardlift.must(&format!("shard set-primary commerce/0 {sound}")).await;
    cluster.target_db().exec("INSERT INTO ledger VALUES (5, 5)").await;
    until("the new primary is streamed to", PATIENCE, async || {
        let found = compare_tables(&sound_db, &cluster.target_db(), "ledger").await;
        if found.differing == 0 { Ok(()) } else { Err(found.to_string()) }
    })
    .await;
    assert!(is_fenced(&sound_db).await);
    assert_eq!(broken(&cluster).await, None);

    // One that was not.
    late_server.promote().await.unwrap();
    assert!(!is_fenced(&late_db).await);
    shardlift.must(&format!("shard set-primary commerce/0 {late}")).await;
    until("the new primary is closed", Duration::from_secs(15), async || {
        let mut conn = late_db.conn().await;
        conn.query_drop("BEGIN").await.unwrap();
        let answer = conn.query_drop("INSERT INTO ledger_writer VALUES (99)").await;
        conn.query_drop("ROLLBACK").await.unwrap();
        match answer {
            Err(mysql_async::Error::Server(error)) if error.code == FENCED => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    until_broken(&cluster, &["lacks", late]).await;
    let refused = shardlift.refused(&format!("movetables reverse-traffic {WHICH}")).await;
    assert!(refused.contains("lacks"), "{refused}");
    assert!(!is_fenced(&cluster.target_db()).await);
    engine.stop().await;
}
