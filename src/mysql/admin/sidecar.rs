//! The sidecar schema `_shardlift`: what we keep on a server, when it comes and when it goes.
//!
//! # Invariants
//! - Tables are created and dropped only under [`lock_sidecar`], so that nobody drops what another is about to use.
//! - The tables of a [`Part`] come together, go when its first one is empty, and the schema goes with the last of them: a
//!   server that no workflow uses is as it was before.
//! - The fence's table is made when a workflow is started, long before its triggers read it: a table younger than a writer's
//!   snapshot would be an error to that writer (protocol-review C23).

use std::time::Duration;

use crate::mysql::{MysqlError, quote};

use super::session::Session;

/// The schema on every server that keeps our checkpoints, fences and conflicts.
pub const SIDECAR: &str = "_shardlift";

const CREATE_SCHEMA: &str = "CREATE DATABASE IF NOT EXISTS _shardlift CHARACTER SET utf8mb4 COLLATE utf8mb4_bin";

/// Tables of the sidecar that come and go together.
#[derive(Debug)]
pub struct Part {
    /// Without rows in the first, the part is empty.
    tables: &'static [&'static str],
    create: &'static [&'static str],
}

/// Checkpoints and copy progress, on a stream's target.
pub const STREAMS: Part =
    Part { tables: &["stream", "copy_table", "copy_chunk", "conflict", "lane"], create: CREATE_STREAMS };

/// Fences, on every primary with tables that a workflow may close to writers.
pub const FENCES: Part = Part { tables: &["fence"], create: &[CREATE_FENCE] };

const CREATE_FENCE: &str = "CREATE TABLE IF NOT EXISTS _shardlift.fence (
        workflow_uid CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
        keyspace VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
        shard VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
        closed TINYINT NOT NULL COMMENT '0: writes pass',
        epoch BIGINT UNSIGNED NOT NULL COMMENT 'only grows',
        workflow VARCHAR(64) NOT NULL,
        PRIMARY KEY (workflow_uid, keyspace, shard)
    ) ENGINE=InnoDB COMMENT 'shardlift: who may write the tables of a shard'";

const CREATE_STREAMS: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS _shardlift.stream (
        id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
        workflow_uid CHAR(36) CHARACTER SET ascii NOT NULL,
        direction VARCHAR(8) CHARACTER SET ascii NOT NULL,
        source_shard VARCHAR(64) NOT NULL,
        target_keyspace VARCHAR(64) NOT NULL,
        target_shard VARCHAR(64) NOT NULL,
        workflow VARCHAR(64) NOT NULL,
        owner_token BIGINT UNSIGNED NOT NULL DEFAULT 0,
        position LONGTEXT CHARACTER SET ascii NOT NULL COMMENT 'GTIDs applied or irrelevant',
        ceiling LONGTEXT CHARACTER SET ascii NOT NULL COMMENT 'GTIDs whose effects may be present before position has them',
        settled LONGTEXT CHARACTER SET ascii NULL COMMENT 'the same by settling conflicts',
        source_uuid CHAR(36) CHARACTER SET ascii NULL,
        last_gtid VARCHAR(100) CHARACTER SET ascii NULL,
        last_committed_us BIGINT UNSIGNED NULL,
        last_length BIGINT UNSIGNED NULL,
        UNIQUE KEY (workflow_uid, direction, source_shard, target_shard)
    ) ENGINE=InnoDB COMMENT 'shardlift: one row per stream'",
    "CREATE TABLE IF NOT EXISTS _shardlift.copy_table (
        stream_id BIGINT UNSIGNED NOT NULL,
        table_name VARCHAR(64) NOT NULL,
        state VARCHAR(16) CHARACTER SET ascii NOT NULL,
        rows_copied BIGINT UNSIGNED NOT NULL DEFAULT 0,
        bytes_copied BIGINT UNSIGNED NOT NULL DEFAULT 0,
        deferred LONGTEXT NOT NULL COMMENT 'keys to add after the copy, JSON',
        begun TINYINT NOT NULL DEFAULT 0 COMMENT '1: holds rows of chunks that are copied again',
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
        ceiling LONGTEXT CHARACTER SET ascii NOT NULL COMMENT 'what the chunk may show: GTIDs of the source',
        PRIMARY KEY (stream_id, table_name, seq)
    ) ENGINE=InnoDB COMMENT 'shardlift: chunks copied'",
    "CREATE TABLE IF NOT EXISTS _shardlift.conflict (
        workflow_uid CHAR(36) CHARACTER SET ascii NOT NULL,
        direction VARCHAR(8) CHARACTER SET ascii NOT NULL,
        target_shard VARCHAR(64) NOT NULL,
        table_name VARCHAR(64) NOT NULL,
        index_name VARCHAR(64) NOT NULL,
        digest BINARY(32) NOT NULL COMMENT 'SHA-256 of the values',
        key_values LONGBLOB NOT NULL,
        PRIMARY KEY (workflow_uid, direction, target_shard, table_name, index_name, digest)
    ) ENGINE=InnoDB COMMENT 'shardlift: keys that several sources have written, to be read again'",
    "CREATE TABLE IF NOT EXISTS _shardlift.lane (
        stream_id BIGINT UNSIGNED NOT NULL,
        lane INT UNSIGNED NOT NULL,
        batches BIGINT UNSIGNED NOT NULL COMMENT 'marks transactions without the position as a stream''s own',
        PRIMARY KEY (stream_id, lane)
    ) ENGINE=InnoDB COMMENT 'shardlift: transactions of a stream that do not move its position'",
];

