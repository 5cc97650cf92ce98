//! Splits, cuts and merges with writers on all the time.

use super::stage::Stage;
use super::writers::Writers;
use crate::harness::Trace;

const ALL: &str = "PRIMARY,REPLICA,RDONLY";

/// 0 → -80,80-: there, back, there again for good; then two shards become four.
#[tokio::test(flavor = "multi_thread")]
async fn a_shard_splits_and_splits_again() {
    let mut stage = Stage::start(&["-80", "80-"]).await;
    let (old, new): (&[&str], &[&str]) = (&["0"], &["-80", "80-"]);
    let writers = Writers::start(&stage, &[old, new], 4);
    stage.reshard("split", "0", "-80,80-", "--chunk-bytes 5000 --round-ms 300").await;
    stage.state("split", "Running").await;
    writers.wait_for(100).await;

    let steps = stage.must("switch-traffic --dry-run", "split").await;
    assert!(steps.contains("customer/0") && steps.contains("customer/-80,80-"), "{steps}");
    // Reads go first, by type.
    let said = stage.must("switch-traffic --tablet-types REPLICA,RDONLY", "split").await;
    println!("{said}");
    let serving = stage.serving().await;
    assert_eq!(
        (serving["0"].as_str(), serving["-80"].as_str(), serving["80-"].as_str()),
        ("PRIMARY", "REPLICA,RDONLY", "REPLICA,RDONLY")
    );
    println!("{}", stage.must("switch-traffic", "split").await);
    let serving = stage.serving().await;
    assert_eq!((serving["0"].as_str(), serving["-80"].as_str(), serving["80-"].as_str()), ("", ALL, ALL));
    writers.wait_for(100).await;
    let refused = stage.db("0").try_exec("INSERT INTO corder VALUES (1, 1, 'x', 1)").await.unwrap_err();
    assert!(refused.to_string().contains("customer/-80,80-"), "{refused}");
    let refused = stage.shardlift.refused("reshard cancel --target-keyspace customer --workflow split").await;
    assert!(refused.contains("reshard reverse-traffic"), "{refused}");

    // Back: two streams flow into the one shard.
    println!("{}", stage.must("reverse-traffic", "split").await);
    let serving = stage.serving().await;
    assert_eq!((serving["0"].as_str(), serving["-80"].as_str(), serving["80-"].as_str()), (ALL, "", ""));
    writers.wait_for(100).await;
    // And there again, for good.
    println!("{}", stage.must("switch-traffic", "split").await);
    writers.wait_for(100).await;
    let done = writers.verify(&stage, new).await;
    let held = stage.equal(old, new).await;
    println!("0 → -80,80-, back, again: {done} acknowledged writes, {} rows, each in its place", held.rows.len());
    stage.must("complete", "split").await;
    assert_eq!(stage.db("0").rows("SHOW TABLES").await.len(), 3, "renamed");
    assert_eq!(stage.db("0").value("SELECT COUNT(*) FROM _corder_old").await, (held.rows.len() - 400).to_string());
    let gone =
        stage.db("-80").value("SELECT COUNT(*) FROM information_schema.triggers WHERE trigger_name LIKE 'shardlift%'");
    assert_eq!(gone.await, "0");

    // Two become four, one of the new ones on a server that it shares.
    for (name, server) in [("-40", 0), ("40-80", 0), ("80-c0", 1), ("c0-", 2)] {
        stage.add_shard(name, server).await;
    }
    let (two, four): (&[&str], &[&str]) = (new, &["-40", "40-80", "80-c0", "c0-"]);
    // What is left of the writers before is theirs no more.
    for shard in two {
        stage.db(shard).exec("DELETE FROM corder WHERE order_id >= 1000000").await;
    }
    let writers = Writers::start(&stage, &[two, four], 4);
    stage.reshard("four", "-80,80-", "-40,40-80,80-c0,c0-", "--chunk-bytes 5000 --round-ms 300").await;
    stage.state("four", "Running").await;
    let shown = stage.must("show", "four").await;
    assert!(shown.contains(r#""source_shard": "-80""#) && shown.contains(r#""source_shard": "80-""#), "{shown}");
    println!("{}", stage.must("switch-traffic", "four").await);
    writers.wait_for(100).await;
    let done = writers.verify(&stage, four).await;
    let held = stage.equal(two, four).await;
    println!("-80,80- → four: {done} acknowledged writes, {} rows", held.rows.len());
    stage.must("complete --drop-tables", "four").await;
    stage.shardlift.must("tablet list").await;
    stage.stop().await;
}

/// What is undone leaves no trace: before anything was switched, after reads were, and after there and back.
#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_split_leaves_no_trace() {
    let stage = Stage::start(&["-80", "80-"]).await;
    let before = Trace::take(&stage.cluster).await;
    for switches in [&[][..], &["switch-traffic --tablet-types REPLICA,RDONLY"], &["switch-traffic", "reverse-traffic"]]
    {
        stage.reshard("undone", "0", "-80,80-", "").await;
        stage.state("undone", "Running").await;
        for switch in switches {
            stage.must(switch, "undone").await;
        }
        stage.must("cancel", "undone").await;
        let left = Trace::take(&stage.cluster).await.since(&before);
        let left: Vec<_> =
            left.iter().filter(|what| !what.contains("customer/shards") && !what.contains("engines/")).collect();
        assert!(left.is_empty(), "{switches:?}: {left:#?}");
        let serving = stage.serving().await;
        assert_eq!((serving["0"].as_str(), serving["-80"].as_str()), (ALL, ""), "{switches:?}");
    }
    stage.stop().await;
}

/// Four shards become two, and two are cut into three and those into two, while applications move rows between shards: what
/// one stream has deleted another has written by then, or will.
#[tokio::test(flavor = "multi_thread")]
async fn shards_merge_and_are_cut_anew() {
    let mut stage = Stage::start(&["-80", "80-"]).await;
    for (name, server) in [("-40", 1), ("40-80", 1), ("80-c0", 2), ("c0-", 2)] {
        stage.add_shard(name, server).await;
    }
    let (four, two): (&[&str], &[&str]) = (&["-40", "40-80", "80-c0", "c0-"], &["-80", "80-"]);
    stage.reshard("four", "0", "-40,40-80,80-c0,c0-", "").await;
    stage.state("four", "Running").await;
    stage.must("switch-traffic --enable-reverse-replication=false", "four").await;
    stage.must("complete --drop-tables", "four").await;

    let writers = Writers::start(&stage, &[four, two], 4);
    stage.reshard("merge", "-40,40-80,80-c0,c0-", "-80,80-", "--chunk-bytes 5000 --round-ms 300").await;
    stage.state("merge", "Running").await;
    writers.wait_for(150).await;
    println!("{}", stage.must("switch-traffic", "merge").await);
    writers.wait_for(100).await;
    println!("{}", stage.must("reverse-traffic", "merge").await);
    writers.wait_for(100).await;
    println!("{}", stage.must("switch-traffic", "merge").await);
    writers.wait_for(50).await;
    let done = writers.verify(&stage, two).await;
    let held = stage.equal(four, two).await;
    println!("four → -80,80-, back, again: {done} acknowledged writes, {} rows", held.rows.len());
    stage.must("complete --drop-tables", "merge").await;

    for (name, server) in [("-55", 0), ("55-aa", 1), ("aa-", 2)] {
        stage.add_shard(name, server).await;
    }
    let three: &[&str] = &["-55", "55-aa", "aa-"];
    for shard in two {
        stage.db(shard).exec("DELETE FROM corder WHERE order_id >= 1000000").await;
    }
    stage.reshard("three", "-80,80-", "-55,55-aa,aa-", "").await;
    stage.state("three", "Running").await;
    stage.must("switch-traffic --enable-reverse-replication=false", "three").await;
    stage.must("complete --drop-tables", "three").await;
    let writers = Writers::start(&stage, &[three, two], 4);
    stage.reshard("cut", "-55,55-aa,aa-", "-80,80-", "--chunk-bytes 5000 --round-ms 300").await;
    stage.state("cut", "Running").await;
    writers.wait_for(100).await;
    println!("{}", stage.must("switch-traffic", "cut").await);
    writers.wait_for(100).await;
    println!("{}", stage.must("reverse-traffic", "cut").await);
    writers.wait_for(100).await;
    let done = writers.verify(&stage, three).await;
    let held = stage.equal(three, two).await;
    println!("three → -80,80-, back: {done} acknowledged writes, {} rows", held.rows.len());
    stage.must("cancel", "cut").await;
    stage.stop().await;
}
