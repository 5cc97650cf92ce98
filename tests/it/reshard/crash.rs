//! Engines, targets and disks that fail while shards are copied and followed: nothing is lost, and who fails is named.

use std::process::Command;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::{Instant, sleep};

use super::stage::{LOOK, Stage};
use super::writers::Writers;
use crate::harness::until;
use crate::scenario::PATIENCE;

const SMALL: &str = "--chunk-bytes 3000 --round-ms 200 --max-rows-per-second 150";

/// The engine is killed in a loop while one target or the other stands still now and then, so that they are uneven; then a
/// target is killed, too.
#[ignore = "fails: its engines do not live long enough to get anywhere"]
#[tokio::test(flavor = "multi_thread")]
async fn killed_engines_and_uneven_targets_lose_nothing() {
    let mut stage = Stage::start(&["-80", "80-"]).await;
    let (old, new): (&[&str], &[&str]) = (&["0"], &["-80", "80-"]);
    let writers = Writers::start(&stage, &[old, new], 3);
    stage.reshard("split", "0", "-80,80-", SMALL).await;
    let seed = rand::random::<u64>();
    eprintln!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let (mut kills, mut seen) = (0, String::new());
    let deadline = Instant::now() + 2 * PATIENCE;
    while kills < 5 || seen != "Running" {
        // It has to wait for its predecessor's lease to end; what it does, it does from then on.
        let engine = stage.engine.take().unwrap();
        until("the engine carries the workflow", PATIENCE, async || {
            if engine.log().contains("claimed") { Ok(()) } else { Err(engine.log()) }
        })
        .await;
        let slow = stage.server(1 + kills % 2);
        let dies = Instant::now() + Duration::from_millis(random.random_range(500..3_000) + kills as u64 * 400);
        while Instant::now() < dies {
            slow.pause().unwrap();
            sleep(Duration::from_millis(random.random_range(0..300))).await;
            slow.resume().unwrap();
            let line = "reshard status --target-keyspace customer --workflow split --format json";
            let status = stage.shardlift.run(line).await;
            let status: serde_json::Value = serde_json::from_str(&status.stdout).unwrap_or_default();
            seen = status["state"].as_str().unwrap_or_default().to_owned();
            assert_ne!(seen, "Error", "{status}");
            sleep(LOOK).await;
        }
        engine.kill9().await;
        kills += 1;
        stage.engine = Some(stage.shardlift.start(&format!("engine{kills}"), "engine run"));
        assert!(Instant::now() < deadline, "after {kills} kills it is {seen}");
    }
    // One target dies; the other waits for it.
    stage.server(2).kill9().await.unwrap();
    until("the dead target is named", PATIENCE, async || {
        let said = stage.shardlift.run("reshard status --target-keyspace customer --workflow split").await;
        if said.stdout.contains("customer/80-") { Ok(()) } else { Err(said) }
    })
    .await;
    stage.server(2).restart().await.unwrap();
    stage.state("split", "Running").await;
    writers.wait_for(50).await;
    println!("{}", stage.must("switch-traffic", "split").await);
    writers.wait_for(50).await;
    let done = writers.verify(&stage, new).await;
    let held = stage.equal(old, new).await;
    println!("{kills} kills and a dead target: {done} acknowledged writes, {} rows", held.rows.len());
    stage.stop().await;
}

/// A target that cannot grow its files is named; the other waits with it, and both go on when there is room again.
#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_is_full_is_named_and_waited_for() {
    let stage = Stage::start(&["-80", "80-"]).await;
    stage
        .db("0")
        .exec("ALTER TABLE corder ADD COLUMN load_ MEDIUMBLOB; UPDATE corder SET load_ = REPEAT('x', 250000); ANALYZE TABLE corder")
        .await;
    let pid = stage.server(2).pid().unwrap();
    stage.db("80-").exec("SET GLOBAL max_binlog_size = 4194304; FLUSH BINARY LOGS").await;
    let limit = |bytes: &str| {
        let set = Command::new("prlimit").args(["--pid", &pid.to_string(), &format!("--fsize={bytes}")]).status();
        assert!(set.unwrap().success());
    };
    // Above everything a server begins with.
    limit("50000000:");
    stage.reshard("split", "0", "-80,80-", "--chunk-bytes 2000000").await;
    let line = "reshard status --target-keyspace customer --workflow split";
    until("the full target is named", PATIENCE, async || {
        let said = stage.shardlift.run(line).await;
        if said.stdout.contains("target customer/80-") { Ok(()) } else { Err(said) }
    })
    .await;
    println!("{}", stage.shardlift.run(line).await.stdout);
    // A server that cannot write its redo log or binlog ends itself. Its next life has no limit.
    stage.server(2).kill9().await.unwrap();
    stage.server(2).restart().await.unwrap();
    // It may have come to rest for good by now, after so many tries.
    stage.shardlift.run("reshard resume --target-keyspace customer --workflow split").await;
    stage.state("split", "Running").await;
    let held = stage.equal(&["0"], &["-80", "80-"]).await;
    println!("a full target: {} rows", held.rows.len());
    stage.stop().await;
}