const SIDECAR_LOCK: &str = "shardlift/sidecar";

/// Takes the lock under which the sidecar schema is created or dropped, tables in it created, so that nobody drops it
/// while another is about to use it. Held until [`unlock_sidecar`] or the session's end; `false` if `wait` passes.
pub async fn lock_sidecar(session: &mut Session, wait: Duration) -> Result<bool, MysqlError> {
    let sql = format!("SELECT GET_LOCK('{SIDECAR_LOCK}', {})", wait.as_secs());
    Ok(session.value(&sql).await?.as_deref() == Some("1"))
}

/// Gives the lock back.
pub async fn unlock_sidecar(session: &mut Session) -> Result<(), MysqlError> {
    session.value(&format!("SELECT RELEASE_LOCK('{SIDECAR_LOCK}')")).await.map(drop)
}

/// Creates what is missing of the schema and of `part`. Call it under [`lock_sidecar`].
pub async fn create_part(session: &mut Session, part: &Part) -> Result<(), MysqlError> {
    session.execute(CREATE_SCHEMA).await?;
    for statement in part.create {
        session.execute(statement).await?;
    }
    Ok(())
}

/// Whether all tables of `part` are there.
pub async fn part_exists(session: &mut Session, part: &Part) -> Result<bool, MysqlError> {
    let sql = format!(
        "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = '{SIDECAR}' AND TABLE_NAME IN {}",
        quote::text_list(part.tables.iter().copied())
    );
    Ok(session.row(&sql).await?.and_then(|row| row.number(0)) == Some(part.tables.len() as u64))
}

/// Drops `part` if it is empty, and the schema with the last of its tables. Call it under [`lock_sidecar`].
pub async fn drop_part_if_empty(session: &mut Session, part: &Part) -> Result<(), MysqlError> {
    if part_exists(session, part).await? {
        let names: Vec<_> = part.tables.iter().map(|table| quote::qualified(SIDECAR, table)).collect();
        if session.value(&format!("SELECT 1 FROM {} LIMIT 1", names[0])).await?.is_none() {
            session.execute(&format!("DROP TABLE {}", names.join(", "))).await?;
        }
    }
    drop_sidecar_if_empty(session).await.map(drop)
}

/// Drops the sidecar schema if there is no table in it. Call it under [`lock_sidecar`].
pub async fn drop_sidecar_if_empty(session: &mut Session) -> Result<bool, MysqlError> {
    let count = "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = '_shardlift'";
    if session.value(count).await?.as_deref() != Some("0") {
        return Ok(false);
    }
    session.execute(&format!("DROP DATABASE IF EXISTS {}", quote::ident(SIDECAR))).await?;
    Ok(true)
}
