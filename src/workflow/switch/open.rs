//! What follows the commit of a switch of writes: the old side is seen to, then the new one is opened. Safe to repeat, by any
//! owner, at any time.
//!
//! # Invariants
//! - The new side is opened only where its present primary has everything that was drained to it.
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
    let open = open.map(|(new, end)| {
        let flowing = ends.flowing().filter(move |(pair, ..)| pair.new == new);
        let given = flowing.filter_map(|(pair, old, _)| Some((old, drained.get(pair.old)?)));
        open_end(&record, end, switch.request.direction, given.collect())
    });
    let opened = join_all(open.collect::<Vec<_>>()).await;
    closed.into_iter().chain(opened).collect::<Result<(), _>>()?;
    let opened = Instant::now();
    reach(failpoints, OPEN_POINTS[2]).await?;
    Ok(opened)
}

/// Opens the primary of one end that takes writes, if it is closed, and has all that it was `given` of the other side.
async fn open_end(
    record: &Workflow,
    end: &End,
    direction: Direction,
    given: Vec<(&End, &GtidSet)>,
) -> Result<(), SwitchError> {
    // One that is open is left alone: writers hold its row.
    if fence::state(&end.fence).await?.is_some_and(|state| !state.closed) {
        return Ok(());
    }
    for (old, drained) in given {
        let key = key_of(record, direction, &old.fence.key.shard, &end.fence.key.shard);
        drain::still_has(&end.fence, &key, drained).await?;
    }
    open_one(&end.fence, record.epoch).await
}

/// Opens the primaries of the side that takes writes where no switch is under way: one that was a replica may have been given
/// the closing of its fence, and not its opening.
pub async fn keep_open(topology: &Topology, credentials: &Credentials, record: &Workflow) -> Result<(), SwitchError> {
    let direction = record.flow().opposite();
    let ends = Ends::resolve(topology, credentials, record, direction).await?;
    // What it was given by the switch that made it that side; if there was none, nothing.
    let closed = record.closed.as_ref().filter(|closed| closed.direction == direction);
    let drained = |old: &End| Some(&closed?.shards.get(&old.fence.key.shard)?.drained);
    for (new, end) in ends.opening.iter().enumerate() {
        let flowing = ends.flowing().filter(|(pair, ..)| pair.new == new);
        let given = flowing.filter_map(|(_, old, _)| Some((old, drained(old)?)));
        open_end(record, end, direction, given.collect()).await?;
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
