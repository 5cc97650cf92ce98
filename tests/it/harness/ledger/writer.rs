//! One writer: a transaction after the other, through whatever happens to its server.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, ServerError};
use rand::rngs::StdRng;
use tokio::time::{Instant, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::change::Change;
use super::{Db, Desk, LAST_QUESTION, Told};

/// A server that is frozen must not hold a writer for ever.
const PATIENCE: Duration = Duration::from_secs(30);
const RETRY: Duration = Duration::from_millis(30);
const DEADLOCK: u16 = 1213;
/// Errors that say the harness itself is wrong: duplicate key, no such column or table, syntax.
const OWN_MISTAKES: [u16; 4] = [1062, 1054, 1146, 1064];

#[derive(Debug, Default)]
pub(super) struct Counts {
    committed: AtomicU64,
    refused: AtomicU64,
    reconnects: AtomicU64,
    complaints: Mutex<Vec<String>>,
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

    pub(super) fn complaints(&self) -> Vec<String> {
        std::mem::take(&mut *self.complaints.lock().unwrap())
    }

    fn complain(&self, error: &str) {
        let mut complaints = self.complaints.lock().unwrap();
        // Enough to see what it is.
        if complaints.len() < 20 {
            complaints.push(error.to_owned());
        }
    }
}

#[derive(Debug)]
pub(super) struct Writer {
    pub(super) number: u32,
    pub(super) places: Arc<Mutex<Vec<Db>>>,
    pub(super) counts: Arc<Counts>,
    pub(super) desk: Arc<Desk>,
    pub(super) stop: CancellationToken,
    /// Between transactions.
    pub(super) pause: Option<Duration>,
    pub(super) random: StdRng,
    pub(super) told: Told,
}

/// How a transaction ended.
enum End {
    Acknowledged,
    /// Certainly rolled back, on a connection that still serves; by what.
    Refused(ServerError),
    /// The connection is of no use any more; a commit may or may not have happened.
    Unknown(String),
}

impl Writer {
    pub(super) async fn run(mut self) -> (u32, Told) {
        let mut ticks = self.pause.map(interval);
        let mut conn = None;
        while !self.stop.is_cancelled() {
            if *self.desk.closed.borrow() && self.told.or_else.is_none() {
                self.rest().await;
                if self.desk.anew.load(Ordering::Relaxed) {
                    conn = None;
                }
                continue;
            }
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
                End::Refused(error) => {
                    self.counts.refused.fetch_add(1, Ordering::Relaxed);
                    if error.code != DEADLOCK {
                        self.counts.complain(&error.to_string());
                    }
                    self.settle(false);
                    sleep(RETRY).await;
                }
                End::Unknown(error) => {
                    self.counts.reconnects.fetch_add(1, Ordering::Relaxed);
                    self.counts.complain(&error);
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

    /// Until the others may go on, too.
    async fn rest(&mut self) {
        self.desk.resting.lock().unwrap().insert(self.number, self.told.clone());
        let mut closed = self.desk.closed.subscribe();
        tokio::select! {
            _ = closed.wait_for(|closed| !closed) => {}
            () = self.stop.cancelled() => {}
        }
        self.desk.resting.lock().unwrap().remove(&self.number);
    }

    /// A connection that knows how the last transaction ended; `None` after a moment if there is none to be had.
    async fn connect(&mut self) -> Option<Conn> {
        let number = self.number;
        let place = {
            let places = self.places.lock().unwrap();
            places[number as usize % places.len()].clone()
        };
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
            Ok(Err(error)) => End::Unknown(format!("to COMMIT: {error}")),
            Err(_) => End::Unknown("no answer to COMMIT".into()),
        },
        Ok(Err(Error::Server(error))) => {
            assert!(!OWN_MISTAKES.contains(&error.code), "writer {writer}: {error} in {statements:?}");
            match timeout(PATIENCE, conn.query_drop("ROLLBACK")).await {
                Ok(Ok(())) => End::Refused(error),
                Ok(Err(_)) | Err(_) => End::Unknown(error.to_string()),
            }
        }
        Ok(Err(error)) => End::Unknown(error.to_string()),
        Err(_) => End::Unknown("no answer to a statement".into()),
    }
}
