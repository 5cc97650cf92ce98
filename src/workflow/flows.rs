//! What flows where, by the VSchemas as the topology has them now.

use std::sync::Arc;

use crate::engine::EngineError;
use crate::engine::places::Places;
use crate::mapping::{Flow, flows as mapped};
use crate::model::switch::Direction;
use crate::model::workflow::WorkflowSpec;
use crate::model::{KeyspaceName, ShardName, VSchema};
use crate::sharding::vschema::KeyspaceSchema;
use crate::topology::{Topology, TopologyError, paths};

/// A keyspace's VSchema, if it has one.
pub async fn schema(
    topology: &Topology,
    keyspace: &KeyspaceName,
) -> Result<Option<Arc<KeyspaceSchema>>, TopologyError> {
    let Some(found) = topology.get::<VSchema>(&paths::vschema(keyspace)).await? else { return Ok(None) };
    Ok(Some(Arc::new(sound(keyspace, &found.record)?)))
}

/// A stored VSchema, ready to be asked.
pub fn sound(keyspace: &KeyspaceName, vschema: &VSchema) -> Result<KeyspaceSchema, TopologyError> {
    KeyspaceSchema::new(vschema).map_err(|wrong| {
        TopologyError::Refused(format!("the VSchema of keyspace {keyspace} is not sound: {}", wrong.join("; ")))
    })
}

/// What flows between `places`, which are in the order of the flow.
pub async fn flows(
    topology: &Topology,
    spec: &WorkflowSpec,
    direction: Direction,
    places: &Places,
) -> Result<Vec<Flow>, EngineError> {
    let (out_of, into) = spec.sides(direction);
    let from = schema(topology, out_of.keyspace).await?;
    let into = schema(topology, into.keyspace).await?;
    let sources: Vec<ShardName> = places.sources.iter().map(|source| source.shard.clone()).collect();
    let targets: Vec<ShardName> = places.targets.iter().map(|target| target.shard.clone()).collect();
    Ok(mapped(spec, direction, &sources, &targets, from.as_ref(), into.as_ref())?)
}
