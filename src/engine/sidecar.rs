//! The sidecar schema `_shardlift` on every target: checkpoints and copy progress.
//!
//! Everything a stream must know to go on after a crash is here, in the server that holds the rows, and changes in the
//! same transactions as the rows (design §4). The topology holds wishes and routing, never a position.
//!
//! | table | one row per | written |
//! |---|---|---|
//! | `stream` | stream (source shard → target shard of one workflow) | last in each transaction that moves the position |
//! | `copy_table` | moved table | when its copy or its indexes move on |
//! | `copy_chunk` | copied chunk not yet merged into its predecessor | in the transaction that writes the chunk's rows |
//! | `conflict` | value of a unique key that rows of several sources have met in | with the write that was left out, see [`super::conflict`] |
//! | `lane` | connection that writes rows beside the one that moves the position | in each of its transactions |
//!
//! So every transaction of a stream that writes rows also writes a row here: by that a binlog's reader tells them from
//! those of strangers ([`is_own`]).

use std::time::Duration;

use uuid::Uuid;

use crate::model::switch::Direction;
use crate::model::{KeyspaceName, ShardName, WorkflowName};
use crate::mysql::admin::{
    SIDECAR, STREAMS, Session, create_part, drop_part_if_empty, lock_sidecar, part_exists, unlock_sidecar,
};

use super::error::EngineError;

/// Which stream: one source shard into one target shard, for one workflow.
#[derive(Debug, Clone)]
pub struct StreamKey {
    /// The workflow's identity; a name may be used again, this never.
    pub uid: Uuid,
    /// The workflow's name, for whoever looks into the sidecar.
    pub workflow: WorkflowName,
    /// Which way its rows flow.
    pub direction: Direction,
    /// Where rows come from.
    pub source_shard: ShardName,
    /// The keyspace they go to.
    pub target_keyspace: KeyspaceName,
    /// The shard they go to.
    pub target_shard: ShardName,
}

/// Whether rows of this table mark a transaction as a stream's own. A fence's row does not: whoever closes or opens one
/// writes no others.
pub fn is_own(database: &str, table: &str) -> bool {
    database == SIDECAR && table != "fence"
}

/// The statement by which a transaction that does not move the position is marked as the stream's.
pub fn lane_sql(stream_id: u64, lane: usize) -> String {
    format!(
        "INSERT INTO _shardlift.lane (stream_id, lane, batches) VALUES ({stream_id}, {lane}, 1) \
         ON DUPLICATE KEY UPDATE batches = batches + 1"
    )
}

/// What stands before DDL that a stream executes, for the same purpose: it is logged with the statement.
pub fn own_ddl(workflow: &Uuid) -> String {
    format!("/* shardlift {workflow} */ ")
}

/// How long to wait for another session that creates or drops the sidecar.
const LOCK_WAIT: Duration = Duration::from_secs(20);

/// Creates what is missing of the sidecar, and the stream's row in it; returns the row's id.
pub async fn enter(session: &mut Session, stream: &StreamKey) -> Result<u64, EngineError> {
    lock(session).await?;
    create_part(session, &STREAMS).await?;
    let StreamKey { uid, workflow, direction, source_shard, target_keyspace, target_shard } = stream;
    // Every name is of a checked type whose alphabet needs no quoting.
    let insert = format!(
        "INSERT IGNORE INTO _shardlift.stream
            (workflow_uid, direction, source_shard, target_keyspace, target_shard, workflow, position, ceiling)
         VALUES ('{uid}', '{direction}', '{source_shard}', '{target_keyspace}', '{target_shard}', '{workflow}', '', '')"
    );
    session.execute(&insert).await?;
    let select = format!(
        "SELECT id FROM _shardlift.stream
         WHERE workflow_uid = '{uid}' AND direction = '{direction}' AND source_shard = '{source_shard}'
           AND target_shard = '{target_shard}'"
    );
    let id = session.row(&select).await?.and_then(|row| row.number(0));
    unlock_sidecar(session).await?;
    id.ok_or(EngineError::Sidecar("the stream's row is missing"))
}

/// The ids of a stream's row and of its owner; `None` where there is no such stream.
pub async fn owner(session: &mut Session, stream: &StreamKey) -> Result<Option<(u64, u64)>, EngineError> {
    let StreamKey { uid, direction, source_shard, target_shard, .. } = stream;
    let select = format!(
        "SELECT id, owner_token FROM _shardlift.stream WHERE workflow_uid = '{uid}' AND direction = '{direction}'
           AND source_shard = '{source_shard}' AND target_shard = '{target_shard}'"
    );
    Ok(session.row(&select).await?.and_then(|row| Some((row.number(0)?, row.number(1)?))))
}

/// Removes every trace of one workflow, and the sidecar itself when nothing is left in it.
pub async fn forget(session: &mut Session, uid: &Uuid) -> Result<(), EngineError> {
    lock(session).await?;
    if part_exists(session, &STREAMS).await? {
        let mine = format!("SELECT id FROM _shardlift.stream WHERE workflow_uid = '{uid}'");
        // The stream's row goes last: a crash in between leaves it to be found by the next attempt.
        for table in ["copy_chunk", "copy_table", "lane"] {
            session.execute(&format!("DELETE FROM _shardlift.{table} WHERE stream_id IN ({mine})")).await?;
        }
        for table in ["conflict", "stream"] {
            session.execute(&format!("DELETE FROM _shardlift.{table} WHERE workflow_uid = '{uid}'")).await?;
        }
    }
    drop_part_if_empty(session, &STREAMS).await?;
    unlock_sidecar(session).await?;
    Ok(())
}

async fn lock(session: &mut Session) -> Result<(), EngineError> {
    match lock_sidecar(session, LOCK_WAIT).await? {
        true => Ok(()),
        false => Err(EngineError::Timeout { what: "waiting for the sidecar's lock", seconds: LOCK_WAIT.as_secs() }),
    }
}
