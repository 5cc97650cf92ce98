//! Undoing a workflow on the target: what it made goes, and only that.

use crate::engine::checkpoint::Checkpoint;
use crate::engine::connect::Side;
use crate::engine::error::EngineError;
use crate::engine::sidecar::{self, StreamKey};
use crate::model::TableName;
use crate::mysql::quote;

/// Takes the stream from whoever may still run it; drops those of its tables that are `created` and empties the others
/// (they were there and empty when the workflow was started). Only tables noted in the sidecar were touched, and only those
/// are undone. Running it again is harmless.
pub async fn undo(target: &Side, key: &StreamKey, created: &[TableName]) -> Result<(), EngineError> {
    let at = EngineError::at(&target.label);
    let mut session = target.session().await?;
    let stream_id = sidecar::enter(&mut session, key).await?;
    Checkpoint::claim(&mut session, stream_id, key.uid).await?;
    session.execute("SET foreign_key_checks = 0").await.map_err(&at)?;
    let noted = format!("SELECT table_name FROM _shardlift.copy_table WHERE stream_id = {stream_id}");
    for row in session.rows(&noted).await.map_err(&at)? {
        let table: TableName =
            row.text(0).unwrap_or_default().parse().map_err(|_| EngineError::Sidecar("table_name"))?;
        let name = quote::table_name(&target.database, &table);
        if created.contains(&table) {
            session.execute(&format!("DROP TABLE IF EXISTS {name}")).await.map_err(&at)?;
            continue;
        }
        match session.execute(&format!("TRUNCATE TABLE {name}")).await {
            // 1146: its owner has dropped it meanwhile.
            Ok(_) | Err(crate::mysql::MysqlError::Server { code: 1146, .. }) => {}
            Err(error) => return Err(at(error)),
        }
    }
    session.close().await;
    Ok(())
}
