//! The shop's traffic: connections that write at a bounded rate until told to stop.
//!
//! Invariants: rows are counted when their COMMIT was acknowledged, and are not there otherwise: a COMMIT whose end is not
//! known ends the demo. What fails before that is undone and counted, but for what any application must expect.

use std::time::Duration;

use mysql_async::{Conn, Error};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::DemoError;
use super::database::Database;
use super::latency::Latencies;
use super::shop::Sizes;
use super::transaction::{Effect, Statement, next};

/// From one transaction of a writer to its next.
const PACE: Duration = Duration::from_millis(20);
const ER_LOCK_WAIT_TIMEOUT: u16 = 1205;
const ER_LOCK_DEADLOCK: u16 = 1213;

/// What was acknowledged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) transactions: u64,
    pub(super) inserted: u64,
    pub(super) updated: u64,
    pub(super) deleted: u64,
    /// Rows whose key changed, or that took over another row's unique value.
    pub(super) rekeyed: u64,
    /// Every statement, from its sending to its answer.
    pub(super) statements: Latencies,
    /// Answers that are errors, other than deadlocks and the like.
    pub(super) errors: u64,
    pub(super) first_error: Option<String>,
}

impl Written {
    fn committed(&mut self, changes: Vec<(Effect, u64)>) {
        self.transactions += 1;
        for (effect, rows) in changes {
            match effect {
                Effect::Insert => self.inserted += rows,
                Effect::Update => self.updated += rows,
                Effect::Delete => self.deleted += rows,
                Effect::Key => self.rekeyed += rows,
                Effect::None => {}
            }
        }
    }

    fn failed(&mut self, error: String) {
        self.errors += 1;
        self.first_error.get_or_insert(error);
    }

    fn add(&mut self, other: Self) {
        self.transactions += other.transactions;
        self.inserted += other.inserted;
        self.updated += other.updated;
        self.deleted += other.deleted;
        self.rekeyed += other.rekeyed;
        self.statements.add(&other.statements);
        self.errors += other.errors;
        self.first_error = self.first_error.take().or(other.first_error);
    }
}

/// Running writers. Dropping them ends them wherever they are.
pub(super) struct Writers {
    tasks: JoinSet<Result<Written, DemoError>>,
    stop: CancellationToken,
}

impl Writers {
    /// Starts as many.
    pub(super) fn start(database: &Database, sizes: Sizes, count: u32) -> Self {
        let (mut tasks, stop) = (JoinSet::new(), CancellationToken::new());
        for _ in 0..count {
            tasks.spawn(write(database.clone(), sizes, stop.clone()));
        }
        Self { tasks, stop }
    }

    /// Ends them between two transactions; what they wrote.
    pub(super) async fn stop(mut self) -> Result<Written, DemoError> {
        self.stop.cancel();
        let mut all = Written::default();
        while let Some(ended) = self.tasks.join_next().await {
            all.add(ended??);
        }
        Ok(all)
    }
}

async fn write(database: Database, sizes: Sizes, stop: CancellationToken) -> Result<Written, DemoError> {
    let mut rng = StdRng::from_os_rng();
    let conn = database.connect().await?;
    let mut writer = Writer { database, conn, written: Written::default() };
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !stop.is_cancelled() {
        pace.tick().await;
        match writer.change(&next(&mut rng, &sizes)).await {
            Ok(changes) => {
                writer.ask("committing a writer's transaction", "COMMIT").await?;
                writer.written.committed(changes);
            }
            Err(DemoError::Sql { source: Error::Server(error), .. }) => {
                if ![ER_LOCK_WAIT_TIMEOUT, ER_LOCK_DEADLOCK].contains(&error.code) {
                    writer.written.failed(error.to_string());
                }
                // Undone as a whole; something else comes next.
                writer.ask("rolling back", "ROLLBACK").await?;
            }
            Err(error) => return Err(error),
        }
    }
    let Writer { database, conn, written } = writer;
    database.within("ending a writer's connection", conn.disconnect()).await?;
    Ok(written)
}

/// A connection that writes.
struct Writer {
    database: Database,
    conn: Conn,
    written: Written,
}

impl Writer {
    /// A transaction but for its COMMIT: what it does to how many rows.
    async fn change(&mut self, statements: &[Statement]) -> Result<Vec<(Effect, u64)>, DemoError> {
        let doing = "a writer's transaction";
        self.ask(doing, "BEGIN").await?;
        let mut changes = Vec::with_capacity(statements.len());
        for (effect, sql) in statements {
            changes.push((*effect, self.ask(doing, sql).await?));
        }
        Ok(changes)
    }

    /// How many rows a statement affected.
    async fn ask(&mut self, doing: &'static str, sql: &str) -> Result<u64, DemoError> {
        let began = Instant::now();
        let answer = self.database.execute(&mut self.conn, doing, sql).await;
        self.written.statements.count(began.elapsed());
        answer.map(|()| self.conn.affected_rows())
    }
}
