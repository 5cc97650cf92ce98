//! What can be asked of a workflow that exists: rest, go on, be undone, cost less. Each writes the wish; an engine obeys.

use crate::model::switch::Direction;
use crate::model::workflow::{Completion, Desired, OldTables, OnDdl, StreamState, TabletType, Throttle};
use crate::model::{Gtid, KeyspaceName, WorkflowName};
use crate::topology::records::Workflow;
use crate::topology::{Topology, TopologyError, paths};

use super::WorkflowError;

/// A change of a workflow's wish.
#[derive(Debug, Clone)]
pub enum Wish {
    /// Rest.
    Pause,
    /// Go on, whatever it rested for.
    Resume {
        /// A DDL statement that was dealt with by hand.
        skip_ddl: Option<Gtid>,
        /// What DDL does from now on.
        on_ddl: Option<OnDdl>,
    },
    /// Be undone.
    Cancel,
    /// Let its tables be the target's for good.
    Complete {
        /// What becomes of the old tables.
        old_tables: OldTables,
        /// Whether the routing rules stay.
        keep_routing_rules: bool,
    },
    /// Keep to these limits: `Some(None)` lifts one, `None` leaves it.
    Throttle(Limits),
}

/// New limits.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// Rows per second.
    pub rows_per_second: Option<Option<u64>>,
    /// Bytes per second.
    pub bytes_per_second: Option<Option<u64>>,
    /// Connections.
    pub connections: Option<Option<u32>>,
    /// Replica lag, milliseconds.
    pub replica_lag_ms: Option<Option<u64>>,
}

impl Limits {
    fn over(self, old: Throttle) -> Throttle {
        Throttle {
            rows_per_second: self.rows_per_second.unwrap_or(old.rows_per_second),
            bytes_per_second: self.bytes_per_second.unwrap_or(old.bytes_per_second),
            connections: self.connections.unwrap_or(old.connections),
            replica_lag_ms: self.replica_lag_ms.unwrap_or(old.replica_lag_ms),
        }
    }
}

/// Refuses a wish that makes no sense, or would be unsafe, as the workflow is.
pub fn judge(workflow: &Workflow, wish: &Wish) -> Result<(), TopologyError> {
    let spec = &workflow.spec;
    let (source, target) = spec.names(Direction::Forward);
    let noun = spec.kind.noun();
    let label = format!("{}/{}", spec.target_keyspace, spec.name);
    let refuse = |why: String| Err(TopologyError::Refused(why));
    match workflow.desired {
        Desired::Cancelled => return refuse(format!("workflow {label} is being cancelled already")),
        Desired::Completed => return refuse(format!("workflow {label} is being completed already")),
        Desired::Running | Desired::Paused => {}
    }
    if matches!(wish, Wish::Throttle(_)) {
        return Ok(());
    }
    if workflow.open_switch().is_some() {
        return refuse(format!("workflow {label} is being switched: wait until that has ended"));
    }
    let writes = workflow.switched.contains(&TabletType::Primary);
    match wish {
        Wish::Resume { .. } if writes && !workflow.way_back => refuse(format!(
            "the writes of workflow {label} were switched without a way back: nothing is left to run; `{noun} complete` it"
        )),
        Wish::Cancel if writes => refuse(format!(
            "the writes of workflow {label} go to {target}: `{noun} reverse-traffic` first, or `{noun} complete` it"
        )),
        Wish::Complete { .. } => {
            let left: Vec<_> =
                TabletType::ALL.iter().filter(|one| !workflow.switched.contains(one)).map(|one| one.as_str()).collect();
            match left.is_empty() {
                true => Ok(()),
                false => refuse(format!(
                    "{} traffic of workflow {label} still goes to {source}: `{noun} switch-traffic` first",
                    left.join(", ")
                )),
            }
        }
        _ => Ok(()),
    }
}

/// Writes the wish; the record as it is then.
pub async fn wish(
    topology: &Topology,
    keyspace: &KeyspaceName,
    name: &WorkflowName,
    wish: Wish,
) -> Result<Workflow, WorkflowError> {
    let path = paths::workflow(keyspace, name);
    let change = |workflow: &mut Workflow| {
        judge(workflow, &wish)?;
        match &wish {
            Wish::Pause => workflow.desired = Desired::Paused,
            Wish::Cancel => workflow.desired = Desired::Cancelled,
            Wish::Complete { old_tables, keep_routing_rules } => {
                workflow.desired = Desired::Completed;
                workflow.completion =
                    Some(Completion { old_tables: *old_tables, keep_routing_rules: *keep_routing_rules });
            }
            Wish::Throttle(limits) => workflow.throttle = limits.over(workflow.throttle),
            Wish::Resume { skip_ddl, on_ddl } => {
                workflow.desired = Desired::Running;
                let rested = workflow.stopped.take();
                if rested.is_some_and(|stopped| stopped.state == StreamState::Stopped) {
                    // Stopping after the copy was obeyed; going on now means to follow.
                    workflow.spec.options.stop_after_copy = false;
                }
                workflow.skip_ddl.extend(skip_ddl.clone());
                workflow.spec.options.on_ddl = on_ddl.unwrap_or(workflow.spec.options.on_ddl);
            }
        }
        Ok(())
    };
    Ok(topology.update(&path, change).await?.record)
}
