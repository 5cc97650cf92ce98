//! Whether a switch may begin: waits until the stream is level and long transactions have ended, for as long as was asked.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::engine::connect::Side;
use crate::engine::progress::Progress;
use crate::model::TableName;
use crate::model::switch::SwitchRequest;
use crate::model::workflow::StreamState;
use crate::mysql::admin::{open_transactions, xa_recover};
use crate::mysql::quote;
use crate::workflow::carry::Streaming;

use super::SwitchError;
use super::ends::Ends;

/// Level enough: what is left is applied within the pause.
const LEVEL: Duration = Duration::from_secs(1);
/// A transaction open for longer may be somebody's coffee break.
const LONG: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(100);

/// Waits until nothing stands in the way; says what does, if that takes longer than the request allows.
pub async fn check(
    request: &SwitchRequest,
    ends: &Ends,
    progress: &Progress,
    streaming: &mut Streaming,
) -> Result<(), SwitchError> {
    let most = Duration::from_millis(request.max_lag_ms);
    // One that has just been started does not know yet, and is waited for.
    if let Some(lag) = progress.snapshot().lag().filter(|lag| *lag > most) {
        return Err(SwitchError::Refused(format!(
            "the stream lags {:.1} s, more than the {} s allowed (--max-replication-lag-allowed); wait until it has caught up",
            lag.as_secs_f64(),
            most.as_secs()
        )));
    }
    let end = Instant::now() + Duration::from_millis(request.timeout_ms);
    loop {
        if streaming.is_over() {
            return Err(streaming
                .ended()
                .await
                .err()
                .map_or_else(|| SwitchError::Refused("the stream has come to its end".into()), SwitchError::Engine));
        }
        let mut waiting = not_level(progress);
        if waiting.is_none() && request.writes() {
            waiting = unsettled(ends).await?;
        }
        let Some(waiting) = waiting else { break };
        if Instant::now() > end {
            return Err(SwitchError::Refused(format!(
                "not ready within {} s (--timeout): {waiting}",
                request.timeout_ms / 1_000
            )));
        }
        sleep(LOOK).await;
    }
    if request.writes() && request.way_back {
        for end in &ends.closing {
            may_write(&end.fence.side, &end.fence.tables).await?;
        }
    }
    Ok(())
}

fn not_level(progress: &Progress) -> Option<String> {
    let snapshot = progress.snapshot();
    if snapshot.state != StreamState::Running {
        return Some(format!("the stream is {} and not Running: {}", snapshot.state, snapshot.message));
    }
    match snapshot.lag() {
        Some(lag) if lag <= LEVEL => None,
        Some(lag) => Some(format!("the stream lags {:.1} s", lag.as_secs_f64())),
        None => Some("the stream's lag is not known yet".into()),
    }
}

/// What would hold the fence, or pass through it.
async fn unsettled(ends: &Ends) -> Result<Option<String>, SwitchError> {
    for end in &ends.closing {
        let side = &end.fence.side;
        let mut session = side.session().await?;
        let long = open_transactions(&mut session, LONG).await?;
        let prepared = xa_recover(&mut session).await?;
        session.close().await;
        if let Some(xa) = prepared.first() {
            return Ok(Some(format!(
                "{}: {} prepared XA transaction(s), e.g. {}: commit or roll them back",
                side.label,
                prepared.len(),
                xa.xid
            )));
        }
        // One that only reads may hold up the arming, which says so itself, before anybody is made to wait.
        if let Some(oldest) = long.iter().find(|open| open.has_written) {
            return Ok(Some(format!(
                "{}: a long transaction would hold the fence: {oldest}; end it (KILL {})",
                side.label, oldest.connection
            )));
        }
    }
    Ok(None)
}

/// Whether our account may write the tables there, as the way back will have to.
async fn may_write(side: &Side, tables: &[TableName]) -> Result<(), SwitchError> {
    let mut session = side.session().await?;
    for table in tables {
        let name = quote::table_name(&side.database, table);
        if let Err(error) = session.execute(&format!("DELETE FROM {name} LIMIT 0")).await {
            return Err(SwitchError::Refused(format!(
                "{}: the way back could not be written: {error}; cure that, or switch with \
                 --enable-reverse-replication=false",
                side.label
            )));
        }
    }
    session.close().await;
    Ok(())
}
