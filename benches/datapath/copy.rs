//! The copy, against the raw ceiling and against `mysqldump | mysql`.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use std::{fmt, fs};

use anyhow::{Context as _, Result, ensure};
use shardlift::local::{Mysqld, Servers};
use tokio::time::Instant;

use super::engine::Engine;
use super::flow::Flow;
use super::results::{Results, best, say};
use super::stage::{Stage, run, same, settle, value, within};
use super::{pipes, sysbench};

/// Each contestant runs this often, in turns; its best counts.
const TURNS: usize = 3;
/// Room for the table in memory and for its redo: what is compared is not how a small server waits for its disk.
pub const SETTINGS: [&str; 2] = ["--innodb-buffer-pool-size=1G", "--innodb-redo-log-capacity=2G"];

const CONTESTANTS: [&str; 3] = ["shardlift", "raw pipes", "mysqldump | mysql"];

/// One contestant's copy.
#[derive(Debug, Clone, Copy)]
pub struct Turn {
    /// From the command to its being in hand.
    pub before: Duration,
    /// Until all rows were there.
    pub rows: Duration,
    /// Until their key was.
    pub keys: Duration,
}

impl fmt::Display for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2?} before, {:.2?} rows, {:.2?} keys", self.before, self.rows, self.keys)
    }
}

/// Measures, and adds to `results`.
pub async fn measure(servers: &Servers, rows: u64, results: &mut Results) -> Result<()> {
    say(&format!("copy: {rows} rows, {TURNS} turns"));
    let stage = Stage::up(servers, &SETTINGS).await?;
    sysbench::fill(stage.source()?, rows).await?;
    // Both read from a warm source.
    value(stage.source()?, &format!("CHECKSUM TABLE {}", sysbench::TABLE)).await?;
    let engine = Engine::start(&stage).await?;
    let mut all: [Vec<Turn>; 3] = Default::default();
    for turn in 0..TURNS {
        // Each goes first once.
        for place in 0..CONTESTANTS.len() {
            let contestant = (turn + place) % CONTESTANTS.len();
            settle(stage.target()?).await?;
            let took = match contestant {
                0 => shardlift(&stage).await?,
                1 => pipes::copy(&stage, rows).await?,
                _ => dump(&stage, servers).await?,
            };
            say(&format!("  turn {}, {}: {took}", turn + 1, CONTESTANTS[contestant]));
            all[contestant].push(took);
        }
    }
    let [ours, raw, dumped] = &all;
    let rows_of = |turns: &[Turn]| best(turns.iter().map(|turn| turn.rows));
    let keyed = |turns: &[Turn]| best(turns.iter().map(|turn| turn.rows + turn.keys));
    let whole = |turns: &[Turn]| best(turns.iter().map(|turn| turn.before + turn.rows + turn.keys));
    results.compare("copy: rows", rows, rows_of(ours), ("raw pipes", rows_of(raw)));
    results.compare("copy: rows, index", rows, keyed(ours), ("raw pipes, ALTER", keyed(raw)));
    results.compare("copy: command to end", rows, whole(ours), (CONTESTANTS[2], whole(dumped)));
    results.peak("copy: engine's memory", engine.peak()?, super::memory::CEILING);
    engine.kill().await?;
    stage.down().await
}

async fn shardlift(stage: &Stage) -> Result<Turn> {
    let (flow, at) = Flow::copy(stage, &["sbtest1"]).await?;
    same((stage.source()?, sysbench::TABLE), (stage.target()?, "customer.sbtest1")).await?;
    flow.cancel().await?;
    Ok(Turn { before: at.began - at.asked, rows: at.copied - at.began, keys: at.done - at.copied })
}

/// `mysqldump --single-transaction | mysql`; keys are part of the rows' time.
async fn dump(stage: &Stage, servers: &Servers) -> Result<Turn> {
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
    Ok(Turn { before: Duration::ZERO, rows: took, keys: Duration::ZERO })
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
