//! What clients do, and that it was done: each reply must have as many rows as the statement deserves.

use std::time::Instant;

use anyhow::{Result, bail};
use rand::Rng as _;
use rand::rngs::StdRng;
use shardlift::mysql::wire::relay::Outcome;

use super::ROWS;
use super::caller::{Caller, Value};
use super::testbed::sysbench::digits;

const POINT: &str = "SELECT c FROM sbtest1 WHERE id = ?";
const RANGE: &str = "SELECT c FROM sbtest1 WHERE id BETWEEN ? AND ?";
const UPDATE: &str = "UPDATE sbtest1 SET k = k + 1 WHERE id = ?";
const DELETE: &str = "DELETE FROM sbtest1 WHERE id = ?";
const INSERT: &str = "INSERT INTO sbtest1 (id, k, c, pad) VALUES (?, ?, ?, ?)";
/// Rows of a range.
const IN_RANGE: u64 = 100;
/// Point reads of a transaction.
const READS: usize = 10;
const DEADLOCK: u16 = 1213;

/// A load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Work {
    /// A row by its primary key.
    Point,
    /// 100 rows by a range of it.
    Range,
    /// A transaction: begin, 10 point reads, an update, a delete and the insert of the same row, commit.
    Mix,
}

/// A statement that was run.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// When its reply was there.
    pub ended: Instant,
    /// How long that took, in ns.
    pub ns: u32,
}

/// How a statement came out.
#[derive(Debug, PartialEq, Eq)]
enum Ran {
    Well,
    /// The server has rolled the transaction back in another's favour.
    Deadlocked,
}

impl Work {
    /// Does it once; each statement is added to `samples`.
    pub async fn once(self, caller: &mut Caller, random: &mut StdRng, samples: &mut Vec<Sample>) -> Result<()> {
        match self {
            Work::Point => timed(caller, POINT, &[anywhere(random)], 1, samples).await.map(drop),
            Work::Range => {
                let from = random.random_range(1..=ROWS - IN_RANGE);
                let values = [Value::Number(from), Value::Number(from + IN_RANGE - 1)];
                timed(caller, RANGE, &values, IN_RANGE, samples).await.map(drop)
            }
            Work::Mix => transaction(caller, random, samples).await,
        }
    }
}

async fn transaction(caller: &mut Caller, random: &mut StdRng, samples: &mut Vec<Sample>) -> Result<()> {
    timed(caller, "BEGIN", &[], 0, samples).await?;
    for _ in 0..READS {
        timed(caller, POINT, &[anywhere(random)], 1, samples).await?;
    }
    let id = random.random_range(1..=ROWS);
    let k = Value::Number(random.random_range(1..=ROWS));
    let row = [Value::Number(id), k, Value::Text(digits(random, 10)), Value::Text(digits(random, 5))];
    let changes = [(UPDATE, &[anywhere(random)][..]), (DELETE, &[Value::Number(id)]), (INSERT, &row)];
    for (sql, values) in changes {
        if timed(caller, sql, values, 1, samples).await? == Ran::Deadlocked {
            return Ok(());
        }
    }
    timed(caller, "COMMIT", &[], 0, samples).await.map(drop)
}

async fn timed(
    caller: &mut Caller,
    sql: &'static str,
    values: &[Value],
    expected: u64,
    samples: &mut Vec<Sample>,
) -> Result<Ran> {
    let began = Instant::now();
    let outcome = caller.run(sql, values).await?;
    let ended = Instant::now();
    samples.push(Sample { ended, ns: u32::try_from((ended - began).as_nanos()).unwrap_or(u32::MAX) });
    match outcome {
        Outcome::Rows { rows } if rows == expected => Ok(Ran::Well),
        Outcome::Done { affected_rows, .. } if affected_rows == expected => Ok(Ran::Well),
        Outcome::Failed { code: DEADLOCK, .. } => Ok(Ran::Deadlocked),
        other => bail!("{sql} with {values:?}: {other:?} instead of {expected} rows"),
    }
}

fn anywhere(random: &mut StdRng) -> Value {
    Value::Number(random.random_range(1..=ROWS))
}
