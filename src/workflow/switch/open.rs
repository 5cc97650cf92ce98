//! What follows the commit of a switch of writes: the old side is seen to, then the new one is opened. Safe to repeat, by any
//! owner, at any time.
//!
//! # Invariants
//! - The new side is opened only where its present primary has everything that was drained to it.
//! - And only when no primary of the old side may be open: the one whose fence the switch has closed is closed even while it
//!   cannot be reached; one that has come since must be reached and closed first.

use std::time::Duration;

use tokio::time::Instant;

use crate::engine::EngineError;
use crate::failpoint::Failpoints;
use crate::model::switch::{Phase, Switch};
use crate::model::{Broken, GtidSet};
use crate::mysql::Credentials;
use crate::topology::records::Workflow;
use crate::workflow::carry::{Desk, key_of, now};
use crate::workflow::fence;
use crate::workflow::watch::{lacking, lacks, seal};

use super::SwitchError;
use super::drain;
use super::ends::{End, Ends};
use super::undo::{open_one, reach, turn};

/// Where opening the new side may be made to fail: the record is read, the closed side is seen to, the new one is open.
pub const OPEN_POINTS: [&str; 3] = ["open-read", "open-closed", "open-opened"];
/// How long one fence may take.
const ONE: Duration = Duration::from_secs(5);

/// Opens the new side of a committed switch; when it was open. The old one stays closed for as long as the workflow lives,
/// and both stay armed: to drop triggers from tables in use, and to make them again for the next switch, breaks off
/// transactions that read before they write.
pub async fn open(desk: &Desk, credentials: &Credentials, failpoints: &Failpoints) -> Result<Instant, SwitchError> {
    let record = turn(desk, &Phase::Finishing, true).await?.record;
    let switch = match record.open_switch() {
        Some(switch) if switch.phase == Phase::Finishing && switch.request.writes() => switch,
        _ => return Ok(Instant::now()),
    };
    reach(failpoints, OPEN_POINTS[0]).await?;
    let drained = drained(switch)?;
    let ends = Ends::resolve(&desk.topology, credentials, &record, switch.request.direction).await?;
    for (end, drained) in ends.closing.iter().zip(&drained) {
        keep_closed(desk, &record, end, drained).await?;
    }
    for (pair, old, new) in ends.flowing() {
        let drained = drained.get(pair.old).ok_or(EngineError::Sidecar("switch.drained"))?;
        let key = key_of(&record, switch.request.direction, &old.fence.key.shard, &new.fence.key.shard);
        drain::still_has(&new.fence, &key, drained).await?;
    }
    reach(failpoints, OPEN_POINTS[1]).await?;
    for end in &ends.opening {
        // One that is open is left alone: writers hold its row.
        if fence::state(&end.fence).await?.is_none_or(|state| state.closed) {
            open_one(&end.fence, record.epoch).await?;
        }
    }
    let opened = Instant::now();
    reach(failpoints, OPEN_POINTS[2]).await?;
    Ok(opened)
}

/// What the new side was given of each shard of the old one.
fn drained(switch: &Switch) -> Result<Vec<GtidSet>, EngineError> {
    let drained = switch.drained.iter().map(|text| text.parse::<GtidSet>());
    drained.collect::<Result<_, _>>().map_err(|_| EngineError::Sidecar("switch.drained"))
}

/// Makes sure that the old side's present primary is closed, and notes it where the way back goes with a new one.
async fn keep_closed(desk: &Desk, record: &Workflow, end: &End, drained: &GtidSet) -> Result<(), SwitchError> {
    let known = record.closed.as_ref().and_then(|closed| closed.shards.get(&end.fence.key.shard));
    let same = known.is_some_and(|known| known.primary.as_ref() == Some(&end.primary));
    match seal(&end.fence, record.epoch, Instant::now() + ONE).await {
        Err(error) if same => {
            tracing::warn!(%error, "the closed side cannot be looked at; its fence is closed all the same");
            return Ok(());
        }
        outcome => drop(outcome?),
    }
    if same {
        return Ok(());
    }
    let missing = lacks(&end.fence, drained).await?;
    if !missing.is_empty() {
        let why = lacking(&end.fence, &missing);
        desk.log(&format!("the way back is broken: {why}")).await?;
        let broken = Broken { why, strangers: GtidSet::new(), at: now() };
        desk.change(|record| {
            if let Some(closed) = record.closed.as_mut() {
                closed.broken.get_or_insert_with(|| broken.clone());
            }
        })
        .await?;
    }
    Ok(())
}
