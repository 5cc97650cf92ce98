//! Where traffic goes, written as part of a transaction: routing rules where tables move between keyspaces, the shards' own
//! records where they move between shards of one.

use crate::model::switch::Direction;
use crate::model::workflow::{TabletType, WorkflowKind};
use crate::topology::records::Workflow;
use crate::topology::{Topology, TopologyError, Txn, paths};

use super::ends::Ends;

/// Adds to `txn` what makes traffic go where `record` says; `ends` are those of `direction`. Whoever sends it has seen to it
/// that the shards' records are as they were read.
pub fn route(
    topology: &Topology,
    mut txn: Txn,
    record: &Workflow,
    ends: &Ends,
    direction: Direction,
) -> Result<Txn, TopologyError> {
    let spec = &record.spec;
    if let Some(rules) = record.rules() {
        txn = topology.put(txn, &paths::workflow_rules(&spec.target_keyspace, &spec.name), &rules)?;
    }
    if spec.kind != WorkflowKind::Reshard {
        return Ok(txn);
    }
    let (sources, targets) = match direction {
        Direction::Forward => (&ends.closing, &ends.opening),
        Direction::Backward => (&ends.opening, &ends.closing),
    };
    for (shards, at_target) in [(sources, false), (targets, true)] {
        for end in shards {
            let mut shard = end.shard.clone();
            let served = |one: &TabletType| record.switched.contains(one) == at_target;
            shard.serving = TabletType::ALL.iter().copied().filter(served).collect();
            txn = topology.put(txn, &end.path, &shard)?;
        }
    }
    Ok(txn)
}
