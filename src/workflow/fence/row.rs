//! The fence's row: there from the workflow's start to its end, open but for the switch.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::engine::EngineError;
use crate::model::fence::Epoch;
use crate::mysql::MysqlError;
use crate::mysql::admin::{
    FENCES, Session, create_part, drop_part_if_empty, lock_sidecar, open_transactions, part_exists, unlock_sidecar,
};

use super::evict::evict;
use super::session::Silence;
use super::{Fence, FenceError, arm, patience};

/// How long to wait for another session that creates or drops the sidecar.
const LOCK_WAIT: Duration = Duration::from_secs(10);
/// How long dropping a trigger may take when the workflow goes.
const FORGET: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);

/// What a fence's row says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FenceState {
    /// Whether writers are turned away.
    pub closed: bool,
    /// By whose will.
    pub epoch: Epoch,
}

/// What became of a wish to open or shut a fence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Done now.
    Done,
    /// It was so already, by this epoch or a higher one.
    Already(FenceState),
}

/// Makes schema, table and row, the row open and of epoch 0; leaves a row that is there as it is. Must be done when the
/// workflow starts, on every primary of both sides: a writer's snapshot older than the table would be an error to that writer.
pub async fn ensure(fence: &Fence) -> Result<(), FenceError> {
    make(fence, false, Epoch(0)).await
}

/// The same for a side that must not be open: a row that is missing is made closed. (Made open and closed then, it would let
/// writers through that the lack of a row has turned away.)
pub async fn ensure_closed(fence: &Fence, epoch: Epoch) -> Result<(), FenceError> {
    make(fence, true, epoch).await
}

async fn make(fence: &Fence, closed: bool, epoch: Epoch) -> Result<(), FenceError> {
    let mut session = fence.session(Silence::Nothing).await?;
    lock(fence, &mut session).await?;
    let insert = format!(
        "INSERT IGNORE INTO _shardlift.fence (workflow_uid, keyspace, shard, closed, epoch, workflow)
         VALUES ('{}', '{}', '{}', {}, {epoch}, '{}')",
        fence.key.uid,
        fence.key.keyspace,
        fence.key.shard,
        u8::from(closed),
        fence.workflow
    );
    let made = async {
        create_part(&mut session, &FENCES).await?;
        session.execute(&insert).await?;
        unlock_sidecar(&mut session).await
    };
    made.await.map_err(|error| fence.server(error))?;
    session.close().await;
    Ok(())
}

/// What the row says; `None` where there is none.
pub async fn state(fence: &Fence) -> Result<Option<FenceState>, FenceError> {
    let mut session = fence.session(Silence::Nothing).await?;
    let state = read(fence, &mut session).await;
    session.close().await;
    state
}

/// Reads the row in `session`.
pub(super) async fn read(fence: &Fence, session: &mut Session) -> Result<Option<FenceState>, FenceError> {
    let sql = format!("SELECT closed, epoch FROM _shardlift.fence WHERE {}", fence.key.condition());
    match session.row(&sql).await {
        Ok(row) => Ok(row.map(|row| state_of(&row))),
        // No such table, no such schema.
        Err(MysqlError::Server { code: 1146 | 1049, .. }) => Ok(None),
        Err(error) => Err(fence.server(error)),
    }
}

pub(super) fn state_of(row: &crate::mysql::admin::Record) -> FenceState {
    FenceState { closed: row.number(0) != Some(0), epoch: Epoch(row.number(1).unwrap_or_default()) }
}

/// Opens the fence to writers. Until `deadline` it waits for transactions that were refused and have not ended: they still
/// hold the row. One that does not end is [ended](evict), if it can be told from others.
pub async fn open(fence: &Fence, epoch: Epoch, deadline: Instant) -> Result<Outcome, FenceError> {
    set(fence, false, epoch, deadline).await
}

