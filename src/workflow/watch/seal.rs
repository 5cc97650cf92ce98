//! Making sure that a primary of the closed side is closed: the one that was closed is, one that has come since may not be.

use std::time::Duration;

use tokio::time::Instant;

use crate::engine::EngineError;
use crate::model::GtidSet;
use crate::model::fence::Epoch;
use crate::mysql::admin::{gtid_state, wait_for_executed_gtid_set};
use crate::workflow::fence::{self, Fence, FenceError};

/// How long a server that was just promoted may take to apply what it was sent.
const BEHIND: Duration = Duration::from_secs(10);

/// Whether the fence is closed and its triggers are whole.
pub async fn is_sealed(fence: &Fence) -> Result<bool, FenceError> {
    Ok(fence::state(fence).await?.is_some_and(|state| state.closed) && fence::armed(fence).await?.is_some())
}

/// Closes the fence and arms its tables, if they are not; whether anything had to be done. The row comes first: tables that
/// are armed already turn everybody away from then on. Row and triggers may take `each` this long.
pub async fn seal(fence: &Fence, epoch: Epoch, each: Duration) -> Result<bool, FenceError> {
    let shut = fence::shut(fence, epoch, Instant::now() + each).await?;
    if fence::armed(fence).await?.is_none() {
        fence::arm(fence, epoch, each).await?;
        return Ok(true);
    }
    Ok(shut == fence::Outcome::Done)
}

/// What of `drained` the server will never have, if it is a primary that was promoted without it; empty if it has all.
pub async fn lacks(fence: &Fence, drained: &GtidSet) -> Result<GtidSet, EngineError> {
    let at = EngineError::at(&fence.side.label);
    let mut session = fence.side.session().await?;
    let mut missing = drained.minus(&gtid_state(&mut session).await.map_err(&at)?.executed);
    if !missing.is_empty() && !wait_for_executed_gtid_set(&mut session, &missing, BEHIND).await.map_err(&at)? {
        missing = drained.minus(&gtid_state(&mut session).await.map_err(&at)?.executed);
    } else {
        missing = GtidSet::new();
    }
    session.close().await;
    Ok(missing)
}
