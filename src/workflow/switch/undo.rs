//! What follows a switch that did not come about; safe to repeat, by any owner, at any time.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use crate::failpoint::Failpoints;
use crate::model::fence::Epoch;
use crate::model::switch::{Direction, Phase, Switch};
use crate::mysql::Credentials;
use crate::topology::records::Workflow;
use crate::topology::{TopologyError, Versioned};
use crate::workflow::carry::{Desk, now};
use crate::workflow::fence::{self, Fence, FenceError};

use super::SwitchError;
use super::ends::Ends;
use super::pause;
use super::run::failed;

/// Where undoing may be made to fail: its record is written, the closed side is open again, nothing but the record is left.
pub const UNDO_POINTS: [&str; 3] = ["undo-written", "undo-opened", "undo-done"];
/// How far epochs of one act are from those of the next; a fence that was closed in vain is opened again with one in between.
pub const STRIDE: u64 = 10;
/// How long one fence may take.
const ONE: Duration = Duration::from_secs(5);

/// Writes what the workflow's switch has come to, raises its epoch, and gives the record as written. It changes only a switch
/// that is not yet committed, unless `committed`.
pub async fn turn(desk: &Desk, phase: &Phase, committed: bool) -> Result<Versioned<Workflow>, SwitchError> {
    let changed = desk
        .change(|record| {
            record.epoch = Epoch(record.epoch.0 + STRIDE);
            let concerned =
                |switch: &&mut Switch| !switch.phase.is_settled() && (switch.phase == Phase::Finishing) == committed;
            if let Some(switch) = record.switch.as_mut().filter(concerned) {
                switch.phase = phase.clone();
                switch.at = now();
            }
        })
        .await?;
    changed.ok_or_else(|| TopologyError::Missing { what: format!("workflow {}", desk.label()) }.into())
}

/// Brings everything back to before the switch. The first act is the record's: a commit still under way compares it, and so
/// comes to nothing. False: there was none, or it is committed.
pub async fn undo(
    desk: &Desk,
    credentials: &Credentials,
    failpoints: &Failpoints,
    why: &str,
) -> Result<bool, SwitchError> {
    let record = turn(desk, &Phase::Undoing { why: why.to_owned() }, false).await?.record;
    let Some(switch) = record.open_switch().filter(|switch| switch.phase != Phase::Finishing) else { return Ok(false) };
    reach(failpoints, UNDO_POINTS[0]).await?;
    if switch.request.writes() {
        reopen(desk, credentials, failpoints, &record, switch.request.direction).await?;
    }
    reach(failpoints, UNDO_POINTS[2]).await?;
    desk.log(&format!("switch undone: {why}")).await?;
    turn(desk, &Phase::Undone { why: why.to_owned() }, false).await?;
    Ok(true)
}

/// Opens the side that a switch of writes has closed, or may have, and takes down what it has put up.
async fn reopen(
    desk: &Desk,
    credentials: &Credentials,
    failpoints: &Failpoints,
    record: &Workflow,
    direction: Direction,
) -> Result<(), SwitchError> {
    let ends = Ends::resolve(&desk.topology, credentials, record, direction).await?;
    // Each by itself: a server that cannot be reached keeps no other shard shut.
    let opened = join_all(ends.closing.iter().map(|end| async {
        fence::take_over(&end.fence).await?;
        open_one(&end.fence, record.epoch).await
    }));
    let opened = opened.await;
    reach(failpoints, UNDO_POINTS[1]).await?;
    // Only now: what gateways hold goes to the open side.
    pause::withdraw(desk).await?;
    opened.into_iter().collect::<Result<(), _>>()?;
    for end in &ends.opening {
        // It is not needed any more that it can be reached.
        if let Err(error) = fence::take_over(&end.fence).await {
            tracing::warn!(%error, "what an earlier owner has left there may linger");
        }
        // Where writes were switched before, the side that does not take them stays closed, and both stay armed.
        if !record.fenced {
            disarm(&end.fence, record.epoch).await;
        }
    }
    for end in ends.closing.iter().filter(|_| !record.fenced) {
        disarm(&end.fence, record.epoch).await;
    }
    Ok(())
}

pub(super) async fn reach(failpoints: &Failpoints, point: &str) -> Result<(), SwitchError> {
    failpoints.reach(point).await.map_err(failed)
}

/// Opens a fence, whose row is made if somebody has lost it: armed tables without it refuse everybody.
pub(super) async fn open_one(fence: &Fence, epoch: Epoch) -> Result<(), SwitchError> {
    match fence::open(fence, epoch, Instant::now() + ONE).await {
        Err(FenceError::Missing { .. }) => {
            fence::ensure(fence).await?;
            fence::open(fence, epoch, Instant::now() + ONE).await?;
        }
        outcome => drop(outcome?),
    }
    Ok(())
}

/// Drops the triggers of an open fence. They only cost something: whoever comes next drops them, if we cannot.
async fn disarm(fence: &Fence, epoch: Epoch) {
    if let Err(error) = fence::disarm(fence, epoch, ONE).await {
        tracing::warn!(%error, "the triggers of an open fence stay for now");
    }
}
