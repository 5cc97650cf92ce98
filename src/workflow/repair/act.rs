//! Takes the way out: one transaction, which an engine then brings to its end.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::model::switch::{Direction, Phase, Switch, SwitchRequest};
use crate::model::workflow::{StreamState, TabletType};
use crate::model::{Broken, ClosedShard, ClosedSide, GtidSet, TabletAlias};
use crate::topology::records::{Stopped, Workflow};
use crate::topology::{Topology, Txn, TxnOutcome, Versioned, paths};
use crate::workflow::WorkflowError;
use crate::workflow::carry::now;
use crate::workflow::switch::route::route;

use super::decide::{Action, Way, describe, primaries};
use super::survey::Survey;

/// Does it, on the condition that the record is as it was when looked at.
pub async fn act(topology: &Topology, survey: &Survey, way: Way, action: &Action) -> Result<(), WorkflowError> {
    let Versioned { mut record, revision } = survey.found.clone();
    let (keyspace, name) = (record.spec.target_keyspace.clone(), record.spec.name.clone());
    let said = describe(action, survey, way);
    match action {
        Action::Nothing => return Ok(()),
        Action::GiveUpOther => give_up_other(&mut record, survey, &said),
        Action::Accept => accept(&mut record, survey),
        Action::Force { given_up } => force(&mut record, survey, way, given_up, &said),
    }
    let path = paths::workflow(&keyspace, &name);
    let mut txn = topology.put(topology.unchanged(Txn::new(), &path, revision), &path, &record)?;
    if let Action::Force { .. } = action {
        for end in survey.ends.all() {
            txn = topology.unchanged(txn, &end.path, end.revision);
        }
        txn = route(topology, txn, &record, &survey.ends, Direction::Forward)?;
        txn = topology.delete(txn, &paths::pause(&keyspace, &name));
    }
    match topology.txn(txn).await? {
        TxnOutcome::Committed { .. } => Ok(()),
        TxnOutcome::Refused { .. } => Err(WorkflowError::Changed),
    }
}

fn give_up_other(record: &mut Workflow, survey: &Survey, said: &str) {
    record.way_back = false;
    let message = format!("{said} (workflow repair)");
    record.stopped = Some(Stopped { state: StreamState::Stopped, message, at: now() });
    let Some(closed) = record.closed.as_mut() else { return };
    for server in survey.servers.iter().filter(|server| server.primary && server.facts().is_none()) {
        if let Some(shard) =
            closed.shards.get_mut(&server.shard).filter(|shard| shard.primary.as_ref() == Some(&server.alias))
        {
            shard.given_up = true;
        }
    }
}

/// What strangers did is known, and not found again; a primary that lacks something is taken as it is.
fn accept(record: &mut Workflow, survey: &Survey) {
    let Some(closed) = record.closed.as_mut() else { return };
    let strangers = closed.broken.take().map(|broken| broken.strangers).unwrap_or_default();
    for (name, shard) in &mut closed.shards {
        shard.watched.union(&strangers);
        // Forward closes the source.
        let at_source = closed.direction == Direction::Forward;
        let mut servers = survey.servers.iter().filter(|server| server.primary && server.at_source == at_source);
        if let Some(server) = servers.find(|server| server.shard == *name) {
            shard.primary = Some(server.alias.clone());
        }
    }
}

/// As if a switch there had been committed, with nothing to wait for: the engine closes the other side, then opens this one.
fn force(record: &mut Workflow, survey: &Survey, way: Way, given_up: &[TabletAlias], said: &str) {
    let direction = way.direction();
    let types: BTreeSet<_> = TabletType::ALL.iter().copied().collect();
    let closing: Vec<_> = primaries(survey, way, true).collect();
    let shards = closing.iter().map(|server| {
        let given_up = given_up.contains(&server.alias);
        let watched = server.facts().map(|facts| facts.executed.clone()).unwrap_or_default();
        // One that is given up counts as closed.
        let primary = given_up.then(|| server.alias.clone());
        (server.shard.clone(), ClosedShard { primary, given_up, drained: GtidSet::new(), watched })
    });
    let uid = Uuid::new_v4();
    let why = format!("traffic was taken away by force (workflow repair {}): {said}", way.flag());
    let broken = Some(Broken { why, strangers: GtidSet::new(), at: now() });
    let opened = BTreeMap::new();
    record.closed = Some(ClosedSide { by: uid, direction, shards: shards.collect(), opened, broken });
    record.switched = if direction == Direction::Forward { types.clone() } else { BTreeSet::new() };
    (record.way_back, record.fenced, record.stopped) = (false, true, None);
    record.switch = Some(Switch {
        request: SwitchRequest {
            uid,
            direction,
            types,
            timeout_ms: 0,
            max_lag_ms: 0,
            way_back: false,
            allow_cross_keyspace: true,
        },
        phase: Phase::Finishing,
        at: now(),
        drained: vec![String::new(); closing.len()],
        pause_ms: None,
        warning: None,
    });
}
