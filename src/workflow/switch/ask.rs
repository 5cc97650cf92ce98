//! An operator's wish for a switch becomes part of the workflow's record, if it makes sense; an engine does the rest.

use std::collections::BTreeSet;
use std::time::Duration;

use uuid::Uuid;

use crate::model::switch::{Direction, Phase, Switch, SwitchRequest};
use crate::model::workflow::{Desired, TabletType};
use crate::model::{KeyspaceName, WorkflowName};
use crate::topology::records::Workflow;
use crate::topology::{Topology, TopologyError, paths};
use crate::workflow::carry::now;

/// What an operator asks for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Which way.
    pub direction: Direction,
    /// The types of traffic; none: all of them.
    pub types: BTreeSet<TabletType>,
    /// How long to wait for the stream and for transactions.
    pub timeout: Duration,
    /// The most the stream may lag now.
    pub max_lag: Duration,
    /// Whether changes are replicated back afterwards.
    pub way_back: bool,
    /// Whether statements and programs with tables of both sides are accepted, though they will fail.
    pub allow_cross_keyspace: bool,
}

/// The request a wish amounts to as the workflow is, or why it makes no sense.
pub fn judge(workflow: &Workflow, wanted: &Wanted) -> Result<SwitchRequest, String> {
    let label = format!("{}/{}", workflow.spec.target_keyspace, workflow.spec.name);
    let (source, target) = workflow.spec.names(Direction::Forward);
    if let Some(open) = workflow.open_switch() {
        return Err(format!(
            "workflow {label} is being switched already ({}): wait until that has ended",
            open.request.direction
        ));
    }
    if wanted.direction == Direction::Backward && workflow.flow() == Direction::Backward && !workflow.way_back {
        return Err(format!(
            "writes of workflow {label} were switched without a way back, so that {source} lacks what was written since"
        ));
    }
    if let Some(closed) = workflow.closed.as_ref().filter(|closed| closed.direction != wanted.direction)
        && let Some(broken) = &closed.broken
    {
        let (side, other, end) = match wanted.direction {
            Direction::Backward => (&source, &target, "`movetables complete` ends it with the tables at the target"),
            Direction::Forward => (&target, &source, "`movetables cancel` ends it with the tables at the source"),
        };
        return Err(format!(
            "workflow {label}: the way to {side} is broken, so that traffic stays at {other}: {}. `workflow repair` shows what \
             is so and the ways out; {end}",
            broken.why
        ));
    }
    if workflow.desired != Desired::Running {
        return Err(format!("workflow {label} is {}: its streams must be running", workflow.desired));
    }
    if let Some(stopped) = &workflow.stopped {
        return Err(format!(
            "workflow {label} rests ({}: {}): `{} resume` it first",
            stopped.state,
            stopped.message,
            workflow.spec.kind.noun()
        ));
    }
    let asked: BTreeSet<TabletType> = match wanted.types.is_empty() {
        true => TabletType::ALL.iter().copied().collect(),
        false => wanted.types.clone(),
    };
    let forward = wanted.direction == Direction::Forward;
    let types: BTreeSet<_> = asked.iter().copied().filter(|one| workflow.switched.contains(one) != forward).collect();
    if types.is_empty() {
        let side = if forward { &target } else { &source };
        let asked: Vec<_> = asked.iter().map(|one| one.as_str()).collect();
        return Err(format!("{} traffic of workflow {label} goes to {side} already", asked.join(", ")));
    }
    let all = types.union(&workflow.switched).count() == TabletType::ALL.len();
    if forward && types.contains(&TabletType::Primary) && !wanted.way_back && !all {
        return Err(format!(
            "without a way back {source} is soon out of date, also for reads: switch all types together"
        ));
    }
    Ok(SwitchRequest {
        uid: Uuid::new_v4(),
        direction: wanted.direction,
        types,
        timeout_ms: wanted.timeout.as_millis() as u64,
        max_lag_ms: wanted.max_lag.as_millis() as u64,
        way_back: wanted.way_back,
        allow_cross_keyspace: wanted.allow_cross_keyspace,
    })
}

/// Writes the wish down; what was asked for then.
pub async fn ask(
    topology: &Topology,
    keyspace: &KeyspaceName,
    name: &WorkflowName,
    wanted: &Wanted,
) -> Result<SwitchRequest, TopologyError> {
    let mut asked = None;
    let change = |workflow: &mut Workflow| {
        let request = judge(workflow, wanted).map_err(TopologyError::Refused)?;
        workflow.switch = Some(Switch {
            request: request.clone(),
            phase: Phase::Asked,
            at: now(),
            drained: Vec::new(),
            pause_ms: None,
            warning: None,
        });
        asked = Some(request);
        Ok(())
    };
    topology.update(&paths::workflow(keyspace, name), change).await?;
    asked.ok_or_else(|| TopologyError::Refused("the wish was not written".into()))
}
