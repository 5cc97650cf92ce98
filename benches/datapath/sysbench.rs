//! What writes to table `sbtest1`.

use anyhow::{Result, bail};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use shardlift::local::Mysqld;
use tokio::task::JoinSet;

use super::stage::{run, wire};
use super::testbed::sysbench::digits;
pub use super::testbed::sysbench::{COLUMNS, KEY, TABLE, create_table, fill, load_data};

const WRITERS: u64 = 16;
/// Rows changed by one transaction: updates, deletes, inserts.
const PER_TXN: [u64; 3] = [6, 2, 2];
const ROWS_PER_TXN: u64 = 10;
const HOT_ROWS: u64 = 100;
const ER_LOCK_WAIT_TIMEOUT: u16 = 1205;
const ER_LOCK_DEADLOCK: u16 = 1213;

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
