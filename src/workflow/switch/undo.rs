//! What follows a switch that did not come about, and one that did: both are safe to repeat, by any owner, at any time.

use std::time::Duration;

use tokio::time::Instant;

use crate::model::fence::Epoch;
use crate::model::switch::{Direction, Phase, Switch};
use crate::mysql::Credentials;
use crate::topology::records::Workflow;
use crate::topology::{TopologyError, Versioned};
use crate::workflow::carry::{Desk, now};
use crate::workflow::fence::{self, FenceError};

use super::SwitchError;
use super::ends::Ends;
use super::pause;

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
/// comes to nothing.
pub async fn undo(desk: &Desk, credentials: &Credentials, why: &str) -> Result<(), SwitchError> {
    let record = turn(desk, &Phase::Undoing { why: why.to_owned() }, false).await?.record;
    let Some(switch) = record.open_switch().filter(|switch| switch.phase != Phase::Finishing) else { return Ok(()) };
    let ends = Ends::resolve(&desk.topology, credentials, &record, switch.request.direction).await?;
    let opened: Vec<_> = ends
        .closing
        .iter()
        .map(|end| async {
            fence::take_over(&end.fence).await?;
            fence::open(&end.fence, record.epoch, Instant::now() + ONE).await
        })
        .collect();
    futures_util::future::try_join_all(opened).await?;
    pause::withdraw(desk).await?;
    let behind = record.epoch;
    for end in &ends.opening {
        fence::take_over(&end.fence).await?;
        // On the way back this is the side that has been closed since the switch before, and stays so.
        if switch.request.direction == Direction::Forward {
            fence::disarm(&end.fence, behind, Instant::now() + ONE).await?;
        }
    }
    for end in &ends.closing {
        fence::disarm(&end.fence, behind, Instant::now() + ONE).await?;
    }
    desk.log(&format!("switch undone: {why}")).await?;
    turn(desk, &Phase::Undone { why: why.to_owned() }, false).await?;
    Ok(())
}

/// Opens the new side of a committed switch; when it was open. The old one stays closed, and armed, for as long as the
/// workflow lives.
pub async fn open(desk: &Desk, credentials: &Credentials) -> Result<Instant, SwitchError> {
    let record = turn(desk, &Phase::Finishing, true).await?.record;
    let request = match record.open_switch() {
        Some(switch) if switch.phase == Phase::Finishing && switch.request.writes() => &switch.request,
        _ => return Ok(Instant::now()),
    };
    let ends = Ends::resolve(&desk.topology, credentials, &record, request.direction).await?;
    for end in &ends.closing {
        // A primary that has come since was never closed.
        match fence::shut(&end.fence, record.epoch, Instant::now() + ONE).await {
            Ok(_) | Err(FenceError::Superseded { closed: true, .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    for end in &ends.opening {
        fence::open(&end.fence, record.epoch, Instant::now() + ONE).await?;
    }
    let opened = Instant::now();
    for end in &ends.opening {
        fence::disarm(&end.fence, record.epoch, opened + ONE).await?;
    }
    Ok(opened)
}
