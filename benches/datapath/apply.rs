//! Catching up with a binlog, against a native replica with four workers and the same binlog.

use std::time::Duration;

use anyhow::Result;
use shardlift::local::{Mysqld, Servers};
use tokio::time::Instant;

use super::copy::SETTINGS;
use super::engine::Engine;
use super::flow::Flow;
use super::results::{Results, say};
use super::stage::{Stage, executed, run, same, settle, value};
use super::sysbench::{self, Load, TABLE};

/// Measures, and adds to `results`.
pub async fn measure(servers: &Servers, rows: u64, results: &mut Results) -> Result<()> {
    say(&format!("apply: {rows} changes"));
    let stage = Stage::up(servers, &SETTINGS).await?;
    let replica = stage.replica(servers, &["--replica-parallel-workers=4"]).await?;
    sysbench::fill(stage.source()?, rows).await?;
    caught_up(&replica, &executed(stage.source()?).await?).await?;
    let engine = Engine::start(&stage).await?;
    let (mut flow, _) = Flow::copy(&stage, &["sbtest1"]).await?;
    flow.level().await?;
    for (what, load, changes) in
        [("apply: mixed changes", Load::Mixed, rows), ("apply: 100 hot rows", Load::Hot, rows / 5)]
    {
        let baseline = "replica, 4 workers";
        let (changed, ours, theirs) = replay(&stage, &replica, &mut flow, load, rows, changes).await?;
        results.compare(what, changed, ours, (baseline, theirs));
    }
    results.peak("apply: engine's memory", engine.peak()?, super::memory::CEILING);
    engine.kill().await?;
    replica.stop().await?;
    stage.down().await
}

/// Writes while both rest, then lets one after the other catch up: the changes, our time, the replica's.
async fn replay(
    stage: &Stage,
    replica: &Mysqld,
    flow: &mut Flow<'_>,
    load: Load,
    rows: u64,
    changes: u64,
) -> Result<(u64, Duration, Duration)> {
    let (source, target) = (stage.source()?, stage.target()?);
    flow.pause().await?;
    run(replica, &["STOP REPLICA"]).await?;
    let started = Instant::now();
    let changed = sysbench::write(source, load, rows, changes).await?;
    let goal = executed(source).await?;
    say(&format!("  {changed} changes written in {:.1?}", started.elapsed()));

    settle(replica).await?;
    let started = Instant::now();
    run(replica, &["START REPLICA"]).await?;
    caught_up(replica, &goal).await?;
    let theirs = started.elapsed();
    run(replica, &["STOP REPLICA"]).await?;

    settle(target).await?;
    let started = Instant::now();
    flow.resume().await?;
    flow.level().await?;
    let ours = started.elapsed();
    same((source, TABLE), (replica, TABLE)).await?;
    same((source, TABLE), (target, "customer.sbtest1")).await?;
    run(replica, &["START REPLICA"]).await?;
    Ok((changed, ours, theirs))
}

async fn caught_up(replica: &Mysqld, goal: &str) -> Result<()> {
    value(replica, &format!("SELECT CAST(WAIT_FOR_EXECUTED_GTID_SET('{goal}') AS CHAR)")).await.map(drop)
}
