//! The whole story with the topology in a real etcd, which dies too.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::harness::{Ledger, Load, Shardlift, TestCluster, Trace, until};
use crate::scenario::{Move, PATIENCE, WHICH};

/// An engine's lease is 3 s (P1); another one takes over within two more, and busy cores take their time.
const TAKE_OVER: Duration = Duration::from_secs(12);
const NAMES: &[&str] = &["ledger", "ledger_writer"];

async fn carried_by(shardlift: &Shardlift, engine: &str, deadline: Duration) -> String {
    until(&format!("{engine} carries the workflow"), deadline, async || {
        let seen = shardlift.run(&format!("movetables status {WHICH} --format json")).await;
        let status: serde_json::Value = serde_json::from_str(&seen.stdout).unwrap_or_default();
        match status["state"].as_str() {
            Some("Error") => panic!("{status}"),
            Some(state) if status["status"]["engine"] == engine => Ok(state.to_owned()),
            _ => Err(seen),
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_survives_its_engines_and_etcd() {
    let cluster = TestCluster::with(|spec| spec.etcd = true).await;
    let (source, target) = (cluster.source_db(), cluster.target_db());
    let ledger = Ledger::start(&source, Load { writers: 3, rows: 3_000, rate: Some(120) }).await;
    let before = Trace::take(&cluster).await;
    let shardlift = cluster.shardlift();
    let first = shardlift.engine("first").await;
    let slow = "--chunk-bytes 20000 --round-ms 200 --max-rows-per-second 1500";
    let moved = Move::start(&cluster, &NAMES.join(","), slow).await;
    carried_by(&shardlift, "first", PATIENCE).await;
    moved.state("Copying").await;
    let second = shardlift.engine("second").await;
    first.kill9().await;
    let died = Instant::now();
    carried_by(&shardlift, "second", TAKE_OVER).await;
    println!("taken over after {:?}", died.elapsed());
    shardlift.must(&format!("workflow update {WHICH} --max-rows-per-second none")).await;
    moved.state("Running").await;
    ledger.wait_for(50, PATIENCE).await;

    // Away for less than a lease: nobody need notice.
    let etcd = cluster.etcd();
    etcd.kill9().await.unwrap();
    etcd.restart().await.unwrap();
    moved.state("Running").await;
    ledger.wait_for(50, PATIENCE).await;

    // Away for longer than a lease: the engine lets go, and begins again by itself. Writers never noticed.
    for frozen in [false, true] {
        if frozen {
            etcd.pause().unwrap()
        } else {
            etcd.kill9().await.unwrap()
        }
        sleep(Duration::from_secs(5)).await;
        ledger.wait_for(50, PATIENCE).await;
        if frozen {
            etcd.resume().unwrap()
        } else {
            etcd.restart().await.unwrap()
        }
        let back = Instant::now();
        carried_by(&shardlift, "second", TAKE_OVER).await;
        moved.state("Running").await;
        println!("etcd {}: carried again after {:?}", if frozen { "thawed" } else { "restarted" }, back.elapsed());
        ledger.wait_for(50, PATIENCE).await;
    }
    let record = ledger.stop().await;
    assert_eq!(record.reconnects, 0, "applications felt it");
    moved.equal(NAMES).await;
    record.must_hold(&target).await;

    moved.cancel().await;
    second.stop().await;
    assert_eq!(Trace::take(&cluster).await.since(&before), [""; 0]);
}
