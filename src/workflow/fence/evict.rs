//! Ending clients that were refused and do not let go, where a fence is about to be opened.
//!
//! A refused write keeps its lock on the fence's row until its transaction ends, and opening needs that row. Since the fence
//! is closed, and could be closed only when nobody held its row, everybody who holds it now has been refused and can do
//! nothing on the fenced tables but give up. A client that does not, by neglect, would keep all others from writing: after
//! a short grace its connection is ended, by name in the log. (Asking first whether the fence is closed, without a lock,
//! would not need that, and cost every write on the open side another look.)
//!
//! Invariant: only holders of this very row are ended, which `performance_schema` alone can tell; where that is off nobody
//! is, and who may hold the row is named.

use crate::mysql::admin::Session;
use crate::mysql::quote;

use super::session::Silence;
use super::{Fence, FenceError, row};

/// Ends them, if the fence is closed; how many. To be called by whoever waits for the row.
pub async fn evict(fence: &Fence) -> Result<usize, FenceError> {
    let mut session = fence.session(Silence::Nothing).await?;
    if !row::read(fence, &mut session).await?.is_some_and(|state| state.closed) {
        return Ok(0);
    }
    let mut ended = 0;
    for (connection, account) in holders(fence, &mut session).await {
        match session.execute(&format!("KILL {connection}")).await {
            Ok(_) => {
                let (side, workflow) = (&fence.side.label, &fence.workflow);
                tracing::warn!(
                    %workflow, side, connection, account,
                    "ended: its write was refused, and it kept its transaction open, for which everybody had to wait"
                );
                ended += 1;
            }
            // 1094: it went away by itself.
            Err(error) if error.code() == Some(1094) => {}
            Err(error) => return Err(fence.server(error)),
        }
    }
    session.close().await;
    Ok(ended)
}

/// Who has been granted a lock on the row, with their accounts. Nobody, if that cannot be asked.
async fn holders(fence: &Fence, session: &mut Session) -> Vec<(u64, String)> {
    let key = &fence.key;
    let data = format!("'{}', '{}', '{}'", key.uid, key.keyspace, key.shard);
    let select = format!(
        "SELECT DISTINCT t.PROCESSLIST_ID, CONCAT(t.PROCESSLIST_USER, '@', t.PROCESSLIST_HOST)
         FROM performance_schema.data_locks AS l JOIN performance_schema.threads AS t USING (THREAD_ID)
         WHERE l.OBJECT_SCHEMA = '_shardlift' AND l.OBJECT_NAME = 'fence' AND l.LOCK_TYPE = 'RECORD'
           AND l.LOCK_STATUS = 'GRANTED' AND l.LOCK_MODE LIKE 'S%' AND l.LOCK_DATA = {}
           AND t.PROCESSLIST_ID <> CONNECTION_ID()",
        quote::text(&data)
    );
    match session.rows(&select).await {
        Ok(rows) => rows.iter().filter_map(|row| Some((row.number(0)?, row.text(1).unwrap_or_default()))).collect(),
        Err(error) => {
            tracing::info!(%error, side = fence.side.label, "who holds the fence's row cannot be asked");
            Vec::new()
        }
    }
}
