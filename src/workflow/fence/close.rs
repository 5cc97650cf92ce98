//! Closing fences on all servers at once, in two phases (design §5.1).
//!
//! First every row is locked, each in a short try; a single failure rolls all back, so that no writer waits for a server that
//! is not the reason. Only when all are locked, so that no writer holds any of them, are all updated and committed. In a
//! deadlock with writers the fence has changed nothing yet and is the cheapest victim.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep, timeout_at};

use crate::engine::EngineError;
use crate::model::GtidSet;
use crate::model::fence::Epoch;
use crate::mysql::MysqlError;
use crate::mysql::admin::{PreparedXa, Session, gtid_state, xa_recover};

use super::row::{self, set_sql, state_of};
use super::session::{STATEMENT, Silence};
use super::{Fence, FenceError, patience};

/// How long the first look at the rows waits for them, and all writers behind it.
const GLANCE: Duration = Duration::from_millis(15);
/// How long prepared XA transactions may take to be decided while writers are turned away.
const XA_PATIENCE: Duration = Duration::from_millis(200);
const XA_LOOK: Duration = Duration::from_millis(10);
/// How long it may take to open again what should not have been closed.
const REOPEN: Duration = Duration::from_secs(2);
/// A commit may take this long even close to the deadline: its outcome would be unknown.
const SHORTEST_COMMIT: Duration = Duration::from_secs(1);
/// What a try may take beyond its own limit before the server counts as lost.
const SLACK: Duration = Duration::from_secs(3);

/// Fences that are closed.
#[derive(Debug, Clone)]
pub struct Closed {
    /// For each fence, in their order, its server's `gtid_executed` after the commit: all that writers did, and the closing
    /// itself (F of design §5.2).
    pub executed: Vec<GtidSet>,
    /// How many tries it took.
    pub tries: u32,
    /// From the first try to the last commit.
    pub took: Duration,
}

/// Closes all `fences` or none. On error they are open, or will be once they are [opened](super::open) with an epoch of at
/// least `epoch` + 2; which whoever undoes must do in any case, for an answer may be lost on the way.
pub async fn close(fences: &[Fence], epoch: Epoch, deadline: Instant) -> Result<Closed, FenceError> {
    Closing::prepare(fences, epoch, deadline).await?.close(deadline).await
}

/// Fences about to be closed: all that takes time and holds nobody up is done.
#[derive(Debug)]
pub struct Closing {
    closers: Vec<Closer>,
    epoch: Epoch,
    /// Whether all rows are locked by [`Self::take`].
    taken: bool,
}

impl Closing {
    /// Connects. The servers end these sessions when nothing is asked of them for a few seconds.
    pub async fn prepare(fences: &[Fence], epoch: Epoch, deadline: Instant) -> Result<Self, FenceError> {
        let opened = join_all(fences.iter().map(|fence| Closer::open(fence, epoch, deadline))).await;
        Ok(Self { closers: opened.into_iter().collect::<Result<_, _>>()?, epoch, taken: false })
    }

    /// Waits until nobody holds the rows for long: a transaction that is idle after it has written would hold up the closing,
    /// and with it everybody who is made to wait for that. The rows are locked for a moment and let go; whether that was
    /// possible before `until`.
    pub async fn wait_for_quiet(&mut self, until: Instant) -> Result<bool, FenceError> {
        let quiet = self.take(until).await?;
        if quiet {
            rollback_all(&mut self.closers).await;
            self.taken = false;
        }
        Ok(quiet)
    }

    /// Locks the rows as that does, and keeps them for [`Self::close`], which must follow at once: nobody can come between.
    pub async fn take(&mut self, until: Instant) -> Result<bool, FenceError> {
        let mut limit = GLANCE;
        loop {
            let locked = join_all(self.closers.iter_mut().map(|closer| closer.lock(limit))).await;
            let locked = locked.into_iter().collect::<Result<Vec<_>, _>>();
            self.taken = locked.as_ref().is_ok_and(|locked| locked.iter().all(|locked| *locked));
            if self.taken {
                return Ok(true);
            }
            rollback_all(&mut self.closers).await;
            locked?;
            if Instant::now() >= until {
                return Ok(false);
            }
            patience::pause().await;
            limit = patience::longer(limit).min(patience::FIRST);
        }
    }

    /// Closes them, as [`close`] does.
    pub async fn close(self, deadline: Instant) -> Result<Closed, FenceError> {
        let Self { mut closers, epoch, taken } = self;
        closers.iter_mut().for_each(|closer| closer.deadline = deadline);
        let began = Instant::now();
        let tries = if taken { 1 } else { lock_all(&mut closers, began, deadline).await? };
        let updated = join_all(closers.iter_mut().map(Closer::update)).await;
        if let Some(error) = updated.into_iter().find_map(Result::err) {
            rollback_all(&mut closers).await;
            return Err(error);
        }
        let committed = join_all(closers.iter_mut().map(Closer::commit)).await;
        let took = began.elapsed();
        let closed = async {
            committed.into_iter().collect::<Result<Vec<_>, _>>()?;
            join_all(closers.iter_mut().map(Closer::look)).await.into_iter().collect::<Result<Vec<_>, _>>()
        };
        match closed.await {
            // The sessions end in the background.
            Ok(executed) => Ok(Closed { executed, tries, took }),
            Err(error) => {
                let until = Instant::now() + REOPEN;
                let again = closers.iter().map(|closer| row::open(&closer.fence, epoch.next(), until));
                for failed in join_all(again).await.into_iter().filter_map(Result::err) {
                    tracing::warn!(error = %failed, "a fence could not be opened again at once");
                }
                Err(error)
            }
        }
    }
}

