//! Where a workflow's rows come from and go to, as the topology says now.

use crate::model::switch::Direction;
use crate::model::workflow::{TabletType, WorkflowSpec};
use crate::model::{KeyspaceName, ShardName, TabletAlias};
use crate::mysql::Credentials;
use crate::topology::records::{Shard, Tablet};
use crate::topology::{Revision, Topology, TopologyError, Versioned, paths};

use super::connect::Side;
use super::error::EngineError;

/// A shard with its tablets.
#[derive(Debug, Clone)]
pub struct ShardPlace {
    /// Its name.
    pub name: ShardName,
    /// Its record.
    pub shard: Shard,
    /// The revision that wrote the record.
    pub revision: Revision,
    /// Its tablets.
    pub tablets: Vec<(TabletAlias, Tablet)>,
}

/// The two ends of a workflow that has one source shard and one target shard.
#[derive(Debug, Clone)]
pub struct Places {
    /// The shard that is read.
    pub source_shard: ShardName,
    /// The shard that is written.
    pub target_shard: ShardName,
    /// The server that is read.
    pub source: Side,
    /// What it serves.
    pub source_type: TabletType,
    /// The source shard's other servers, which may be promoted or read later.
    pub source_others: Vec<(Side, TabletType)>,
    /// The server that is written.
    pub target: Side,
    /// The target's replicas, whose lag may hold copying back.
    pub target_replicas: Vec<Side>,
}

/// Reads a keyspace's only shard.
pub async fn only_shard(topology: &Topology, keyspace: &KeyspaceName) -> Result<ShardPlace, EngineError> {
    let shards = topology.list::<Shard>(&paths::shards(keyspace)).await?;
    let mut serving: Vec<_> =
        shards.records.into_iter().filter(|(_, shard)| !shard.record.serving.is_empty()).collect();
    let (path, Versioned { record: shard, revision }) = match (serving.pop(), serving.is_empty()) {
        (Some(only), true) => only,
        (None, _) => {
            let why =
                format!("keyspace {keyspace} has no serving shard; add one with `shardlift shard add {keyspace} 0`");
            return Err(TopologyError::Refused(why).into());
        }
        (Some(_), false) => {
            let why = format!(
                "keyspace {keyspace} has several shards; moving tables between sharded keyspaces is not there yet"
            );
            return Err(TopologyError::Refused(why).into());
        }
    };
    let name: ShardName = path.name().parse().map_err(|_| EngineError::Sidecar("a shard's path"))?;
    let all = topology.list::<Tablet>(&paths::tablets()).await?;
    let mut tablets = Vec::new();
    for (path, tablet) in all.records {
        if tablet.record.keyspace == *keyspace && tablet.record.shard == name {
            let alias: TabletAlias = path.name().parse().map_err(|_| EngineError::Sidecar("a tablet's path"))?;
            tablets.push((alias, tablet.record));
        }
    }
    Ok(ShardPlace { name, shard, revision, tablets })
}

impl ShardPlace {
    /// The first tablet of the first wanted type that has one.
    pub fn pick(&self, keyspace: &KeyspaceName, types: &[TabletType]) -> Result<&(TabletAlias, Tablet), EngineError> {
        let found = types.iter().find_map(|wanted| self.tablets.iter().find(|(_, t)| t.tablet_type == *wanted));
        found.ok_or_else(|| {
            let types: Vec<_> = types.iter().map(|t| t.as_str()).collect();
            let (shard, types) = (&self.name, types.join(" or "));
            TopologyError::Refused(format!(
                "shard {keyspace}/{shard} has no {types} tablet; add one with `shardlift tablet add`"
            ))
            .into()
        })
    }
}

/// A tablet as an end of a stream.
pub fn side(
    role: &str,
    credentials: &Credentials,
    (alias, tablet): &(TabletAlias, Tablet),
) -> Result<Side, EngineError> {
    let credential = credentials.resolve(tablet.credential.as_str())?;
    Ok(Side {
        label: format!("{role} {}/{} ({alias})", tablet.keyspace, tablet.shard),
        login: credential.login(tablet.endpoint.clone(), None),
        database: tablet.database.clone(),
    })
}

/// Resolves both ends of the stream of `spec` that flows in `direction`: on the way back, rows are read where they went.
pub async fn resolve(
    topology: &Topology,
    credentials: &Credentials,
    spec: &WorkflowSpec,
    direction: Direction,
) -> Result<Places, EngineError> {
    let (out_of, into) = match direction {
        Direction::Forward => (&spec.source_keyspace, &spec.target_keyspace),
        Direction::Backward => (&spec.target_keyspace, &spec.source_keyspace),
    };
    let from = only_shard(topology, out_of).await?;
    let to = only_shard(topology, into).await?;
    let read = from.pick(out_of, &spec.options.tablet_types)?;
    let source = side("source", credentials, read)?;
    let others = from.tablets.iter().filter(|(alias, _)| *alias != read.0);
    let source_others = others
        .map(|other| Ok((side("source", credentials, other)?, other.1.tablet_type)))
        .collect::<Result<_, EngineError>>()?;
    let target = side("target", credentials, to.pick(into, &[TabletType::Primary])?)?;
    let replicas = to.tablets.iter().filter(|(_, tablet)| tablet.tablet_type == TabletType::Replica);
    let target_replicas = replicas.map(|tablet| side("replica", credentials, tablet)).collect::<Result<_, _>>()?;
    let source_type = read.1.tablet_type;
    let (source_shard, target_shard) = (from.name.clone(), to.name);
    Ok(Places { source_shard, target_shard, source, source_type, source_others, target, target_replicas })
}
