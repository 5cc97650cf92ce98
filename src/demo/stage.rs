//! The story on a cluster that is up: an engine, a gateway, a shop, its customers, the move, the proof.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::console::{Console, count, megabytes, milliseconds};
use super::database::Database;
use super::gateway::Gateway;
use super::journey::{self, Journey, MOVED, SOURCE, TARGET, WORKFLOW};
use super::load::load;
use super::proof::compare;
use super::shop::{Sizes, Table};
use super::sidecar::arrive;
use super::summary::Summary;
use super::traffic;
use super::writers::Writers;
use super::{DemoError, Options, sharded};
use crate::failpoint::Failpoints;
use crate::local::cluster::Cluster;
use crate::metrics::EngineMetrics;
use crate::model::switch::Direction;
use crate::model::workflow::OldTables;
use crate::mysql::Credentials;
use crate::workflow::carry::supervisor::Supervisor;

/// All steps of the demo: two before the cluster is up, the rest here.
pub(super) const STEPS: u32 = 12;

/// How long the writers go on between two switches.
const BETWEEN: Duration = Duration::from_secs(1);

/// Plays it, with an engine and a gateway in this process. Whether all is well in the end.
pub(super) async fn play(
    options: &Options,
    cluster: &Cluster,
    console: &mut Console,
    cancel: &CancellationToken,
) -> Result<bool, DemoError> {
    let mut gateway = Gateway::start(cluster, options.id.clone()).await?;
    let shutdown = CancellationToken::new();
    let supervisor = Supervisor {
        topology: cluster.topology().clone(),
        credentials: Credentials::new(Some(cluster.credentials_file())),
        id: options.id.clone(),
        address: String::new(),
        metrics: EngineMetrics::default(),
        failpoints: Failpoints::default(),
        shutdown: shutdown.clone(),
    };
    let engine = tokio::spawn(supervisor.run());
    let outcome = tokio::select! {
        biased;
        () = cancel.cancelled() => Err(DemoError::Interrupted),
        outcome = story(options, cluster, &mut gateway, console) => outcome,
    };
    let gateway = gateway.end().await;
    shutdown.cancel();
    let engine = engine.await;
    if !matches!(outcome, Err(DemoError::Interrupted)) {
        // Where it failed, what its clients met is a consequence.
        gateway?;
    }
    let good = outcome?;
    engine??;
    Ok(good)
}

async fn story(
    options: &Options,
    cluster: &Cluster,
    gateway: &mut Gateway,
    console: &mut Console,
) -> Result<bool, DemoError> {
    let source = Database::new(cluster, SOURCE, cluster.app())?;
    let target = Database::new(cluster, TARGET, cluster.app())?;
    let sizes = Sizes::of(options.rows);

    let step = console.begin("Data");
    load(&source, sizes, &step).await?;
    let tables = Table::ALL.map(|table| format!("{} {}", table.name(), count(sizes.rows(table))));
    step.done(&format!("{} rows: {}", count(sizes.all()), tables.join(", ")))?;

    let step = console.begin("Gateway");
    gateway.ready().await?;
    let shop = Database::through(gateway.port, SOURCE, cluster.app());
    step.done(&format!("127.0.0.1:{}, where the shop's writers connect and use {SOURCE}", gateway.port))?;

    let step = console.begin("Traffic");
    let writers = Writers::start(&shop, sizes, options.writers);
    step.done(&match options.writers {
        0 => "none: --writers 0".into(),
        n => format!("{n} writers insert, update, delete, change keys and swap unique values, from now on"),
    })?;

    let step = console.begin("MoveTables");
    let remarks = journey::start(cluster).await?;
    let copying = console.begin_still("Copy");
    let names = MOVED.map(|(table, _)| table).join(" and ");
    step.done(&format!("{names}, from {SOURCE} to {TARGET}: preflight has no objection"))?;
    for remark in remarks {
        console.say(&format!("        {remark}"))?;
    }

    let mut journey = Journey::watch(cluster.topology(), &target).await?;
    let copied = journey.copied().await?;
    let copy_time = copying.elapsed();
    let rate = copied.rows as f64 / copy_time.as_secs_f64();
    let text = format!("{} rows, {}", count(copied.rows), megabytes(copied.bytes as f64));
    journey.bars.say(&copying.line(&format!("{text}, at {} rows/s", count(rate as u64))))?;

    let step = console.begin_still("Catch-up");
    journey.level().await?;
    let level_time = copy_time + step.elapsed();
    journey.bars.say(&step.line("secondary keys built, changes of the meantime applied: the stream is level"))?;

    let step = console.begin_still("Running");
    journey.follow(options.follow).await?;
    let lag = journey.lag();
    let shown = lag.map_or("lag unknown".into(), |(usual, _)| format!("lag {}", milliseconds(usual)));
    journey.bars.say(&step.line(&format!("every change follows: {shown}")))?;

    let step = console.begin_still("Switch");
    let topology = cluster.topology();
    let mut pauses = Vec::new();
    // There, back, and there again; each time the writers go on for a while.
    for direction in [Direction::Forward, Direction::Backward, Direction::Forward] {
        pauses.push(traffic::switch(topology, WORKFLOW, direction).await?);
        journey.follow(BETWEEN).await?;
    }
    let each: Vec<_> = pauses.iter().map(|pause| milliseconds(*pause)).collect();
    let text = format!("traffic goes to {TARGET}, back, and there again: writes were held for {}", each.join(", "));
    journey.bars.say(&step.line(&text))?;

    let bars = journey.bars;
    bars.clear();
    let proof = console.begin("Proof");
    let written = writers.stop().await?;
    // The old side follows by the way back.
    let position = arrive(&target, &source, Direction::Backward).await?;
    let mut compared = Vec::with_capacity(MOVED.len());
    let mut before = 0;
    for (table, key) in MOVED {
        let found = compare(&source, &target, table, key, |seen| proof.rows(before + seen, copied.rows)).await?;
        before += found.left_rows;
        compared.push((table, found));
    }
    proof.done("writers stopped; every row of both sides read, hashed and compared")?;

    let step = console.begin("Complete");
    if options.keep {
        step.done("left to you, with the way back running: --keep")?;
    } else {
        traffic::complete(topology, WORKFLOW, OldTables::Rename).await?;
        step.done(&format!("{names} are {TARGET}'s; the old tables are renamed, nothing else is left in {SOURCE}"))?;
    }

    let summary = Summary {
        pauses,
        compared,
        loaded: sizes.customer + sizes.corder,
        position,
        copied,
        copy_time,
        level_time,
        lag,
        writers: options.writers,
        written,
    };
    summary.print(console)?;
    match options.sharded && summary.good() {
        true => sharded::play(cluster, gateway.port, options.writers, console).await,
        false => Ok(summary.good()),
    }
}
