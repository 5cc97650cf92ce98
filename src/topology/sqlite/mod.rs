//! The embedded backend: one SQLite file in WAL mode, shared by several processes on one host.
//!
//! Invariants: every write is one `BEGIN IMMEDIATE` transaction, durable once committed (see `schema`); all blocking
//! happens on tokio's blocking threads, one call at a time per connection; a transaction past its deadline is not begun,
//! and one that its caller has given up on before it had the write lock never happens (see `Effect`).

mod apply;
mod poll;
mod schema;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};
use tokio::sync::{Mutex, mpsc};

use self::poll::Poller;
use super::store::{
    Answer, DEADLINE, LeaseId, Listing, Reading, Revision, Store, StoreError, Txn, TxnOutcome, WATCH_BUFFER, Watch,
    WatchEvent,
};

/// How long past its deadline a call that is already in SQLite is waited for: a disk may be slow to sync.
const GRACE: Duration = Duration::from_secs(2);
/// A watch's rest after a failed read.
const REST: Duration = Duration::from_millis(100);

/// A topology in a file.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    /// Two connections, so that a writer waiting for another process does not hold up reads.
    writer: Arc<Mutex<Connection>>,
    reader: Arc<Mutex<Connection>>,
    poller: Arc<Poller>,
}

/// Whether a call that broke off may have had an effect: taken once, by its job when that has the write lock, or by its
/// caller when that waits no longer. Whoever comes second knows what the other did.
#[derive(Debug, Clone, Default)]
struct Effect(Arc<AtomicBool>);

impl Effect {
    /// True for the first of the two.
    fn take(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }
}

impl SqliteStore {
    /// Opens or creates the topology in `path`.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let path: PathBuf = path.into();
        let opened =
            tokio::task::spawn_blocking(move || Ok((schema::open(&path)?, schema::open(&path)?, Poller::new(path))));
        let (writer, reader, poller) =
            finish(opened, "opening the topology file", DEADLINE + GRACE, &Effect::default()).await?;
        Ok(Self {
            writer: Arc::new(Mutex::new(writer)),
            reader: Arc::new(Mutex::new(reader)),
            poller: Arc::new(poller),
        })
    }

    async fn run<T: Send + 'static>(
        connection: &Arc<Mutex<Connection>>,
        what: &'static str,
        job: impl FnOnce(&mut Connection, Instant, &Effect) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let until = Instant::now() + DEADLINE;
        let mut connection = tokio::time::timeout(DEADLINE, connection.clone().lock_owned())
            .await
            .map_err(|_| unavailable(what, "earlier calls of this process still wait for the file"))?;
        let effect = Effect::default();
        let jobs = effect.clone();
        let running = tokio::task::spawn_blocking(move || job(&mut connection, until, &jobs));
        finish(running, what, until.saturating_duration_since(Instant::now()) + GRACE, &effect).await
    }

    /// Runs `job` in a write transaction, expired leases swept.
    async fn write<T: Send + 'static>(
        &self,
        what: &'static str,
        job: impl FnOnce(&Transaction<'_>, i64) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, revision) = Self::run(&self.writer, what, move |connection, until, effect| {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(unavailable(what, "it waited too long for its turn"));
            }
            write(connection, what, left, effect, job)
        })
        .await?;
        self.poller.announce(revision);
        Ok(answer)
    }

    /// Runs `job` in a read transaction in which no expired lease is to be seen.
    async fn read<T: Send + 'static>(
        &self,
        what: &'static str,
        job: impl Fn(&Transaction<'_>) -> Result<T, StoreError> + Send + Sync + 'static,
    ) -> Result<T, StoreError> {
        let job = Arc::new(job);
        for swept in [false, true] {
            let job = job.clone();
            let answer = Self::run(&self.reader, what, move |connection, _, _| {
                let tx = connection.transaction().map_err(|e| schema::classify(e, what))?;
                let stale = !swept && !apply::expired(&tx, apply::now_ms()?)?.is_empty();
                if stale { Ok(None) } else { job(&tx).map(Some) }
            });
            match answer.await? {
                Some(answer) => return Ok(answer),
                None => self.write(what, |_, _| Ok(())).await?,
            }
        }
        Err(unavailable(what, "expired leases could not be swept"))
    }

    async fn follow(
        self,
        prefix: String,
        mut after: Option<Revision>,
        out: mpsc::Sender<Result<WatchEvent, StoreError>>,
    ) {
        let mut latest = match self.poller.start() {
            Ok(latest) => latest,
            Err(error) => return drop(out.send(Err(error)).await),
        };
        loop {
            let prefix = prefix.clone();
            match self.read("watch", move |tx| apply::since(tx, &prefix, after)).await {
                Ok((through, events)) => {
                    for event in events {
                        if out.send(Ok(event)).await.is_err() {
                            return;
                        }
                    }
                    after = Some(through);
                    let newer = latest.wait_for(|latest| *latest > through);
                    tokio::select! {
                        _ = out.closed() => return,
                        found = newer => if found.is_err() { return },
                    }
                }
                Err(error @ StoreError::Unavailable { .. }) => {
                    tracing::warn!(%error, "topology watch is behind");
                    tokio::time::sleep(REST).await;
                    if out.is_closed() {
                        return;
                    }
                }
                Err(error) => return drop(out.send(Err(error)).await),
            }
        }
    }
}

