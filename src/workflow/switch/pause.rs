//! Telling gateways to hold writes, and waiting until they do. Safety does not rest on it: a gateway that has not heard is
//! turned away by the fence.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::model::fence::Epoch;
use crate::model::switch::{Direction, Phase, Step};
use crate::topology::records::{GatewayPresence, Pause, Workflow};
use crate::topology::{Revision, Topology, TopologyError, Txn, TxnOutcome, Versioned, paths};
use crate::workflow::carry::Desk;

use super::SwitchError;

/// How long gateways are waited for. One that is silent for longer has lost its lease or is about to.
pub const PATIENCE: Duration = Duration::from_millis(500);
const LOOK: Duration = Duration::from_millis(2);

/// Announces that the tables are fenced, or, with the step that comes `next` and is written to the record by the same
/// transaction, that new writes are to be held; waits until every gateway has heard. Those that have not are named.
pub async fn announce(
    desk: &Desk,
    found: &mut Versioned<Workflow>,
    direction: Direction,
    epoch: Epoch,
    next: Option<Step>,
) -> Result<Vec<String>, SwitchError> {
    let Versioned { record: workflow, revision } = found;
    if let (Some(step), Some(switch)) = (next, workflow.switch.as_mut()) {
        switch.phase = Phase::Doing { step };
    }
    let spec = &workflow.spec;
    let closing = match direction {
        Direction::Forward => &spec.source_keyspace,
        Direction::Backward => &spec.target_keyspace,
    };
    let pause = Pause {
        epoch: epoch.0,
        source: spec.source_keyspace.clone(),
        target: spec.target_keyspace.clone(),
        tables: spec.tables.iter().cloned().collect(),
        closing: closing.clone(),
        uid: workflow.uid,
        holds: next.is_some(),
    };
    // One that comes late, when the switch has been undone, must not hold anybody.
    let txn = desk.topology.unchanged(Txn::new(), desk.path(), *revision);
    let mut txn = desk.topology.put(txn, &paths::pause(&desk.keyspace, &desk.name), &pause)?;
    if next.is_some() {
        txn = desk.topology.put(txn, desk.path(), workflow)?;
    }
    match desk.topology.txn_as_owner(&desk.guard, txn).await? {
        TxnOutcome::Committed { revision: written } => {
            if next.is_some() {
                *revision = written;
            }
            Ok(heard(&desk.topology, written, PATIENCE).await?)
        }
        TxnOutcome::Refused { .. } => Err(SwitchError::Changed { what: "the workflow's record".into() }),
    }
}

/// Withdraws it.
pub async fn withdraw(desk: &Desk) -> Result<(), TopologyError> {
    let txn = desk.topology.delete(Txn::new(), &paths::pause(&desk.keyspace, &desk.name));
    desk.topology.txn_as_owner(&desk.guard, txn).await.map(drop)
}

/// Waits until every gateway decides by `revision` or a later one; those that do not within `patience`.
pub async fn heard(topology: &Topology, revision: Revision, patience: Duration) -> Result<Vec<String>, TopologyError> {
    let end = Instant::now() + patience;
    loop {
        let gateways = topology.list::<GatewayPresence>(&paths::gateways()).await?.records;
        let deaf: Vec<_> = gateways
            .into_iter()
            .filter(|(_, gateway)| gateway.record.revision < revision)
            .map(|(path, _)| path.name().to_owned())
            .collect();
        if deaf.is_empty() || Instant::now() >= end {
            return Ok(deaf);
        }
        sleep(LOOK).await;
    }
}
