//! What a pause is gone through with: every connection, row and lookup that can be had before anybody waits, is.
//!
//! A login with TLS takes longer than all that has to be said in the session; so none is left for the pause. What is
//! independent within it is done side by side.

use futures_util::future::{join_all, try_join_all};
use tokio::time::Instant;

use crate::model::GtidSet;
use crate::model::fence::Epoch;
use crate::model::switch::Direction;
use crate::topology::records::Workflow;
use crate::workflow::carry::key_of;
use crate::workflow::fence::{Closing, FenceError, Opening, Poised};
use crate::workflow::watch::Lookout;

use super::SwitchError;
use super::counters::{Counters, When};
use super::drain::{Freezer, Frozen, Replicas};
use super::ends::{Ends, Pair};
use super::way_back::WayBack;

/// From the epoch of an attempt to that with which its new side is opened; those of a closing, of taking it back and of an
/// engine that was cut off lie between, that of whoever comes next lies above.
const OPENS: u64 = 4;

/// All of it.
#[derive(Debug)]
pub struct Kit {
    /// To close the old side.
    pub closing: Closing,
    /// To see what goes round its fences from then on.
    pub lookouts: Vec<Lookout>,
    /// Of the old side's shards.
    old_replicas: Vec<Replicas>,
    new_replicas: Vec<Replicas>,
    freezers: Vec<(Pair, Freezer)>,
    openings: Vec<Opening>,
}

impl Kit {
    /// Connects to everybody, for the attempt of this epoch.
    pub async fn prepare(
        ends: &Ends,
        workflow: &Workflow,
        direction: Direction,
        epoch: Epoch,
        deadline: Instant,
    ) -> Result<Self, SwitchError> {
        let fences = ends.closing_fences();
        let freezers = ends.flowing().map(|(pair, old, new)| async move {
            let key = key_of(workflow, direction, &old.fence.key.shard, &new.fence.key.shard);
            Ok::<_, SwitchError>((pair, Freezer::prepare(&new.fence, &key).await?))
        });
        let opens = Epoch(epoch.0.saturating_add(OPENS));
        let (freezers, old_replicas, new_replicas, openings, lookouts) = tokio::try_join!(
            try_join_all(freezers.collect::<Vec<_>>()),
            try_join_all(ends.closing.iter().map(Replicas::prepare)),
            try_join_all(ends.opening.iter().map(Replicas::prepare)),
            async { Ok(try_join_all(ends.opening.iter().map(|new| Opening::prepare(&new.fence, opens))).await?) },
            async { Ok(try_join_all(fences.iter().map(Lookout::prepare)).await?) },
        )?;
        let closing = Closing::prepare(&fences, epoch.next(), deadline).await?;
        Ok(Self { closing, lookouts, old_replicas, new_replicas, freezers, openings })
    }

    /// Takes the closing out, for it can be done once, and who is to look at what follows it.
    pub fn split(self) -> (Closing, Vec<Lookout>, Tail) {
        let Self { closing, lookouts, old_replicas, new_replicas, freezers, openings } = self;
        (closing, lookouts, Tail { old_replicas, new_replicas, freezers, openings, frozen: Vec::new() })
    }
}

/// What is left of it once the old side is closed.
#[derive(Debug)]
pub struct Tail {
    old_replicas: Vec<Replicas>,
    new_replicas: Vec<Replicas>,
    /// Of each stream.
    freezers: Vec<(Pair, Freezer)>,
    openings: Vec<Opening>,
    /// Of the new side's shards.
    frozen: Vec<Frozen>,
}

impl Tail {
    /// Waits until a promotable replica of each shard of the old side has F.
    pub async fn old_replicated(&mut self, fence: &[GtidSet], end: Instant) -> Result<(), SwitchError> {
        let each = self.old_replicas.iter_mut().zip(fence).map(|(replicas, set)| replicas.have(set, end));
        try_join_all(each.collect::<Vec<_>>()).await.map(drop)
    }

    /// Looks at what has arrived, now that the streams have ended.
    pub async fn look(&mut self, fence: &[GtidSet]) -> Result<(), SwitchError> {
        let each = self.freezers.iter_mut().filter_map(|(pair, freezer)| {
            let (set, new) = (fence.get(pair.old)?, pair.new);
            Some(async move { Ok::<_, SwitchError>((new, freezer.look(set).await?)) })
        });
        let looked = try_join_all(each.collect::<Vec<_>>()).await?;
        let by_end = |new: usize| looked.iter().find(|(at, _)| *at == new).map(|(_, frozen)| frozen.clone());
        self.frozen = (0..self.new_replicas.len()).map_while(by_end).collect();
        Ok(())
    }

    /// What each shard of the new side had executed when its streams had ended.
    pub fn arrived(&self) -> impl Iterator<Item = &GtidSet> {
        self.frozen.iter().map(|frozen| &frozen.executed)
    }

    /// Freezes the streams, compares counters, lets the way back begin where the new side stands, and locks the new side's
    /// fences so that only a COMMIT is left to open them; those that could be.
    pub async fn ready(
        &mut self,
        counters: &mut Counters,
        mut way_back: Option<&mut WayBack>,
        fence: &[GtidSet],
        end: Instant,
    ) -> Result<Vec<Poised>, SwitchError> {
        let Self { freezers, frozen, new_replicas, openings, .. } = self;
        let poise = async { join_all(std::mem::take(openings).into_iter().map(Opening::poise)).await };
        let (poised, raised, _, ()) = tokio::try_join!(
            async { Ok(poise.await) },
            counters.raise(When::Closed, end),
            try_join_all(freezers.iter_mut().map(|(_, freezer)| freezer.freeze()).collect::<Vec<_>>()),
            spread(frozen, new_replicas, way_back.as_deref_mut(), end),
        )?;
        if raised {
            // The way back begins behind what raising them has logged.
            self.look(fence).await?;
            spread(&self.frozen, &mut self.new_replicas, way_back, end).await?;
        }
        let mut ready = Vec::new();
        for outcome in poised {
            match outcome {
                Ok(poised) => ready.extend(poised),
                // It will be opened with patience.
                Err(error @ FenceError::Server { .. }) => tracing::warn!(%error, "a fence cannot be opened at once"),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(ready)
    }
}

/// Where the new side stands: a promotable replica of each shard has it, and the way back begins there.
async fn spread(
    frozen: &[Frozen],
    replicas: &mut [Replicas],
    way_back: Option<&mut WayBack>,
    end: Instant,
) -> Result<(), SwitchError> {
    let each = replicas.iter_mut().zip(frozen).map(|(replicas, frozen)| replicas.have(&frozen.executed, end));
    let begins = async {
        match way_back {
            Some(way_back) => way_back.level(frozen).await,
            None => Ok(()),
        }
    };
    tokio::try_join!(try_join_all(each.collect::<Vec<_>>()), begins).map(drop)
}
