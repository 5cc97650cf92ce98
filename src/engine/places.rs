//! Where a workflow's rows come from and go to, as the topology says now.

use crate::model::switch::Direction;
use crate::model::workflow::{SideSpec, TabletType, WorkflowSpec};
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

/// A shard that is read.
#[derive(Debug, Clone)]
pub struct SourcePlace {
    /// Its name.
    pub shard: ShardName,
    /// The server that is read.
    pub side: Side,
    /// What it serves.
    pub serves: TabletType,
    /// The shard's other servers, which may be promoted or read later.
    pub others: Vec<(Side, TabletType)>,
}

/// A shard that is written.
#[derive(Debug, Clone)]
pub struct TargetPlace {
    /// Its name.
    pub shard: ShardName,
    /// The server that is written.
    pub side: Side,
    /// Its replicas, whose lag may hold copying back.
    pub replicas: Vec<Side>,
}

/// The two ends of a workflow; at least one shard each, in the order of their ranges.
#[derive(Debug, Clone)]
pub struct Places {
    /// The shards that are read.
    pub sources: Vec<SourcePlace>,
    /// The shards that are written.
    pub targets: Vec<TargetPlace>,
}

/// The shards of one end of a workflow, in the order of their ranges.
pub async fn shards(topology: &Topology, end: SideSpec<'_>) -> Result<Vec<ShardPlace>, EngineError> {
    let keyspace = end.keyspace;
    let found = topology.list::<Shard>(&paths::shards(keyspace)).await?;
    let tablets = topology.list::<Tablet>(&paths::tablets()).await?;
    let mut places = Vec::new();
    for (path, Versioned { record: shard, revision }) in found.records {
        let name: ShardName = path.name().parse().map_err(|_| EngineError::Sidecar("a shard's path"))?;
        let wanted = if end.shards.is_empty() { !shard.serving.is_empty() } else { end.shards.contains(&name) };
        if !wanted {
            continue;
        }
        let inside = tablets.records.iter().filter(|(_, t)| t.record.keyspace == *keyspace && t.record.shard == name);
        let alias = |path: &crate::topology::Path| {
            path.name().parse::<TabletAlias>().map_err(|_| EngineError::Sidecar("a tablet's path"))
        };
        let inside = inside.map(|(path, tablet)| Ok((alias(path)?, tablet.record.clone())));
        let tablets = inside.collect::<Result<_, EngineError>>()?;
        places.push(ShardPlace { name, shard, revision, tablets });
    }
    if let Some(missing) = end.shards.iter().find(|wanted| !places.iter().any(|place| place.name == **wanted)) {
        let why = format!(
            "shard {keyspace}/{missing} does not exist: declare it (`shardlift shard add {keyspace}/{missing}`) with its tablets"
        );
        return Err(TopologyError::Refused(why).into());
    }
    if places.is_empty() {
        let why = format!("keyspace {keyspace} has no serving shard; add one with `shardlift shard add {keyspace}/0`");
        return Err(TopologyError::Refused(why).into());
    }
    places.sort_by(|a, b| a.name.range().cmp(b.name.range()));
    Ok(places)
}

impl Places {
    /// Whether the same servers are read and written as in `other`.
    pub fn same_servers(&self, other: &Self) -> bool {
        let servers = |places: &Self| {
            let sources =
                places.sources.iter().map(|source| (source.shard.clone(), source.side.login.endpoint.clone()));
            let targets =
                places.targets.iter().map(|target| (target.shard.clone(), target.side.login.endpoint.clone()));
            (sources.collect::<Vec<_>>(), targets.collect::<Vec<_>>())
        };
        servers(self) == servers(other)
    }
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

    /// Its replicas, any of which may be promoted.
    pub fn replicas(&self, credentials: &Credentials) -> Result<Vec<Side>, EngineError> {
        let replicas = self.tablets.iter().filter(|(_, tablet)| tablet.tablet_type == TabletType::Replica);
        replicas.map(|tablet| side("replica", credentials, tablet)).collect()
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

/// Resolves both ends of the streams of `spec` that flow in `direction`: on the way back, rows are read where they went.
pub async fn resolve(
    topology: &Topology,
    credentials: &Credentials,
    spec: &WorkflowSpec,
    direction: Direction,
) -> Result<Places, EngineError> {
    let (out_of, into) = spec.sides(direction);
    let mut places = Places { sources: Vec::new(), targets: Vec::new() };
    for from in shards(topology, out_of).await? {
        let read = from.pick(out_of.keyspace, &spec.options.tablet_types)?;
        let others = from.tablets.iter().filter(|(alias, _)| *alias != read.0);
        let others = others.map(|other| Ok((side("source", credentials, other)?, other.1.tablet_type)));
        places.sources.push(SourcePlace {
            shard: from.name.clone(),
            side: side("source", credentials, read)?,
            serves: read.1.tablet_type,
            others: others.collect::<Result<_, EngineError>>()?,
        });
    }
    for to in shards(topology, into).await? {
        places.targets.push(TargetPlace {
            side: side("target", credentials, to.pick(into.keyspace, &[TabletType::Primary])?)?,
            replicas: to.replicas(credentials)?,
            shard: to.name,
        });
    }
    Ok(places)
}