/// Locks all rows, however many tries it takes until `deadline`: how many it took.
async fn lock_all(closers: &mut [Closer], began: Instant, deadline: Instant) -> Result<u32, FenceError> {
    let (mut tries, mut limit) = (0, patience::FIRST);
    loop {
        tries += 1;
        let locked = join_all(closers.iter_mut().map(|closer| closer.lock(limit))).await;
        let mut waited_for = None;
        for (index, outcome) in locked.into_iter().enumerate() {
            match outcome {
                Ok(true) => {}
                Ok(false) => waited_for = Some(index),
                Err(error) => {
                    rollback_all(closers).await;
                    return Err(error);
                }
            }
        }
        let Some(index) = waited_for else { return Ok(tries) };
        rollback_all(closers).await;
        if Instant::now() + limit >= deadline {
            let closer = &mut closers[index];
            return Err(closer.fence.held(&mut closer.session, began, tries).await);
        }
        patience::pause().await;
        limit = patience::longer(limit);
    }
}

async fn rollback_all(closers: &mut [Closer]) {
    // A session that cannot even do this is dropped with its locks.
    join_all(closers.iter_mut().map(|closer| closer.session.execute("ROLLBACK"))).await;
}

/// One fence being closed.
#[derive(Debug)]
struct Closer {
    fence: Fence,
    epoch: Epoch,
    deadline: Instant,
    session: Session,
}

impl Closer {
    async fn open(fence: &Fence, epoch: Epoch, deadline: Instant) -> Result<Self, FenceError> {
        let opened = timeout_at(deadline, fence.session(Silence::Row)).await;
        let late = |_| EngineError::Timeout { what: "connecting to close a fence", seconds: 0 };
        let session = opened.map_err(late).map_err(|source| fence.wrap(source))??;
        Ok(Self { fence: fence.clone(), epoch, deadline, session })
    }

    /// Locks the row; `false` if it did not come free within `limit`.
    async fn lock(&mut self, limit: Duration) -> Result<bool, FenceError> {
        let Self { fence, epoch, session, .. } = self;
        session.set_limit(limit + SLACK);
        let select = format!(
            "SELECT /*+ MAX_EXECUTION_TIME({}) */ closed, epoch FROM _shardlift.fence WHERE {} FOR UPDATE",
            limit.as_millis(),
            fence.key.condition()
        );
        let locked = async {
            session.execute("START TRANSACTION").await?;
            session.row(&select).await
        };
        match locked.await {
            Ok(Some(row)) if state_of(&row).epoch < *epoch => Ok(true),
            Ok(Some(row)) => Err(fence.superseded(*epoch, state_of(&row))),
            Ok(None) => Err(fence.missing()),
            Err(error) if patience::is_wait(&error) => Ok(false),
            Err(error) => Err(fence.server(error)),
        }
    }

    async fn update(&mut self) -> Result<(), FenceError> {
        self.session.set_limit(STATEMENT);
        match self.session.execute(&set_sql(&self.fence, true, self.epoch)).await {
            Ok(1) => Ok(()),
            Ok(_) => Err(self.fence.missing()),
            Err(error) => Err(self.fence.server(error)),
        }
    }

    async fn commit(&mut self) -> Result<(), FenceError> {
        // Semi-synchronous replication may hold it; then writers wait, and it is better to give up.
        self.session.set_limit(self.deadline.saturating_duration_since(Instant::now()).max(SHORTEST_COMMIT));
        self.session.execute("COMMIT").await.map(drop).map_err(|error| self.fence.server(error))
    }

    /// After the commit: what was executed, and whether anything prepared may still come.
    async fn look(&mut self) -> Result<GtidSet, FenceError> {
        self.session.set_limit(STATEMENT);
        let state = gtid_state(&mut self.session).await.map_err(|error| self.fence.server(error))?;
        let xids = undecided(&mut self.session).await.map_err(|error| self.fence.server(error))?;
        if xids.is_empty() {
            return Ok(state.executed);
        }
        let (workflow, side) = (self.fence.workflow.clone(), self.fence.side.label.clone());
        Err(FenceError::PreparedXa { workflow, side, xids })
    }
}

/// Those of the XA transactions prepared now that are not decided in time. One prepared before the table was armed, or before
/// the server was restarted, has no lock on the fence and could commit through it (protocol-review A1 d, e); one prepared from
/// now on has passed the fence.
async fn undecided(session: &mut Session) -> Result<Vec<PreparedXa>, MysqlError> {
    let until = Instant::now() + XA_PATIENCE;
    let mut left = xa_recover(session).await?;
    while !left.is_empty() && Instant::now() < until {
        sleep(XA_LOOK).await;
        let now = xa_recover(session).await?;
        left.retain(|xa| now.contains(xa));
    }
    Ok(left)
}
