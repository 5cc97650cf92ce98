//! Opening a fence without making anybody wait for a connection, a look or a second try.
//!
//! The row is locked and its opening written beforehand, and only the COMMIT is left for the moment at which the fence may
//! open. Writers that come between find the row locked, wait for it, and pass; nobody is turned away in vain.
//!
//! Invariant: until the COMMIT the fence is closed for everybody. Who dies, is cut off, or is taken over from before sends
//! none, and the server rolls back; while the row is locked nobody else moves it.

use crate::model::fence::Epoch;

use super::evict::evict;
use super::row::{FenceState, set_sql, state_of};
use super::session::Silence;
use super::{Fence, FenceError, patience};
use crate::mysql::admin::Session;

/// How long the row may be in use, milliseconds, by clients that were refused and have not ended their transactions: those
/// that give up at once, and those that were [ended](evict) because they did not.
const LOCK_MS: [u32; 2] = [80, 40];

/// A session that is to open a fence.
#[derive(Debug)]
pub struct Opening {
    fence: Fence,
    epoch: Epoch,
    session: Session,
}

/// A fence that lacks nothing but the COMMIT to be open. Dropping it leaves the fence closed.
#[derive(Debug)]
pub struct Poised {
    fence: Fence,
    session: Session,
}

impl Opening {
    /// Connects. The server ends the session when nothing is asked of it for a few seconds.
    pub async fn prepare(fence: &Fence, epoch: Epoch) -> Result<Self, FenceError> {
        Ok(Self { fence: fence.clone(), epoch, session: fence.session(Silence::Row).await? })
    }

    /// Locks the row and writes what the COMMIT is to make known; `None` if somebody has the row: then it must be opened
    /// [with patience](super::open).
    pub async fn poise(self) -> Result<Option<Poised>, FenceError> {
        let Self { fence, epoch, mut session } = self;
        session.execute("START TRANSACTION").await.map_err(|error| fence.server(error))?;
        let mut found = lock(&fence, &mut session, LOCK_MS[0]).await?;
        if found.is_none() && evict(&fence).await? > 0 {
            found = lock(&fence, &mut session, LOCK_MS[1]).await?;
        }
        match found {
            Some(state) if state.epoch < epoch => {}
            Some(state) => return Err(fence.superseded(epoch, state)),
            None => return Ok(None),
        }
        match session.execute(&set_sql(&fence, false, epoch)).await.map_err(|error| fence.server(error))? {
            1 => Ok(Some(Poised { fence, session })),
            _ => Err(fence.missing()),
        }
    }
}

/// Locks the row, if it comes free within `limit_ms`.
async fn lock(fence: &Fence, session: &mut Session, limit_ms: u32) -> Result<Option<FenceState>, FenceError> {
    let condition = fence.key.condition();
    let select = format!(
        "SELECT /*+ MAX_EXECUTION_TIME({limit_ms}) */ closed, epoch FROM _shardlift.fence WHERE {condition} FOR UPDATE"
    );
    match session.row(&select).await {
        Ok(Some(row)) => Ok(Some(state_of(&row))),
        Ok(None) => Err(fence.missing()),
        Err(error) if patience::is_wait(&error) => Ok(None),
        Err(error) => Err(fence.server(error)),
    }
}

impl Poised {
    /// Opens it.
    pub async fn open(mut self) -> Result<(), FenceError> {
        self.session.execute("COMMIT").await.map(drop).map_err(|error| self.fence.server(error))
    }
}
