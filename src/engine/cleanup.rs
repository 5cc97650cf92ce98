//! Undoing a workflow on the target: what it made goes, and only that.

use crate::engine::checkpoint::Checkpoint;
use crate::engine::connect::Side;
use crate::engine::error::EngineError;
use crate::engine::sidecar::{self, StreamKey};
use crate::model::TableName;
use crate::mysql::quote;

/// Takes the stream from whoever may still run it, drops `created` and empties `found` (tables that were there and empty
/// when the workflow began), then forgets the workflow. Running it again is harmless.
pub async fn undo(
    target: &Side,
    key: &StreamKey,
    created: &[TableName],
    found: &[TableName],
) -> Result<(), EngineError> {
    let at = EngineError::at(&target.label);
    let mut session = target.session().await?;
    let stream_id = sidecar::enter(&mut session, key).await?;
    Checkpoint::claim(&mut session, stream_id).await?;
    session.execute("SET foreign_key_checks = 0").await.map_err(&at)?;
    for table in created {
        let drop = format!("DROP TABLE IF EXISTS {}", quote::table_name(&target.database, table));
        session.execute(&drop).await.map_err(&at)?;
    }
    for table in found {
        let name = quote::table_name(&target.database, table);
        match session.execute(&format!("TRUNCATE TABLE {name}")).await {
            // 1146: its owner has dropped it meanwhile.
            Ok(_) | Err(crate::mysql::MysqlError::Server { code: 1146, .. }) => {}
            Err(error) => return Err(at(error)),
        }
    }
    sidecar::forget(&mut session, &key.uid).await
}
