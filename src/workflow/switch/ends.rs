//! The two sides of a switch, as the topology says now: which is closed, which is opened, and the records this rests on.

use crate::engine::connect::Side;
use crate::engine::places::{self, ShardPlace};
use crate::model::KeyspaceName;
use crate::model::switch::Direction;
use crate::model::workflow::TabletType;
use crate::mysql::Credentials;
use crate::topology::records::Workflow;
use crate::topology::{Path, Revision, Topology, paths};
use crate::workflow::fence::{Fence, FenceKey};

use super::SwitchError;

/// One side: a shard with its primary.
#[derive(Debug, Clone)]
pub struct End {
    /// Its fence; the primary is in it.
    pub fence: Fence,
    /// Its replicas, any of which may be promoted.
    pub replicas: Vec<Side>,
    /// The shard's record and the revision it was read at: the switch is void if a primary changes under it.
    pub shard: (Path, Revision),
}

/// Both sides.
#[derive(Debug, Clone)]
pub struct Ends {
    /// Where writes are before the switch.
    pub closing: Vec<End>,
    /// Where they are after it.
    pub opening: Vec<End>,
}

impl Ends {
    /// For a switch in `direction`.
    pub async fn resolve(
        topology: &Topology,
        credentials: &Credentials,
        workflow: &Workflow,
        direction: Direction,
    ) -> Result<Self, SwitchError> {
        let (source, target) = (&workflow.spec.source_keyspace, &workflow.spec.target_keyspace);
        let (old, new) = match direction {
            Direction::Forward => (source, target),
            Direction::Backward => (target, source),
        };
        let closing = vec![end(topology, credentials, workflow, old, new).await?];
        let opening = vec![end(topology, credentials, workflow, new, old).await?];
        Ok(Self { closing, opening })
    }

    /// The fences to close.
    pub fn closing_fences(&self) -> Vec<Fence> {
        self.closing.iter().map(|end| end.fence.clone()).collect()
    }

    /// Every end.
    pub fn all(&self) -> impl Iterator<Item = &End> {
        self.closing.iter().chain(&self.opening)
    }
}

/// The fences on both sides of a workflow, source first.
pub async fn fences(
    topology: &Topology,
    credentials: &Credentials,
    workflow: &Workflow,
) -> Result<Vec<Fence>, SwitchError> {
    let ends = Ends::resolve(topology, credentials, workflow, Direction::Forward).await?;
    Ok(ends.all().map(|end| end.fence.clone()).collect())
}

async fn end(
    topology: &Topology,
    credentials: &Credentials,
    workflow: &Workflow,
    keyspace: &KeyspaceName,
    home: &KeyspaceName,
) -> Result<End, SwitchError> {
    let place: ShardPlace = places::only_shard(topology, keyspace).await?;
    let role = if *keyspace == workflow.spec.source_keyspace { "source" } else { "target" };
    let side = places::side(role, credentials, place.pick(keyspace, &[TabletType::Primary])?)?;
    let promotable = place.tablets.iter().filter(|(_, tablet)| tablet.tablet_type == TabletType::Replica);
    let replicas =
        promotable.map(|tablet| places::side("replica", credentials, tablet)).collect::<Result<Vec<_>, _>>()?;
    let key = FenceKey { uid: workflow.uid, keyspace: keyspace.clone(), shard: place.name.clone() };
    let fence = Fence {
        key,
        side,
        workflow: workflow.spec.name.clone(),
        tables: workflow.spec.tables.clone(),
        home: home.clone(),
    };
    Ok(End { fence, replicas, shard: (paths::shard(keyspace, &place.name), place.revision) })
}
