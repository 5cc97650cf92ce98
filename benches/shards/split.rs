//! One Reshard into four shards, against four copies of one shard's rows each.

use std::fmt;
use std::time::Duration;

use anyhow::{Result, ensure};
use mysql_async::prelude::Queryable;
use shardlift::local::{Mysqld, Servers};

use super::results::Results;
use super::stage::{SHARDS, Stage, within};
use super::testbed::{say, sysbench};
use super::{Options, pipes};

/// They take turns; each goes first once in three.
const CONTESTANTS: [&str; 3] = ["reshard", "four copies in turn", "four copies at once"];
/// What the source is asked for here, in its own words.
const SPENT: [&str; 3] = ["Com_select", "Bytes_sent", "Innodb_rows_read"];

/// How long a copy took.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// Until all rows were there, from when it was in hand.
    pub rows: Duration,
    /// Until their keys were, from when it was in hand.
    pub copy: Duration,
    /// From the command to the report that all is done.
    pub whole: Duration,
}

/// What the source had to do.
#[derive(Debug, Clone, Copy)]
pub struct Spent {
    /// SELECT statements.
    pub selects: u64,
    /// Sent to whoever asked.
    pub bytes: u64,
    /// Read from the table.
    pub rows: u64,
}

/// One contestant's turn.
#[derive(Debug, Clone, Copy)]
pub struct Turn {
    /// How long it took.
    pub times: Times,
    /// What the source did meanwhile.
    pub spent: Spent,
}

impl fmt::Display for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { times: Times { rows, copy, whole }, spent: Spent { selects, bytes, rows: read } } = self;
        write!(
            f,
            "rows {rows:.2?}, with keys {copy:.2?}, command to end {whole:.2?}; the source: {selects} SELECTs, {:.1} MB sent, \
             {read} rows read",
            *bytes as f64 / 1e6
        )
    }
}

/// Measures, and adds to `results`.
pub async fn measure(servers: &Servers, options: &Options, results: &mut Results) -> Result<()> {
    say(&format!("split: {} rows, {} turns", options.rows, options.turns));
    let (stage, engine) = Stage::sharded(servers, options.rows).await?;
    // All read from a warm source.
    let all = held(stage.source()?, sysbench::TABLE).await?;
    let mut turns: [Vec<Turn>; 3] = Default::default();
    for turn in 0..options.turns as usize {
        for place in 0..CONTESTANTS.len() {
            let contestant = (turn + place) % CONTESTANTS.len();
            let before = spent(stage.source()?).await?;
            let (times, table) = match contestant {
                0 => (reshard(&stage).await?, sysbench::TABLE),
                which => (pipes::copy(&stage, options.rows, which == 2).await?, pipes::COPY),
            };
            let after = spent(stage.source()?).await?;
            let [selects, bytes, rows] = [0, 1, 2].map(|at| after[at] - before[at]);
            let taken = Turn { times, spent: Spent { selects, bytes, rows } };
            say(&format!("  turn {}, {}: {taken}", turn + 1, CONTESTANTS[contestant]));
            turns[contestant].push(taken);
            let mut there = (0, 0);
            for shard in SHARDS {
                let (count, sum) = held(stage.shard(shard)?, table).await?;
                ensure!(count > 0, "shard {shard} has no rows");
                there = (there.0 + count, there.1 + sum);
            }
            ensure!(there == all, "the shards hold {there:?} instead of {all:?} (rows, sum of checksums)");
            match contestant {
                0 => stage.cancel().await?,
                _ => pipes::drop_all(&stage).await?,
            }
        }
    }
    let [ours, in_turn, at_once] = turns;
    results.split(options.rows, &ours, (CONTESTANTS[1], &in_turn));
    results.split(options.rows, &ours, (CONTESTANTS[2], &at_once));
    engine.kill().await?;
    stage.down().await
}

async fn reshard(stage: &Stage) -> Result<Times> {
    let at = stage.split().await?;
    Ok(Times { rows: at.copied - at.began, copy: at.done - at.began, whole: at.running - at.asked })
}

/// Rows, and a sum over what is in them that does not depend on their order: a fast wrong copy is not fast.
async fn held(server: &Mysqld, table: &str) -> Result<(u64, u64)> {
    let sql = format!(
        "SELECT COUNT(*), CAST(COALESCE(SUM(CRC32(CONCAT_WS(',', id, k, c, pad))), 0) AS UNSIGNED) FROM {table}"
    );
    let mut conn = server.admin_conn().await?;
    let found: Option<(u64, u64)> = within(&sql, conn.query_first(&sql)).await?;
    conn.disconnect().await?;
    Ok(found.unwrap_or_default())
}

/// What the whole server has done so far, by [`SPENT`].
async fn spent(server: &Mysqld) -> Result<[u64; 3]> {
    let names = SPENT.map(|name| format!("'{name}'")).join(",");
    let sql = format!("SHOW GLOBAL STATUS WHERE Variable_name IN ({names})");
    let mut conn = server.admin_conn().await?;
    let found: Vec<(String, u64)> = within(&sql, conn.query(&sql)).await?;
    conn.disconnect().await?;
    Ok(SPENT.map(|name| found.iter().find(|(found, _)| found == name).map_or(0, |(_, count)| *count)))
}
