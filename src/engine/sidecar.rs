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

use std::time::Duration;

use uuid::Uuid;

use crate::model::{KeyspaceName, ShardName, WorkflowName};
use crate::mysql::admin::{Session, drop_sidecar_if_empty, lock_sidecar, unlock_sidecar};

use super::error::EngineError;

/// Which stream: one source shard into one target shard, for one workflow.
#[derive(Debug, Clone)]
pub struct StreamKey {
    /// The workflow's identity; a name may be used again, this never.
    pub uid: Uuid,
    /// The workflow's name, for whoever looks into the sidecar.
    pub workflow: WorkflowName,
    /// Where rows come from.
    pub source_shard: ShardName,
    /// The keyspace they go to.
    pub target_keyspace: KeyspaceName,
    /// The shard they go to.
    pub target_shard: ShardName,
}

const CREATE: &[&str] = &[
    "CREATE DATABASE IF NOT EXISTS _shardlift CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
    "CREATE TABLE IF NOT EXISTS _shardlift.stream (
        id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
        workflow_uid CHAR(36) CHARACTER SET ascii NOT NULL,
        source_shard VARCHAR(64) NOT NULL,
        target_keyspace VARCHAR(64) NOT NULL,
        target_shard VARCHAR(64) NOT NULL,
        workflow VARCHAR(64) NOT NULL,
        owner_token BIGINT UNSIGNED NOT NULL DEFAULT 0,
        position LONGTEXT CHARACTER SET ascii NOT NULL COMMENT 'GTIDs applied or irrelevant',
        ceiling LONGTEXT CHARACTER SET ascii NOT NULL COMMENT 'GTIDs whose effects may be present before position has them',
        source_uuid CHAR(36) CHARACTER SET ascii NULL,
        last_gtid VARCHAR(100) CHARACTER SET ascii NULL,
        last_committed_us BIGINT UNSIGNED NULL,
        last_length BIGINT UNSIGNED NULL,
        UNIQUE KEY (workflow_uid, source_shard, target_shard)
    ) ENGINE=InnoDB COMMENT 'shardlift: one row per stream'",
    "CREATE TABLE IF NOT EXISTS _shardlift.copy_table (
        stream_id BIGINT UNSIGNED NOT NULL,
        table_name VARCHAR(64) NOT NULL,
        state VARCHAR(16) CHARACTER SET ascii NOT NULL,
        rows_copied BIGINT UNSIGNED NOT NULL DEFAULT 0,
        bytes_copied BIGINT UNSIGNED NOT NULL DEFAULT 0,
        deferred LONGTEXT NOT NULL COMMENT 'keys to add after the copy, JSON',
        PRIMARY KEY (stream_id, table_name)
    ) ENGINE=InnoDB COMMENT 'shardlift: copy state of each moved table'",
    "CREATE TABLE IF NOT EXISTS _shardlift.copy_chunk (
        stream_id BIGINT UNSIGNED NOT NULL,
        table_name VARCHAR(64) NOT NULL,
        seq BIGINT UNSIGNED NOT NULL,
        lower_key LONGBLOB NULL COMMENT 'exclusive; NULL: from the start',
        upper_key LONGBLOB NULL COMMENT 'inclusive; NULL: to the end',
        rows_copied BIGINT UNSIGNED NOT NULL,
        bytes_copied BIGINT UNSIGNED NOT NULL,
        ceiling LONGTEXT CHARACTER SET ascii NOT NULL COMMENT 'gtid_executed of the source after the chunk was read',
        PRIMARY KEY (stream_id, table_name, seq)
    ) ENGINE=InnoDB COMMENT 'shardlift: chunks copied'",
];

/// How long to wait for another session that creates or drops the sidecar.
const LOCK_WAIT: Duration = Duration::from_secs(20);

/// Creates what is missing of the sidecar, and the stream's row in it; returns the row's id.
pub async fn enter(session: &mut Session, stream: &StreamKey) -> Result<u64, EngineError> {
    lock(session).await?;
    for statement in CREATE {
        session.execute(statement).await?;
    }
    let StreamKey { uid, workflow, source_shard, target_keyspace, target_shard } = stream;
    // Every name is of a checked type whose alphabet needs no quoting.
    let insert = format!(
        "INSERT IGNORE INTO _shardlift.stream
            (workflow_uid, source_shard, target_keyspace, target_shard, workflow, position, ceiling)
         VALUES ('{uid}', '{source_shard}', '{target_keyspace}', '{target_shard}', '{workflow}', '', '')"
    );
    session.execute(&insert).await?;
    let select = format!(
        "SELECT id FROM _shardlift.stream
         WHERE workflow_uid = '{uid}' AND source_shard = '{source_shard}' AND target_shard = '{target_shard}'"
    );
    let id = session.row(&select).await?.and_then(|row| row.number(0));
    unlock_sidecar(session).await?;
    id.ok_or(EngineError::Sidecar("the stream's row is missing"))
}

/// Removes every trace of one workflow, and the sidecar itself when nothing is left in it.
pub async fn forget(session: &mut Session, uid: &Uuid) -> Result<(), EngineError> {
    lock(session).await?;
    let exists = "SELECT COUNT(*) FROM information_schema.TABLES
                  WHERE TABLE_SCHEMA = '_shardlift' AND TABLE_NAME IN ('stream', 'copy_table', 'copy_chunk')";
    if session.value(exists).await?.as_deref() == Some("3") {
        let mine = format!("SELECT id FROM _shardlift.stream WHERE workflow_uid = '{uid}'");
        // The stream's row goes last: a crash in between leaves it to be found by the next attempt.
        for table in ["copy_chunk", "copy_table"] {
            session.execute(&format!("DELETE FROM _shardlift.{table} WHERE stream_id IN ({mine})")).await?;
        }
        session.execute(&format!("DELETE FROM _shardlift.stream WHERE workflow_uid = '{uid}'")).await?;
        if session.value("SELECT COUNT(*) FROM _shardlift.stream").await?.as_deref() == Some("0") {
            session.execute("DROP TABLE _shardlift.copy_chunk, _shardlift.copy_table, _shardlift.stream").await?;
        }
    }
    drop_sidecar_if_empty(session).await?;
    unlock_sidecar(session).await?;
    Ok(())
}

async fn lock(session: &mut Session) -> Result<(), EngineError> {
    match lock_sidecar(session, LOCK_WAIT).await? {
        true => Ok(()),
        false => Err(EngineError::Timeout { what: "waiting for the sidecar's lock", seconds: LOCK_WAIT.as_secs() }),
    }
}
