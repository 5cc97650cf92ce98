//! Waiting for a lock so that others, who must wait behind us meanwhile, hardly notice: short tries that grow, pauses between.
//!
//! The server's own limits cannot go below a second. A SELECT has MAX_EXECUTION_TIME; for DDL a second session ends the wait.

use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::model::TableName;
use crate::mysql::MysqlError;
use crate::mysql::admin::{Session, open_transactions};

use super::session::Silence;
use super::{Fence, FenceError};

/// The first try waits this long.
pub const FIRST: Duration = Duration::from_millis(50);
/// And the longest this: what the server's own limits are set to.
const LONGEST: Duration = Duration::from_secs(1);

/// Whether a statement has failed only because it did not get a lock in time: lock wait, deadlock, interrupted, time limit;
/// or interrupted at its commit, which with semi-synchronous replication is called a hook's error and is rolled back (3100).
pub fn is_wait(error: &MysqlError) -> bool {
    matches!(error.code(), Some(1205 | 1213 | 1317 | 3024 | 3100))
}

/// How long the next try waits.
pub fn longer(patience: Duration) -> Duration {
    (patience * 3 / 2).min(LONGEST)
}

/// A pause between two tries, in which those go on that had to wait: 10 to 30 ms.
pub async fn pause() {
    sleep(Duration::from_millis(rand::random_range(10..=30))).await;
}

/// A session for DDL on a fence's tables, and one that ends its waits.
#[derive(Debug)]
pub struct Definer<'a> {
    fence: &'a Fence,
    /// The session that does the work.
    pub session: Session,
    interrupter: Session,
    connection: u64,
    /// What the last statement was given; the next is not tried with less, for a slow disk may take as long again.
    patience: Duration,
}

impl<'a> Definer<'a> {
    pub async fn open(fence: &'a Fence) -> Result<Self, FenceError> {
        let mut session = fence.session(Silence::Nothing).await?;
        let interrupter = fence.session(Silence::Nothing).await?;
        let id = session.row("SELECT CONNECTION_ID()").await.map_err(|error| fence.server(error))?;
        let connection = id.and_then(|row| row.number(0)).unwrap_or_default();
        Ok(Self { fence, session, interrupter, connection, patience: FIRST })
    }

    /// Runs DDL on `table`, trying for `time`. It must be harmless to run again.
    pub async fn run(&mut self, table: &TableName, sql: &str, time: Duration) -> Result<(), FenceError> {
        let began = Instant::now();
        loop {
            let patience = self.patience;
            match self.attempt(sql, patience).await {
                Ok(_) => return Ok(()),
                Err(error) if is_wait(&error) && began.elapsed() + patience < time => pause().await,
                Err(error) if is_wait(&error) => {
                    let (workflow, side) = (self.fence.workflow.clone(), self.fence.side.label.clone());
                    let (waited, table) = (began.elapsed(), table.clone());
                    let blockers = open_transactions(&mut self.interrupter, Duration::ZERO).await.unwrap_or_default();
                    return Err(FenceError::Blocked { workflow, side, table, waited, blockers });
                }
                Err(error) => return Err(self.fence.server(error)),
            }
            self.patience = longer(patience);
        }
    }

    async fn attempt(&mut self, sql: &str, patience: Duration) -> Result<u64, MysqlError> {
        let Self { session, interrupter, connection, .. } = self;
        let mut running = pin!(session.execute(sql));
        // At the longest the server's own limit ends the wait. It never ends the work, which on a slow disk takes longer.
        if patience < LONGEST {
            tokio::select! {
                done = &mut running => return done,
                () = sleep(patience) => {}
            }
            interrupter.execute(&format!("KILL QUERY {connection}")).await?;
        }
        running.await
    }

    pub async fn close(self) {
        self.session.close().await;
        self.interrupter.close().await;
    }
}
