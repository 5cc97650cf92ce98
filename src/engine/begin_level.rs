//! A stream that begins level: both sides hold the same rows, so there is nothing to copy and it only follows. The way back
//! of a switch begins like this.

use crate::model::{GtidSet, TableName};
use crate::mysql::admin::Session;

use super::checkpoint::Checkpoint;
use super::copy::marks::{TableState, note_sql, state_sql};
use super::error::EngineError;
use super::sidecar::{self, StreamKey};

/// Makes the stream's row and progress on its target, replacing whatever an earlier use left. Nobody runs it then: its owner
/// token is fresh. It has no position before [`level_at`].
pub async fn begin_level(
    session: &mut Session,
    key: &StreamKey,
    tables: &[TableName],
) -> Result<Checkpoint, EngineError> {
    let id = sidecar::enter(session, key).await?;
    // Whoever ran an earlier one is ended by this.
    let checkpoint = Checkpoint::claim(session, id, key.uid).await?;
    let fresh =
        Checkpoint { position: GtidSet::new(), ceiling: GtidSet::new(), source_uuid: None, last: None, ..checkpoint };
    session.execute("START TRANSACTION").await?;
    if session.execute(&fresh.guard_sql()).await? != 1 {
        return Err(EngineError::NotOwner);
    }
    session.execute(&format!("DELETE FROM _shardlift.copy_chunk WHERE stream_id = {id}")).await?;
    for table in tables {
        session.execute(&note_sql(id, table, &[])).await?;
        session.execute(&state_sql(id, table, TableState::Done)).await?;
    }
    if session.execute(&fresh.advance_sql()).await? != 1 {
        return Err(EngineError::NotOwner);
    }
    session.execute("COMMIT").await?;
    Ok(fresh)
}

/// Lets the stream go on from `position` of the server `source_uuid`: its own side has everything up to there.
pub async fn level_at(
    session: &mut Session,
    begun: &Checkpoint,
    position: &GtidSet,
    source_uuid: &str,
) -> Result<(), EngineError> {
    let (position, source_uuid) = (position.clone(), Some(source_uuid.to_owned()));
    let level = Checkpoint { position, source_uuid, ..begun.clone() };
    // The owner token is in its condition.
    match session.execute(&level.advance_sql()).await? {
        1 => Ok(()),
        _ => Err(EngineError::NotOwner),
    }
}
