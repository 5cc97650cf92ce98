//! A stream that begins level: both sides hold the same rows, so there is nothing to copy and it only follows. The way back
//! of a switch begins like this.

use crate::model::{GtidSet, TableName};
use crate::mysql::admin::Session;

use super::checkpoint::Checkpoint;
use super::copy::marks::{TableState, note_sql, state_sql};
use super::error::EngineError;
use super::sidecar::{self, StreamKey};

/// Makes the stream's row and progress on its target, replacing whatever an earlier use left, so that it goes on from
/// `position` of the server `source_uuid`. Nobody runs it then: its owner token is fresh.
pub async fn begin_level(
    session: &mut Session,
    key: &StreamKey,
    tables: &[TableName],
    position: &GtidSet,
    source_uuid: &str,
) -> Result<(), EngineError> {
    let id = sidecar::enter(session, key).await?;
    // Whoever ran an earlier one is ended by this.
    let checkpoint = Checkpoint::claim(session, id, key.uid).await?;
    let fresh = Checkpoint {
        position: position.clone(),
        ceiling: GtidSet::new(),
        source_uuid: Some(source_uuid.to_owned()),
        last: None,
        ..checkpoint
    };
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
    Ok(())
}
