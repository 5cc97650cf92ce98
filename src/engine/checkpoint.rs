//! A stream's checkpoint: how it is claimed, read, and moved.
//!
//! # Invariants
//! - A checkpoint is read only after the claim's UPDATE of the owner token has committed. That UPDATE waits for every
//!   transaction of the previous owner, which all hold the row FOR SHARE or have updated it (design §4.4).
//! - The position moves only by [`Checkpoint::advance_sql`], in the transaction that holds the rows it stands for.
//! - `ceiling` names every transaction some effect of which may be on the target although `position` lacks it: the target
//!   equals the source, at one position, exactly when `ceiling ⊆ position`.

use std::time::Duration;

use uuid::Uuid;

use crate::engine::apply::batch::LastTxn;
use crate::model::GtidSet;
use crate::mysql::admin::{Session, hold_owner_lock, kill_owner_sessions};
use crate::mysql::wire::Wire;

use super::error::EngineError;

/// How long the previous owner's transactions may take to roll back.
const KILL_WAIT: Duration = Duration::from_secs(60);

/// What a stream knows of itself.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// The stream's row in the sidecar.
    pub stream_id: u64,
    /// The stream's workflow, by which fences know its sessions.
    pub workflow_uid: Uuid,
    /// The token under which every transaction of ours runs.
    pub token: u64,
    /// P: applied or irrelevant.
    pub position: GtidSet,
    /// E: may be present before P has them.
    pub ceiling: GtidSet,
    /// `@@server_uuid` of the server that was read last.
    pub source_uuid: Option<String>,
    /// The newest transaction in P that was read from the binlog.
    pub last: Option<LastTxn>,
}

impl Checkpoint {
    /// Takes the stream over: kills what the previous owner left connected, sets a new token, reads the checkpoint.
    pub async fn claim(session: &mut Session, stream_id: u64, workflow_uid: Uuid) -> Result<Self, EngineError> {
        let missing = || EngineError::Sidecar("the stream's row is missing");
        let previous = format!("SELECT owner_token FROM _shardlift.stream WHERE id = {stream_id}");
        let previous = session.row(&previous).await?.and_then(|row| row.number(0)).ok_or_else(missing)?;
        kill_owner_sessions(session, &owner(stream_id, previous), KILL_WAIT).await?;
        let token: u64 = rand::random_range(1..=u64::MAX);
        let claim = format!(
            "UPDATE _shardlift.stream SET owner_token = {token} WHERE id = {stream_id} AND owner_token = {previous}"
        );
        if session.execute(&claim).await? != 1 {
            return Err(EngineError::NotOwner);
        }
        // Whatever it opened between the two.
        kill_owner_sessions(session, &owner(stream_id, previous), KILL_WAIT).await?;
        let select = format!(
            "SELECT position, ceiling, source_uuid, last_gtid, last_committed_us, last_length
             FROM _shardlift.stream WHERE id = {stream_id} AND owner_token = {token}"
        );
        let row = session.row(&select).await?.ok_or(EngineError::NotOwner)?;
        let set = |index, what| match row.text(index) {
            Some(text) => text.parse::<GtidSet>().map_err(|_| EngineError::Sidecar(what)),
            None => Ok(GtidSet::new()),
        };
        let last = match row.text(3) {
            None => None,
            Some(text) => Some(LastTxn {
                gtid: text.parse().map_err(|_| EngineError::Sidecar("last_gtid"))?,
                committed_us: row.number(4).unwrap_or(0),
                length: row.number(5).unwrap_or(0),
            }),
        };
        Ok(Self {
            stream_id,
            workflow_uid,
            token,
            position: set(0, "position")?,
            ceiling: set(1, "ceiling")?,
            source_uuid: row.text(2),
            last,
        })
    }

    /// Of the stream as it is owned now, for work that its owner does not do himself; it has no position.
    pub fn held(stream_id: u64, token: u64, workflow_uid: Uuid) -> Self {
        let (position, ceiling) = (GtidSet::new(), GtidSet::new());
        Self { stream_id, workflow_uid, token, position, ceiling, source_uuid: None, last: None }
    }

    /// The statement that marks connection number `slot` as this owner's, so that whoever takes over can end it.
    pub fn mark_sql(&self, slot: u32) -> String {
        hold_owner_lock(&owner(self.stream_id, self.token), slot)
    }

    /// The assignment by which a session of the stream passes its own workflow's fences (design §5.1): those that write rows
    /// have it, no other session does.
    pub fn pass_sql(&self) -> String {
        format!("@shardlift_stream = '{}'", self.workflow_uid)
    }

    /// Whether the target equals the source at the position, for every row copied so far.
    pub fn is_consistent(&self) -> bool {
        self.ceiling.is_subset(&self.position)
    }

    /// The statement every transaction of the stream begins with: it must affect one row, else we are not the owner.
    pub fn guard_sql(&self) -> String {
        format!(
            "SELECT id INTO @shardlift_owned FROM _shardlift.stream WHERE id = {} AND owner_token = {} FOR SHARE",
            self.stream_id, self.token
        )
    }

    /// The statement that stores this checkpoint; last in its transaction, and it must match one row.
    pub fn advance_sql(&self) -> String {
        let quoted = |text: Option<String>| text.map_or("NULL".into(), |text| format!("'{text}'"));
        let number = |value: Option<u64>| value.map_or("NULL".into(), |value| value.to_string());
        let last = self.last.as_ref();
        format!(
            "UPDATE _shardlift.stream SET position = '{}', ceiling = '{}', source_uuid = {}, last_gtid = {},
             last_committed_us = {}, last_length = {} WHERE id = {} AND owner_token = {}",
            self.position,
            // What the position has passed need not be remembered.
            self.ceiling.minus(&self.position),
            quoted(self.source_uuid.clone()),
            quoted(last.map(|last| last.gtid.to_string())),
            number(last.map(|last| last.committed_us)),
            number(last.map(|last| last.length)),
            self.stream_id,
            self.token
        )
    }

    /// Stores this checkpoint in a transaction of its own.
    pub async fn store(&self, wire: &mut Wire) -> Result<(), EngineError> {
        match wire.execute(self.advance_sql().as_bytes()).await?.affected_rows {
            1 => Ok(()),
            _ => Err(EngineError::NotOwner),
        }
    }
}

/// What the owner's connections are marked with.
fn owner(stream_id: u64, token: u64) -> String {
    format!("{stream_id:x}.{token:x}")
}
