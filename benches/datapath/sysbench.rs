//! Table `sbtest1` as in sysbench's OLTP tests, filled, and written to.

use std::fmt::Write as _;

use anyhow::{Result, bail};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use shardlift::local::Mysqld;
use tokio::task::JoinSet;

use super::stage::{run, wire};

/// The table in its schema.
pub const TABLE: &str = "commerce.sbtest1";
/// Its columns as the pipes and LOAD DATA name them.
pub const COLUMNS: &str = "id,k,c,pad";
/// Its secondary key.
pub const KEY: &str = "ADD KEY k_1 (k)";
const FILLERS: u64 = 4;
const WRITERS: u64 = 16;
/// Rows changed by one transaction: updates, deletes, inserts.
const PER_TXN: [u64; 3] = [6, 2, 2];
const ROWS_PER_TXN: u64 = 10;
const HOT_ROWS: u64 = 100;
const ER_LOCK_WAIT_TIMEOUT: u16 = 1205;
const ER_LOCK_DEADLOCK: u16 = 1213;

/// The statement that creates it as `table`, without its secondary key.
pub fn create_table(table: &str) -> String {
    format!(
        "CREATE TABLE {table} (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, k INT NOT NULL DEFAULT 0, \
         c CHAR(120) NOT NULL DEFAULT '', pad CHAR(60) NOT NULL DEFAULT '')"
    )
}

/// The statement that loads tab-separated rows into `table`; the data needs no escapes.
pub fn load_data(table: &str) -> String {
    format!(
        "LOAD DATA LOCAL INFILE 'rows' INTO TABLE {table} CHARACTER SET binary \
         FIELDS TERMINATED BY '\\t' ESCAPED BY '' LINES TERMINATED BY '\\n' ({COLUMNS})"
    )
}

/// Creates and fills it.
pub async fn fill(server: &Mysqld, rows: u64) -> Result<()> {
    run(server, &[&create_table(TABLE), &format!("ALTER TABLE {TABLE} {KEY}")]).await?;
    let mut tasks = JoinSet::new();
    for part in 0..FILLERS {
        let mut wire = wire(server, "SET NAMES binary").await?;
        let ids = part * rows / FILLERS + 1..=(part + 1) * rows / FILLERS;
        tasks.spawn(async move {
            let mut random = StdRng::seed_from_u64(part);
            let mut load = wire.load(load_data(TABLE).as_bytes()).await?;
            let mut lines = String::new();
            for id in ids {
                let k = random.random_range(1..=rows);
                let (c, pad) = (digits(&mut random, 10), digits(&mut random, 5));
                writeln!(lines, "{id}\t{k}\t{c}\t{pad}")?;
                if lines.len() > 1 << 18 {
                    load.send(lines.as_bytes()).await?;
                    lines.clear();
                }
            }
            load.send(lines.as_bytes()).await?;
            load.finish().await?;
            anyhow::Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    // Readers and the planner of chunks go by statistics.
    run(server, &[&format!("ANALYZE TABLE {TABLE}")]).await
}

/// `groups` of eleven digits, joined by dashes.
fn digits(random: &mut StdRng, groups: usize) -> String {
    let group = |random: &mut StdRng| format!("{:011}", random.random_range(0..100_000_000_000u64));
    (0..groups).map(|_| group(random)).collect::<Vec<_>>().join("-")
}

/// What to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// Updates of random rows, deletes and inserts.
    Mixed,
    /// Updates of a hundred rows, again and again.
    Hot,
}

/// Changes about `changes` rows of a table filled with `rows`, about ten per transaction; how many were changed.
pub async fn write(server: &Mysqld, load: Load, rows: u64, changes: u64) -> Result<u64> {
    // Neither side's time: only the replays are measured, and those on servers with their durability as it was.
    let durable = ["SET GLOBAL sync_binlog = 1", "SET GLOBAL innodb_flush_log_at_trx_commit = 1"];
    run(server, &["SET GLOBAL sync_binlog = 0", "SET GLOBAL innodb_flush_log_at_trx_commit = 2"]).await?;
    let txns = changes / ROWS_PER_TXN;
    let mut tasks = JoinSet::new();
    for writer in 0..WRITERS {
        let mut wire = wire(server, "SET NAMES utf8mb4, transaction_isolation = 'READ-COMMITTED'").await?;
        tasks.spawn(async move {
            let mut random = StdRng::seed_from_u64(1_000 + writer);
            for txn in (writer..txns).step_by(WRITERS as usize) {
                let script = match load {
                    Load::Mixed => mixed(&mut random, rows, txn),
                    Load::Hot => hot(&mut random),
                };
                while !committed(wire.execute_script(script.as_bytes()).await?)? {
                    wire.execute(b"ROLLBACK").await?;
                }
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    run(server, &durable).await?;
    Ok(txns * ROWS_PER_TXN)
}

/// Whether the last statement, COMMIT, was reached; false after a deadlock.
fn committed<T>(results: Vec<Result<T, shardlift::mysql::MysqlError>>) -> Result<bool> {
    match results.into_iter().next_back() {
        Some(Ok(_)) => Ok(true),
        Some(Err(error)) if matches!(error.code(), Some(ER_LOCK_DEADLOCK | ER_LOCK_WAIT_TIMEOUT)) => Ok(false),
        Some(Err(error)) => Err(error.into()),
        None => bail!("no answer to a transaction"),
    }
}

/// Transaction number `txn`. Updates keep to the first half of the rows, deletes go down from the last: each row is there.
fn mixed(random: &mut StdRng, rows: u64, txn: u64) -> String {
    let [updates, deletes, inserts] = PER_TXN;
    let changed = distinct(random, updates, rows / 2);
    let last = rows - txn * deletes;
    let gone: Vec<_> = (last - deletes + 1..=last).map(|id| id.to_string()).collect();
    let first = rows + 1 + txn * inserts;
    let new: Vec<_> = (first..first + inserts).map(|id| values(random, id)).collect();
    format!(
        "START TRANSACTION;{};DELETE FROM {TABLE} WHERE id IN ({});INSERT INTO {TABLE} ({COLUMNS}) VALUES {};COMMIT",
        update(random, &changed),
        gone.join(","),
        new.join(","),
    )
}

fn hot(random: &mut StdRng) -> String {
    let changed = distinct(random, ROWS_PER_TXN, HOT_ROWS);
    format!("START TRANSACTION;{};COMMIT", update(random, &changed))
}

/// One statement that updates rows which are there, each to values of its own.
fn update(random: &mut StdRng, ids: &[u64]) -> String {
    let rows: Vec<_> = ids.iter().map(|id| values(random, *id)).collect();
    format!(
        "INSERT INTO {TABLE} ({COLUMNS}) VALUES {} AS new \
         ON DUPLICATE KEY UPDATE k = sbtest1.k + 1, c = new.c",
        rows.join(",")
    )
}

fn values(random: &mut StdRng, id: u64) -> String {
    format!("({id},{},'{}','{}')", random.random_range(1..1_000_000), digits(random, 10), digits(random, 5))
}

/// Different ids from 1 to `upto`, ascending, so that writers meet in one order.
fn distinct(random: &mut StdRng, count: u64, upto: u64) -> Vec<u64> {
    let mut ids = std::collections::BTreeSet::new();
    while (ids.len() as u64) < count {
        ids.insert(random.random_range(1..=upto));
    }
    ids.into_iter().collect()
}
