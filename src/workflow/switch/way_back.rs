//! The streams that carry changes back after a switch: made before the pause, without a position, and given theirs while both
//! sides are closed and equal, so they begin level.

use futures_util::future::try_join_all;

use crate::engine::EngineError;
use crate::engine::begin_level::{begin_level, level_at};
use crate::engine::checkpoint::Checkpoint;
use crate::engine::conflict::owners::can_be_shared;
use crate::model::switch::Direction;
use crate::mysql::admin::Session;
use crate::mysql::schema::read_source_tables;
use crate::topology::records::Workflow;
use crate::workflow::carry::key_of;

use super::SwitchError;
use super::drain::Frozen;
use super::ends::Ends;

/// Streams that nobody runs yet.
#[derive(Debug, Default)]
pub struct WayBack {
    /// Each with the place of its new side among the ends that open.
    streams: Vec<(Session, Checkpoint, usize)>,
}

impl WayBack {
    /// Makes them.
    pub async fn prepare(workflow: &Workflow, direction: Direction, ends: &Ends) -> Result<Self, SwitchError> {
        let mut streams = Vec::new();
        for (pair, old, new) in ends.flowing() {
            let key = key_of(workflow, direction.opposite(), &new.fence.key.shard, &old.fence.key.shard);
            // Of a kind that whoever takes over ends first: what is done in it must not come late.
            let mut session = old.fence.working_session().await?;
            if ends.pairs.iter().filter(|other| other.old == pair.old).count() > 1 {
                // Found out afterwards, the way back would never run.
                let (side, tables) = (&old.fence.side, &workflow.spec.tables);
                let there =
                    read_source_tables(&mut session, &side.database, tables).await.map_err(EngineError::from)?;
                there.iter().try_for_each(can_be_shared)?;
            }
            let begun = begin_level(&mut session, &key, &workflow.spec.tables).await?;
            streams.push((session, begun, pair.new));
        }
        Ok(Self { streams })
    }

    /// Lets each begin from where its new side stands now.
    pub async fn level(&mut self, frozen: &[Frozen]) -> Result<(), SwitchError> {
        let each = self.streams.iter_mut().filter_map(|(session, begun, place)| {
            let at = frozen.get(*place)?;
            Some(level_at(session, begun, &at.executed, &at.server))
        });
        try_join_all(each).await?;
        Ok(())
    }
}
