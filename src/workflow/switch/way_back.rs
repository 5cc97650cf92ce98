//! The streams that carry changes back after a switch: made while both sides are closed and equal, so they begin level.

use crate::engine::begin_level::begin_level;
use crate::model::switch::Direction;
use crate::topology::records::Workflow;
use crate::workflow::carry::key_of;

use super::SwitchError;
use super::drain::Frozen;
use super::ends::Ends;

/// Makes them, each from where its new side stands now; nobody runs them yet.
pub async fn prepare(
    workflow: &Workflow,
    direction: Direction,
    ends: &Ends,
    frozen: &[Frozen],
) -> Result<(), SwitchError> {
    for old in &ends.closing {
        for (new, at) in ends.opening.iter().zip(frozen) {
            let key = key_of(workflow, direction.opposite(), &new.fence.key.shard, &old.fence.key.shard);
            // Of a kind that whoever takes over ends first: this must not come late.
            let mut session = old.fence.working_session().await?;
            begin_level(&mut session, &key, &workflow.spec.tables, &at.executed, &at.server).await?;
            session.close().await;
        }
    }
    Ok(())
}
