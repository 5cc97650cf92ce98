//! Tables that somebody has made on the new shards before: they are used as they are, and stay.

use super::stage::Stage;
use crate::harness::until;
use crate::scenario::PATIENCE;

const NEW: [&str; 2] = ["-80", "80-"];

/// `--skip-schema-copy` fills tables that are there, with keys of their own; a pause holds changes back and a resume brings
/// them; a cancel empties the tables and leaves them.
#[tokio::test(flavor = "multi_thread")]
async fn tables_that_were_there_are_filled_and_emptied() {
    let stage = Stage::start(&NEW).await;
    let zero = stage.db("0");
    for shard in NEW {
        for table in ["customer", "corder", "country"] {
            let create = zero.rows(&format!("SHOW CREATE TABLE {table}")).await.remove(0).remove(1).unwrap();
            stage.db(shard).exec(&create).await;
        }
        stage.db(shard).exec("ALTER TABLE corder ADD KEY of_theirs (sku, price)").await;
    }
    let theirs = async |shard: &str| {
        let ask = "SELECT COUNT(*) FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE() AND INDEX_NAME = 'of_theirs'";
        assert_eq!(stage.db(shard).value(ask).await, "2", "{shard}");
    };
    stage.reshard("split", "0", "-80,80-", "--skip-schema-copy").await;
    stage.state("split", "Running").await;
    stage.equal(&["0"], &NEW).await;

    stage.must("pause", "split").await;
    stage.state("split", "Stopped").await;
    let order = "SELECT COUNT(*) FROM corder WHERE order_id = 77";
    zero.exec("INSERT INTO corder VALUES (77, 8, 'while it rests', 1)").await;
    let position = "SELECT GROUP_CONCAT(position ORDER BY id) FROM _shardlift.stream";
    let rested = stage.db("-80").value(position).await;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert_eq!((stage.db("-80").value(position).await, stage.db("-80").value(order).await), (rested, "0".into()));
    stage.must("resume", "split").await;
    until("the row comes after the pause", PATIENCE, async || match stage.db("-80").value(order).await {
        count if count == "1" => Ok(()),
        count => Err(count),
    })
    .await;

    stage.must("switch-traffic", "split").await;
    stage.must("reverse-traffic", "split").await;
    stage.must("cancel", "split").await;
    for shard in NEW {
        theirs(shard).await;
        for table in ["customer", "corder", "country"] {
            let left = stage.db(shard).value(&format!("SELECT COUNT(*) FROM {table}")).await;
            assert_eq!(left, "0", "{table} on {shard}");
        }
    }
    assert_eq!(zero.value(order).await, "1");

    // And once more into the same, for good.
    stage.reshard("again", "0", "-80,80-", "--skip-schema-copy").await;
    stage.state("again", "Running").await;
    stage.must("switch-traffic", "again").await;
    let held = stage.equal(&["0"], &NEW).await;
    stage.must("complete", "again").await;
    for shard in NEW {
        theirs(shard).await;
    }
    println!("{} rows into tables that were there, twice", held.rows.len());
    stage.stop().await;
}
