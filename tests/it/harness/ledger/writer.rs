//! One writer: a transaction after the other, through whatever happens to its server.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};
use rand::rngs::StdRng;
use tokio::time::{Instant, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::change::Change;
use super::{Db, LAST_QUESTION, Told};

/// A server that is frozen must not hold a writer for ever.
const PATIENCE: Duration = Duration::from_secs(30);
const RETRY: Duration = Duration::from_millis(30);
/// Errors that say the harness itself is wrong: duplicate key, no such column or table, syntax.
const OWN_MISTAKES: [u16; 4] = [1062, 1054, 1146, 1064];

#[derive(Debug, Default)]
pub(super) struct Counts {
    committed: AtomicU64,
    refused: AtomicU64,
    reconnects: AtomicU64,
}

impl Counts {
    pub(super) fn committed(&self) -> u64 {
        self.committed.load(Ordering::Relaxed)
    }

    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    pub(super) fn reconnects(&self) -> u64 {
        self.reconnects.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
pub(super) struct Writer {
    pub(super) number: u32,
    pub(super) place: Arc<Mutex<Db>>,
    pub(super) counts: Arc<Counts>,
    pub(super) stop: CancellationToken,
    /// Between transactions.
    pub(super) pause: Option<Duration>,
    pub(super) random: StdRng,
    pub(super) told: Told,
}

/// How a transaction ended.
enum End {
    Acknowledged,
    /// Certainly rolled back, on a connection that still serves.
    Refused,
    /// The connection is of no use any more; a commit may or may not have happened.
    Unknown,
}

impl Writer {
    pub(super) async fn run(mut self) -> (u32, Told) {
        let mut ticks = self.pause.map(interval);
        let mut conn = None;
        while !self.stop.is_cancelled() {
            if let Some(ticks) = &mut ticks {
                ticks.tick().await;
            }
            let Some(open) = &mut conn else {
                conn = self.connect().await;
                continue;
            };
            let txn = self.told.txn + 1;
            let change = Change::random(self.number, txn, &self.told.rows, &mut self.random);
            self.told.or_else = Some(change.rows);
            match transact(open, self.number, txn, &change.statements).await {
                End::Acknowledged => self.settle(true),
                End::Refused => {
                    self.counts.refused.fetch_add(1, Ordering::Relaxed);
                    self.settle(false);
                    sleep(RETRY).await;
                }
                End::Unknown => {
                    self.counts.reconnects.fetch_add(1, Ordering::Relaxed);
                    conn = None;
                }
            }
        }
        let asked = Instant::now();
        while self.told.or_else.is_some() && asked.elapsed() < LAST_QUESTION {
            drop(self.connect().await);
        }
        (self.number, self.told)
    }

    /// A connection that knows how the last transaction ended; `None` after a moment if there is none to be had.
    async fn connect(&mut self) -> Option<Conn> {
        let place = self.place.lock().unwrap().clone();
        let number = self.number;
        let attempt = async {
            let mut conn = place.try_conn().await?;
            // Locking: it waits for a commit of the lost connection that is still under way.
            let txn: Option<u64> =
                conn.query_first(format!("SELECT txn FROM ledger_writer WHERE writer = {number} FOR UPDATE")).await?;
            Ok::<_, Error>((conn, txn))
        };
        let Ok(Ok((conn, txn))) = timeout(PATIENCE, attempt).await else {
            sleep(RETRY).await;
            return None;
        };
        let known = self.told.txn;
        match txn {
            Some(txn) if txn == known => self.settle(false),
            Some(txn) if txn == known + 1 && self.told.or_else.is_some() => self.settle(true),
            other => panic!("writer {number} was told of transaction {known}, and {} has {other:?}", place.name()),
        }
        Some(conn)
    }

    fn settle(&mut self, happened: bool) {
        if let (Some(rows), true) = (self.told.or_else.take(), happened) {
            self.told.rows = rows;
            self.told.txn += 1;
            self.counts.committed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

async fn transact(conn: &mut Conn, writer: u32, txn: u64, statements: &[String]) -> End {
    let work = async {
        conn.query_drop("BEGIN").await?;
        for statement in statements {
            conn.query_drop(statement).await?;
        }
        conn.query_drop(format!("UPDATE ledger_writer SET txn = {txn} WHERE writer = {writer}")).await
    };
    match timeout(PATIENCE, work).await {
        Ok(Ok(())) => match timeout(PATIENCE, conn.query_drop("COMMIT")).await {
            Ok(Ok(())) => End::Acknowledged,
            // Even an answer does not say that it did not happen: a killed session may have been waiting for a replica.
            Ok(Err(_)) | Err(_) => End::Unknown,
        },
        Ok(Err(Error::Server(error))) => {
            assert!(!OWN_MISTAKES.contains(&error.code), "writer {writer}: {error} in {statements:?}");
            match timeout(PATIENCE, conn.query_drop("ROLLBACK")).await {
                Ok(Ok(())) => End::Refused,
                Ok(Err(_)) | Err(_) => End::Unknown,
            }
        }
        Ok(Err(_)) | Err(_) => End::Unknown,
    }
}
