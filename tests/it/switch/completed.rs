//! A completion that is tried again does not do to new tables what it has done to the old ones.

use mysql_async::prelude::Queryable;

use crate::harness::{TestCluster, until};
use crate::scenario::{Move, PATIENCE, WHICH};

#[tokio::test(flavor = "multi_thread")]
async fn a_table_made_since_under_the_old_name_stays() {
    let cluster = TestCluster::start().await;
    let (source, target) = (cluster.source_db(), cluster.target_db());
    source.exec("CREATE TABLE a (id INT PRIMARY KEY, v INT); INSERT INTO a VALUES (1, 1)").await;
    let shardlift = cluster.shardlift();
    let engine = shardlift.engine("one").await;
    let moved = Move::start(&cluster, "a", "--wait running").await;
    shardlift.must(&format!("movetables switch-traffic {WHICH}")).await;
    // The fence on the target cannot be taken away meanwhile.
    let mut holding = target.conn().await;
    holding.query_drop("BEGIN").await.unwrap();
    holding.query_drop("SELECT * FROM a").await.unwrap();
    let completing = tokio::spawn(async move {
        shardlift.must(&format!("movetables complete {WHICH} --drop-tables")).await;
    });
    let there = "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'commerce' AND TABLE_NAME = 'a'";
    until("the old table is dropped, and that is noted", PATIENCE, async || {
        let shown = moved.shardlift.json(&format!("workflow show {WHICH}")).await;
        let left = source.value(there).await;
        let noted = shown["workflow"]["retired"] == serde_json::json!(["0"]);
        if left == "0" && noted { Ok(()) } else { Err(format!("{left} tables: {shown}")) }
    })
    .await;
    engine.stop().await;
    source.exec("CREATE TABLE a (id INT PRIMARY KEY, v INT); INSERT INTO a VALUES (7, 7)").await;
    holding.query_drop("COMMIT").await.unwrap();
    let engine = moved.shardlift.engine("two").await;
    completing.await.unwrap();
    assert_eq!(source.value("SELECT MAX(id) FROM a").await, "7");
    engine.stop().await;
}
