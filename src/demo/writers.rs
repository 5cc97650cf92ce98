//! The shop's traffic: connections that write at a bounded rate until told to stop.
//!
//! Invariant: what is counted was acknowledged by the server.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::DemoError;
use super::database::Database;
use super::shop::Sizes;
use super::transaction::{Effect, Statement, next};

/// From one transaction of a writer to its next.
const PACE: Duration = Duration::from_millis(20);
const ER_LOCK_WAIT_TIMEOUT: u16 = 1205;
const ER_LOCK_DEADLOCK: u16 = 1213;

/// What was acknowledged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) transactions: u64,
    pub(super) inserted: u64,
    pub(super) updated: u64,
    pub(super) deleted: u64,
    /// Rows whose key changed, or that took over another row's unique value.
    pub(super) rekeyed: u64,
}

impl Written {
    fn count(&mut self, effect: Effect, rows: u64) {
        match effect {
            Effect::Insert => self.inserted += rows,
            Effect::Update => self.updated += rows,
            Effect::Delete => self.deleted += rows,
            Effect::Key => self.rekeyed += rows,
            Effect::None => {}
        }
    }

    fn add(&mut self, other: &Self) {
        self.transactions += other.transactions;
        self.inserted += other.inserted;
        self.updated += other.updated;
        self.deleted += other.deleted;
        self.rekeyed += other.rekeyed;
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
            all.add(&ended??);
        }
        Ok(all)
    }
}

async fn write(database: Database, sizes: Sizes, stop: CancellationToken) -> Result<Written, DemoError> {
    let mut rng = StdRng::from_os_rng();
    let mut conn = database.connect().await?;
    let mut written = Written::default();
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !stop.is_cancelled() {
        pace.tick().await;
        let statements = next(&mut rng, &sizes);
        match database.within("a writer's transaction", transact(&mut conn, &statements)).await {
            Ok(one) => written.add(&one),
            Err(DemoError::Sql { source: Error::Server(error), .. })
                if [ER_LOCK_WAIT_TIMEOUT, ER_LOCK_DEADLOCK].contains(&error.code) =>
            {
                // As any application must expect: undone as a whole, something else comes next.
                database.execute(&mut conn, "rolling back", "ROLLBACK").await?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(written)
}

async fn transact(conn: &mut Conn, statements: &[Statement]) -> Result<Written, Error> {
    let mut written = Written { transactions: 1, ..Written::default() };
    conn.query_drop("BEGIN").await?;
    for (effect, sql) in statements {
        conn.query_drop(sql).await?;
        written.count(*effect, conn.affected_rows());
    }
    conn.query_drop("COMMIT").await?;
    Ok(written)
}
