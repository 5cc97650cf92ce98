//! Between the closed fence and the commit: everything that was written has arrived, and nothing moves it any more.

use tokio::time::{Instant, sleep};

use std::time::Duration;

use crate::engine::EngineError;
use crate::engine::checkpoint::Checkpoint;
use crate::engine::connect::Side;
use crate::engine::progress::Progress;
use crate::engine::sidecar::{self, StreamKey};
use crate::model::GtidSet;
use crate::mysql::admin::{gtid_state, wait_for_executed_gtid_set};
use crate::workflow::carry::Streaming;
use crate::workflow::fence::Fence;

use super::SwitchError;
use super::ends::End;

const LOOK: Duration = Duration::from_millis(2);

/// Waits until the stream has passed `fence` (F of design §5.2): its own reader has met the fence's transaction, for that is
/// in F, and P has all of F. On the server's own order of events and not on numbers rests that nothing is missing.
pub async fn passed(
    fence: &GtidSet,
    progress: &Progress,
    streaming: &mut Streaming,
    end: Instant,
) -> Result<(), SwitchError> {
    loop {
        let position = progress.look(|snapshot| snapshot.position.parse::<GtidSet>().unwrap_or_default());
        if fence.is_subset(&position) {
            return Ok(());
        }
        if streaming.is_over() {
            let ended = streaming.ended().await;
            return Err(ended.err().unwrap_or(EngineError::Cancelled).into());
        }
        if Instant::now() > end {
            return Err(SwitchError::Refused(format!("the stream has not read {} yet", fence.minus(&position))));
        }
        sleep(LOOK).await;
    }
}

/// Takes the stream's place on the new side, so that nobody moves it any more, and makes sure that it has all of `fence`;
/// what the new side has then.
pub async fn freeze(new: &Fence, key: &StreamKey, fence: &GtidSet) -> Result<Frozen, SwitchError> {
    let mut session = new.working_session().await?;
    let id = sidecar::enter(&mut session, key).await?;
    let checkpoint = Checkpoint::claim(&mut session, id, key.uid).await?;
    let state = gtid_state(&mut session).await?;
    session.close().await;
    if !fence.is_subset(&checkpoint.position) || !checkpoint.is_consistent() {
        return Err(SwitchError::Lacking { missing: fence.minus(&checkpoint.position) });
    }
    Ok(Frozen { executed: state.executed, server: state.server_uuid.to_string() })
}

/// The new side at rest.
#[derive(Debug, Clone)]
pub struct Frozen {
    /// Its `gtid_executed`: everything that was streamed to it.
    pub executed: GtidSet,
    /// Its `server_uuid`.
    pub server: String,
}

/// A server's `gtid_executed`.
pub async fn executed(side: &Side) -> Result<GtidSet, SwitchError> {
    let mut session = side.session().await?;
    let state = gtid_state(&mut session).await?;
    session.close().await;
    Ok(state.executed)
}

/// Waits until at least one replica of `end` that may be promoted has `set`, if there is one.
pub async fn replicated(end: &End, set: &GtidSet, until: Instant) -> Result<(), SwitchError> {
    if end.replicas.is_empty() {
        return Ok(());
    }
    let wait = until.saturating_duration_since(Instant::now());
    let asked = end.replicas.iter().map(|replica| {
        Box::pin(async move {
            let mut session = replica.session().await?;
            let there = wait_for_executed_gtid_set(&mut session, set, wait).await?;
            session.close().await;
            match there {
                true => Ok(()),
                false => Err(SwitchError::Refused(format!("{} does not keep up", replica.label))),
            }
        })
    });
    futures_util::future::select_ok(asked).await.map(drop)
}

/// Whether the present primary of the new side has what was drained to the one before: a replica promoted since may not.
pub async fn still_has(new: &Fence, key: &StreamKey, drained: &GtidSet) -> Result<(), SwitchError> {
    let mut session = new.side.session().await?;
    let position = sidecar::position(&mut session, key).await?.unwrap_or_default();
    session.close().await;
    match drained.is_subset(&position) {
        true => Ok(()),
        false => Err(SwitchError::Refused(format!(
            "{}: this primary lacks transactions that were moved to the one before it ({}): it stays closed. Make the \
             former primary, or a replica that has them, the primary again (`shard set-primary`)",
            new.side.label,
            drained.minus(&position)
        ))),
    }
}