/// Closes one fence where nobody writes: the side that opens later, before it is armed. Where somebody may be writing, this
/// would stall all writers for as long as any of them takes; that is what [`close`](super::close) is for. A row that somebody
/// has lost is made.
pub async fn shut(fence: &Fence, epoch: Epoch, deadline: Instant) -> Result<Outcome, FenceError> {
    // One that is shut is left alone: clients that it has refused and that go on with their transactions hold its row.
    match state(fence).await? {
        Some(shut) if shut.closed => return Ok(Outcome::Already(shut)),
        Some(_) => {}
        None => ensure_closed(fence, epoch).await?,
    }
    set(fence, true, epoch, deadline).await
}

async fn set(fence: &Fence, closed: bool, epoch: Epoch, deadline: Instant) -> Result<Outcome, FenceError> {
    let mut session = fence.session(Silence::Row).await?;
    let (began, mut tries) = (Instant::now(), 0);
    let outcome = loop {
        tries += 1;
        match session.execute(&set_sql(fence, closed, epoch)).await {
            Ok(1) => break Outcome::Done,
            Ok(_) => match read(fence, &mut session).await? {
                None => return Err(fence.missing()),
                Some(state) if state.closed == closed => break Outcome::Already(state),
                Some(state) => return Err(fence.superseded(epoch, state)),
            },
            Err(error) if patience::is_wait(&error) && Instant::now() + PAUSE < deadline => {
                if !closed {
                    evict(fence).await?;
                }
                sleep(PAUSE).await;
            }
            Err(error) if patience::is_wait(&error) => return Err(fence.held(&mut session, began, tries).await),
            Err(error) => return Err(fence.server(error)),
        }
    };
    session.close().await;
    Ok(outcome)
}

/// The statement that moves the row; it must match one.
pub(super) fn set_sql(fence: &Fence, closed: bool, epoch: Epoch) -> String {
    let (closed, condition) = (u8::from(closed), fence.key.condition());
    format!("UPDATE _shardlift.fence SET closed = {closed}, epoch = {epoch} WHERE {condition} AND epoch < {epoch}")
}

/// Removes what the fence left on the server: triggers, then row, then table and schema if nobody else needs them.
pub async fn forget(fence: &Fence) -> Result<(), FenceError> {
    arm::disarm(fence, Epoch(u64::MAX), FORGET).await?;
    let mut session = fence.session(Silence::Nothing).await?;
    lock(fence, &mut session).await?;
    let gone = async {
        if part_exists(&mut session, &FENCES).await? {
            session.execute(&format!("DELETE FROM _shardlift.fence WHERE {}", fence.key.condition())).await?;
        }
        drop_part_if_empty(&mut session, &FENCES).await?;
        unlock_sidecar(&mut session).await
    };
    gone.await.map_err(|error| fence.server(error))?;
    session.close().await;
    Ok(())
}

async fn lock(fence: &Fence, session: &mut Session) -> Result<(), FenceError> {
    // The statement itself waits.
    session.set_limit(2 * LOCK_WAIT);
    match lock_sidecar(session, LOCK_WAIT).await {
        Ok(true) => Ok(()),
        Ok(false) => {
            let late = EngineError::Timeout { what: "waiting for the sidecar's lock", seconds: LOCK_WAIT.as_secs() };
            Err(FenceError::Server { workflow: fence.workflow.clone(), source: late })
        }
        Err(error) => Err(fence.server(error)),
    }
}

impl Fence {
    pub(super) fn missing(&self) -> FenceError {
        FenceError::Missing { workflow: self.workflow.clone(), side: self.side.label.clone() }
    }

    pub(super) fn superseded(&self, asked: Epoch, FenceState { closed, epoch: found }: FenceState) -> FenceError {
        let (workflow, side) = (self.workflow.clone(), self.side.label.clone());
        FenceError::Superseded { workflow, side, asked, found, closed }
    }

    /// Says who may hold the row; the wait is over either way.
    pub(super) async fn held(&self, session: &mut Session, began: Instant, tries: u32) -> FenceError {
        let (workflow, side, waited) = (self.workflow.clone(), self.side.label.clone(), began.elapsed());
        let blockers = open_transactions(session, Duration::ZERO).await.unwrap_or_default();
        FenceError::Held { workflow, side, waited, tries, blockers }
    }
}
