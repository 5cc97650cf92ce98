//! The tablets that take a keyspace's writes.

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::model::workflow::TabletType;
use crate::model::{KeyspaceName, ShardName, TabletAlias};
use crate::topology::records::{Shard, Tablet};
use crate::topology::{Revision, Topology, paths};

/// How long connecting to one, and asking it something small, may take.
pub(super) const LIMIT: Duration = Duration::from_secs(10);

/// The shards that serve writes.
pub(super) struct Serving {
    /// As of when.
    pub revision: Revision,
    /// Their names.
    pub names: Vec<ShardName>,
    /// Their primaries, where they have one.
    primaries: Vec<(ShardName, Option<TabletAlias>)>,
}

/// Reads which shards of a keyspace serve writes.
pub(super) async fn serving(topology: &Topology, keyspace: &KeyspaceName) -> Result<Serving> {
    let found = topology.list::<Shard>(&paths::shards(keyspace)).await?;
    let mut primaries = Vec::new();
    for (path, shard) in found.records {
        if shard.record.serving.contains(&TabletType::Primary) {
            primaries.push((path.name().parse::<ShardName>()?, shard.record.primary));
        }
    }
    primaries.sort_by(|(one, _), (two, _)| one.range().cmp(two.range()));
    let names = primaries.iter().map(|(shard, _)| shard.clone()).collect();
    Ok(Serving { revision: found.revision, names, primaries })
}

/// The primaries of all shards of a keyspace that serve writes, in the order of their ranges; each shard must have one.
pub(super) async fn tablets(topology: &Topology, keyspace: &KeyspaceName) -> Result<Vec<(ShardName, Tablet)>> {
    let mut tablets = Vec::new();
    for (shard, primary) in serving(topology, keyspace).await?.primaries {
        let without = || format!("shard {keyspace}/{shard} has no primary; name one with `shard set-primary`");
        let alias = primary.with_context(without)?;
        let tablet = topology.need::<Tablet>(&paths::tablet(&alias)).await?;
        tablets.push((shard, tablet.record));
    }
    Ok(tablets)
}