/// One write transaction on `connection`: sweep, then `job`. Returns the revision it left. Blocks.
fn write<T>(
    connection: &mut Connection,
    what: &str,
    wait: Duration,
    effect: &Effect,
    job: impl FnOnce(&Transaction<'_>, i64) -> Result<T, StoreError>,
) -> Result<(T, Revision), StoreError> {
    let classed = |e| schema::classify(e, what);
    connection.busy_timeout(wait).map_err(classed)?;
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(classed)?;
    if !effect.take() {
        return Err(unavailable(what, "its caller has given up on it"));
    }
    let now = apply::now_ms()?;
    apply::sweep(&tx, now)?;
    let answer = job(&tx, now)?;
    let revision = apply::revision(&tx)?;
    tx.commit().map_err(|e| match e.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DiskFull) => classed(e),
        _ => StoreError::Ambiguous { what: what.into(), why: e.to_string() },
    })?;
    Ok((answer, revision))
}

async fn finish<T>(
    running: tokio::task::JoinHandle<Result<T, StoreError>>,
    what: &str,
    wait: Duration,
    effect: &Effect,
) -> Result<T, StoreError> {
    let why = match tokio::time::timeout(wait, running).await {
        Ok(Ok(answer)) => return answer,
        Ok(Err(stopped)) => stopped.to_string(),
        Err(_) => format!("the file has not answered within {} s", wait.as_secs()),
    };
    Err(if effect.take() { unavailable(what, &why) } else { StoreError::Ambiguous { what: what.into(), why } })
}

fn unavailable(what: &str, why: &str) -> StoreError {
    StoreError::Unavailable { what: what.into(), why: why.into() }
}

fn millis(ttl: Duration) -> i64 {
    i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX / 4).clamp(1, i64::MAX / 4)
}

impl Store for SqliteStore {
    fn get<'a>(&'a self, key: &'a str) -> Answer<'a, Reading> {
        let key = key.to_string();
        Box::pin(
            self.read("get", move |tx| Ok(Reading { revision: apply::revision(tx)?, entry: apply::get(tx, &key)? })),
        )
    }

    fn list<'a>(&'a self, prefix: &'a str) -> Answer<'a, Listing> {
        let prefix = prefix.to_string();
        Box::pin(self.read("list", move |tx| apply::list(tx, &prefix)))
    }

    fn txn<'a>(&'a self, txn: Txn) -> Answer<'a, TxnOutcome> {
        Box::pin(async move {
            txn.check()?;
            self.write("transaction", move |tx, _| apply::txn(tx, &txn)).await
        })
    }

    fn watch(&self, prefix: &str, after: Option<Revision>) -> Watch {
        let (out, events) = mpsc::channel(WATCH_BUFFER);
        tokio::spawn(self.clone().follow(prefix.into(), after, out));
        Watch::new(events)
    }

    fn grant(&self, ttl: Duration) -> Answer<'_, (LeaseId, Duration)> {
        let ttl_ms = millis(ttl);
        Box::pin(self.write("lease grant", move |tx, now| Ok((apply::grant(tx, ttl_ms, now)?, ttl))))
    }

    fn keep_alive(&self, lease: LeaseId) -> Answer<'_, ()> {
        Box::pin(self.write("lease renewal", move |tx, now| apply::renew(tx, lease, now)))
    }

    fn revoke(&self, lease: LeaseId) -> Answer<'_, ()> {
        Box::pin(self.write("lease revocation", move |tx, _| apply::revoke(tx, lease)))
    }

    fn compact(&self, revision: Revision) -> Answer<'_, ()> {
        Box::pin(self.write("compaction", move |tx, _| apply::compact(tx, revision)))
    }
}
