//! What follows the commit of a switch of writes: the old side is seen to, then the new one is opened. Safe to repeat, by any
//! owner, at any time.
//!
//! # Invariants
//! - The new side is opened, and left open, only where its present primary has everything that its shard had at the commit: a
//!   replica promoted since may not, whatever its fence's row says.
//! - And only when no primary of the old side may be open: the one whose fence the switch has closed is closed even while it
//!   cannot be reached; one that has come since must be reached and closed first.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use crate::engine::EngineError;
use crate::failpoint::Failpoints;
use crate::model::switch::{Direction, Phase, Switch};
use crate::model::{Broken, GtidSet};
use crate::mysql::Credentials;
use crate::topology::Topology;
use crate::topology::records::Workflow;
use crate::workflow::carry::{Desk, now};
use crate::workflow::fence;
use crate::workflow::watch::{lacking, lacks, seal};

use super::SwitchError;
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
    if drained.len() != ends.closing.len() {
        return Err(EngineError::Sidecar("switch.drained").into());
    }
    let closed = ends.closing.iter().zip(&drained).map(|(end, drained)| keep_closed(desk, &record, end, drained));
    let closed = join_all(closed).await;
    reach(failpoints, OPEN_POINTS[1]).await?;
    let open = ends.opening.iter().enumerate().filter(|(new, _)| {
        // A shard of the old side that may be open keeps those shut that it flows to, and no others.
        ends.pairs.iter().filter(|pair| pair.new == *new).all(|pair| closed.get(pair.old).is_some_and(Result::is_ok))
    });
    let open = open.map(|(_, end)| open_end(&record, end, switch.request.direction));
    let opened = join_all(open.collect::<Vec<_>>()).await;
    closed.into_iter().chain(opened).collect::<Result<(), _>>()?;
    let opened = Instant::now();
    reach(failpoints, OPEN_POINTS[2]).await?;
    Ok(opened)
}

/// Opens the primary of one end that takes writes since a switch in `direction`, if it is closed.
async fn open_end(record: &Workflow, end: &End, direction: Direction) -> Result<(), SwitchError> {
    let has_all = has_all(record, end, direction).await;
    let open = fence::state(&end.fence).await?.is_some_and(|state| !state.closed);
    match has_all {
        // One that is open is left alone: writers hold its row.
        Ok(()) if open => Ok(()),
        Ok(()) => open_one(&end.fence, record.epoch).await,
        Err(error @ SwitchError::Lacks { .. }) => {
            // It was not even sent the closing that came before.
            seal(&end.fence, record.epoch, ONE).await?;
            Err(error)
        }
        Err(error) => Err(error),
    }
}

/// That the present primary of an end has all that its shard had when the last switch, in `direction`, was committed; nothing
/// where that went the other way.
async fn has_all(record: &Workflow, end: &End, direction: Direction) -> Result<(), SwitchError> {
    let closed = record.closed.as_ref().filter(|closed| closed.direction == direction);
    let Some(opened) = closed.and_then(|closed| closed.opened.get(&end.fence.key.shard)) else { return Ok(()) };
    let missing = lacks(&end.fence, opened).await?;
    match missing.is_empty() {
        true => Ok(()),
        false => Err(SwitchError::Lacks { side: end.fence.side.label.clone(), missing }),
    }
}

/// The same of all `ends` of the side that takes writes, before what the other side has goes.
pub async fn have_all(record: &Workflow, ends: &[End]) -> Result<(), SwitchError> {
    for end in ends {
        has_all(record, end, record.flow().opposite()).await?;
    }
    Ok(())
}

/// Opens the primaries of the side that takes writes where no switch is under way: one that was a replica may have been given
/// the closing of its fence, and not its opening.
pub async fn keep_open(topology: &Topology, credentials: &Credentials, record: &Workflow) -> Result<(), SwitchError> {
    let direction = record.flow().opposite();
    let ends = Ends::resolve(topology, credentials, record, direction).await?;
    for end in &ends.opening {
        open_end(record, end, direction).await?;
    }
    Ok(())
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
    match seal(&end.fence, record.epoch, ONE).await {
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
