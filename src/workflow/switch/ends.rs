//! The two sides of a switch, as the topology says now: which is closed, which is opened, and the records this rests on.

use crate::engine::connect::Side;
use crate::engine::places::{self, ShardPlace};
use crate::model::switch::Direction;
use crate::model::workflow::{SideSpec, TabletType, WorkflowSpec};
use crate::model::{KeyspaceName, TabletAlias};
use crate::mysql::Credentials;
use crate::topology::records::{Shard, Workflow};
use crate::topology::{Path, Revision, Topology, paths};
use crate::workflow::fence::{Fence, FenceKey};

use super::SwitchError;

/// One shard of a side, with its primary.
#[derive(Debug, Clone)]
pub struct End {
    /// Its primary.
    pub primary: TabletAlias,
    /// Its fence; the primary's server is in it.
    pub fence: Fence,
    /// Its replicas, any of which may be promoted.
    pub replicas: Vec<Side>,
    /// Where its shard's record is.
    pub path: Path,
    /// The record.
    pub shard: Shard,
    /// The revision it was read at: the switch is void if a primary changes under it.
    pub revision: Revision,
}

/// Both sides.
#[derive(Debug, Clone)]
pub struct Ends {
    /// Where writes are before the switch.
    pub closing: Vec<End>,
    /// Where they are after it.
    pub opening: Vec<End>,
    /// What flows, by places: from one that closes to one that opens.
    pub pairs: Vec<Pair>,
}

/// A closing end and an opening one between which rows flow, by their places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// Among the closing ones.
    pub old: usize,
    /// Among the opening ones.
    pub new: usize,
}

impl Ends {
    /// For a switch in `direction`.
    pub async fn resolve(
        topology: &Topology,
        credentials: &Credentials,
        workflow: &Workflow,
        direction: Direction,
    ) -> Result<Self, SwitchError> {
        let spec = &workflow.spec;
        let (old, new) = spec.sides(direction);
        let (old_name, new_name) = spec.names(direction);
        let (old_role, new_role) = match direction {
            Direction::Forward => ("source", "target"),
            Direction::Backward => ("target", "source"),
        };
        let closing = ends(topology, credentials, workflow, (old, old_role), &new_name).await?;
        let opening = ends(topology, credentials, workflow, (new, new_role), &old_name).await?;
        let pairs = pairs(spec, &closing, &opening);
        Ok(Self { closing, opening, pairs })
    }

    /// The fences to close.
    pub fn closing_fences(&self) -> Vec<Fence> {
        self.closing.iter().map(|end| end.fence.clone()).collect()
    }

    /// Every end.
    pub fn all(&self) -> impl Iterator<Item = &End> {
        self.closing.iter().chain(&self.opening)
    }

    /// Every pair, as ends.
    pub fn flowing(&self) -> impl Iterator<Item = (Pair, &End, &End)> {
        self.pairs.iter().filter_map(|pair| Some((*pair, self.closing.get(pair.old)?, self.opening.get(pair.new)?)))
    }
}

fn pairs(spec: &WorkflowSpec, closing: &[End], opening: &[End]) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for (new, opens) in opening.iter().enumerate() {
        let flows = |(_, closes): &(usize, &End)| spec.connects(&closes.fence.key.shard, &opens.fence.key.shard);
        pairs.extend(closing.iter().enumerate().filter(flows).map(|(old, _)| Pair { old, new }));
    }
    pairs
}

async fn ends(
    topology: &Topology,
    credentials: &Credentials,
    workflow: &Workflow,
    (side, role): (SideSpec<'_>, &str),
    home: &str,
) -> Result<Vec<End>, SwitchError> {
    let places = places::shards(topology, side).await?;
    places.into_iter().map(|place| end(credentials, workflow, side.keyspace, place, role, home)).collect()
}

fn end(
    credentials: &Credentials,
    workflow: &Workflow,
    keyspace: &KeyspaceName,
    place: ShardPlace,
    role: &str,
    home: &str,
) -> Result<End, SwitchError> {
    let primary = place.pick(keyspace, &[TabletType::Primary])?;
    let side = places::side(role, credentials, primary)?;
    let primary = primary.0.clone();
    let replicas = place.replicas(credentials)?;
    let fence = Fence {
        key: FenceKey { uid: workflow.uid, keyspace: keyspace.clone(), shard: place.name.clone() },
        side,
        workflow: workflow.spec.name.clone(),
        tables: workflow.spec.tables.clone(),
        home: home.to_owned(),
    };
    let path = paths::shard(keyspace, &place.name);
    Ok(End { primary, fence, replicas, path, shard: place.shard, revision: place.revision })
}
