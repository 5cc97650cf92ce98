//! The copy, against the raw ceiling and against `mysqldump | mysql`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use shardlift::local::{Mysqld, Servers};
use tokio::time::Instant;

use super::engine::Engine;
use super::flow::Flow;
use super::results::{Results, median, say};
use super::stage::{Stage, run, same, value, within};
use super::{pipes, sysbench};

/// Each contestant runs this often, in turns; the median counts.
const TURNS: usize = 3;
/// Room for the table in memory and for its redo: what is compared is not how a small server waits for its disk.
pub const SETTINGS: [&str; 2] = ["--innodb-buffer-pool-size=1G", "--innodb-redo-log-capacity=2G"];

/// Measures, and adds to `results`.
pub async fn measure(servers: &Servers, rows: u64, results: &mut Results) -> Result<()> {
    say(&format!("copy: {rows} rows, {TURNS} turns"));
    let stage = Stage::up(servers, &SETTINGS).await?;
    sysbench::fill(stage.source()?, rows).await?;
    // Both read from a warm source.
    value(stage.source()?, &format!("CHECKSUM TABLE {}", sysbench::TABLE)).await?;
    let engine = Engine::start(&stage).await?;
    let (mut raw, mut raw_keyed) = (Vec::new(), Vec::new());
    let (mut ours, mut ours_keyed, mut ours_all) = (Vec::new(), Vec::new(), Vec::new());
    let mut dumped = Vec::new();
    for turn in 1..=TURNS {
        let (copied, keyed) = pipes::copy(&stage, rows).await?;
        raw.push(copied);
        raw_keyed.push(keyed);
        let (flow, stations) = Flow::copy(&stage, &["sbtest1"]).await?;
        same((stage.source()?, sysbench::TABLE), (stage.target()?, "customer.sbtest1")).await?;
        flow.cancel().await?;
        ours.push(stations.copied - stations.began);
        ours_keyed.push(stations.done - stations.began);
        ours_all.push(stations.done - stations.asked);
        dumped.push(dump(&stage, servers).await?);
        say(&format!(
            "  turn {turn}: raw {copied:.2?} + {:.2?}, shardlift {:.2?} asked, {:.2?} + {:.2?}, dump {:.2?}",
            keyed - copied,
            stations.began - stations.asked,
            stations.copied - stations.began,
            stations.done - stations.copied,
            dumped.last().copied().unwrap_or_default(),
        ));
    }
    results.compare("copy: rows", rows, median(ours), ("raw pipes", median(raw)));
    results.compare("copy: rows, index", rows, median(ours_keyed), ("raw pipes, ALTER", median(raw_keyed)));
    results.compare("copy: command to end", rows, median(ours_all), ("mysqldump | mysql", median(dumped)));
    results.peak("copy: engine's memory", engine.peak()?, super::memory::CEILING);
    engine.kill().await?;
    stage.down().await
}

/// `mysqldump --single-transaction | mysql`.
async fn dump(stage: &Stage, servers: &Servers) -> Result<Duration> {
    let (source, target) = (stage.source()?, stage.target()?);
    run(target, &["CREATE DATABASE dumped"]).await?;
    let (from, to) = (login(stage, source, "source.cnf")?, login(stage, target, "target.cnf")?);
    let started = Instant::now();
    let mut dump = servers.mysql_tool("mysqldump")?.command();
    dump.arg(from).args(["--single-transaction", "--set-gtid-purged=OFF", "--no-tablespaces", "commerce", "sbtest1"]);
    let mut dump = dump.stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
    let out: Stdio = dump.stdout.take().context("mysqldump has no output")?.try_into()?;
    let mut load = servers.mysql()?.command();
    let mut load = load.arg(to).arg("dumped").stdin(out).kill_on_drop(true).spawn()?;
    let loaded = within("mysql", load.wait()).await?;
    let dumped = within("mysqldump", dump.wait()).await?;
    let took = started.elapsed();
    ensure!(dumped.success() && loaded.success(), "mysqldump ended with {dumped}, mysql with {loaded}");
    same((source, sysbench::TABLE), (target, "dumped.sbtest1")).await?;
    run(target, &["DROP DATABASE dumped"]).await?;
    Ok(took)
}

/// An option file, so that no password stands on a command line.
fn login(stage: &Stage, server: &Mysqld, name: &str) -> Result<String> {
    let path: PathBuf = stage.folder().join(name);
    let admin = &server.spec().admin;
    fs::write(&path, "")?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    let (socket, user, password) = (server.socket().display(), &admin.user, &admin.password);
    fs::write(&path, format!("[client]\nsocket={socket}\nuser={user}\npassword=\"{password}\"\n"))?;
    Ok(format!("--defaults-file={}", path.display()))
}
