//! What cannot be resharded is refused, everything at once, and nothing is changed.

use super::stage::Stage;
use crate::harness::Trace;

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_named_at_once() {
    let mut stage = Stage::start(&["-80"]).await;
    let start = "reshard start --target-keyspace customer --workflow w";
    let shardlift = stage.shardlift.clone();
    let refused = async |flags: &str| shardlift.refused(&format!("{start} {flags}")).await;
    // Shards.
    let why = refused("--source-shards 0 --target-shards -80").await;
    assert!(why.contains("rows would be lost or missing"), "{why}");
    let why = refused("--source-shards 0 --target-shards -80,80-").await;
    assert!(why.contains("customer/80-") && why.contains("not declared"), "{why}");
    shardlift.must("shard add customer/80-").await;
    let why = refused("--source-shards 0 --target-shards -80,80-").await;
    assert!(why.contains("no primary tablet"), "{why}");
    shardlift.must("shard remove customer/80-").await;
    stage.add_shard("80-", 1).await;
    let why = refused("--source-shards -80,80- --target-shards 0").await;
    assert!(why.contains("does not serve") && why.contains("it serves PRIMARY"), "{why}");

    // Tables: one that the VSchema does not name, one that is in the way on one of the targets, one without a key.
    let before = Trace::take(&stage.cluster).await;
    stage.db("0").exec("CREATE TABLE stray (id INT PRIMARY KEY); CREATE TABLE keyless (id INT)").await;
    stage.db("80-").exec("CREATE TABLE country (code CHAR(2) PRIMARY KEY, name VARCHAR(40))").await;
    let why = refused("--source-shards 0 --target-shards -80,80-").await;
    for told in ["stray in keyspace customer", "primary vindex", "keyless", "country on target customer/-80"] {
        assert!(why.contains(told), "{told}: {why}");
    }
    stage.db("0").exec("DROP TABLE stray, keyless").await;
    stage.db("80-").exec("DROP TABLE country").await;
    let why = refused("--source-shards 0 --target-shards -80,80- --skip-schema-copy").await;
    assert!(why.contains("--skip-schema-copy"), "{why}");
    assert_eq!(Trace::take(&stage.cluster).await.since(&before), [""; 0]);

    // A keyspace that is not sharded, and one that is being resharded.
    stage.reshard("first", "0", "-80,80-", "").await;
    stage.state("first", "Running").await;
    let why = shardlift.refused(&format!("{start} --source-shards 0 --target-shards -80,80-")).await;
    assert!(why.contains("customer/first"), "{why}");
    let why = shardlift.refused("shard remove customer/-80").await;
    assert!(why.contains("workflows"), "{why}");
    // A table that has come since would be left behind.
    stage.db("0").exec("CREATE TABLE late (id INT PRIMARY KEY)").await;
    let why = shardlift.refused("reshard switch-traffic --target-keyspace customer --workflow first").await;
    assert!(why.contains("late"), "{why}");
    stage.db("0").exec("DROP TABLE late").await;
    stage.must("cancel", "first").await;
    stage.stop().await;
}
