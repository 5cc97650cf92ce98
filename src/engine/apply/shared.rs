//! Applying to a target that other sources feed too (see [`crate::engine::conflict`]): one connection, one transaction, which
//! reads what it would meet before it writes.

use std::sync::Arc;

use super::batch::Share;
use super::writer::Writer;
use crate::engine::conflict::Ownership;
use crate::engine::conflict::notes::note_sql;
use crate::engine::conflict::settle::{Place, settle};
use crate::engine::conflict::write::write;
use crate::engine::error::EngineError;
use crate::engine::fields;
use crate::engine::sidecar::StreamKey;
use crate::mapping::Mapping;
use crate::model::GtidSet;

/// Another stream may put a row in the way between the look and the write: then it is looked again, so often.
const TRIES: u32 = 8;
/// Notes settled at once.
const SETTLED: usize = 200;

/// What a writer knows of the others.
#[derive(Debug, Clone)]
pub struct Shared {
    /// The stream it belongs to.
    pub key: StreamKey,
    /// Whose rows are whose.
    pub ownership: Arc<Ownership>,
}

impl Writer {
    /// Applies `share` and moves the position to its end.
    pub(super) async fn apply_shared(&mut self, share: &Share, shared: &Shared) -> Result<(), EngineError> {
        let mut tries = 0;
        loop {
            let outcome = self.attempt(share, shared).await;
            let Err(error) = outcome else { return Ok(()) };
            // Whatever is open is rolled back by closing.
            self.lanes.clear();
            if tries == TRIES || !(error.is_lock_conflict() || error.is_duplicate()) {
                return Err(error.on(&self.side().label));
            }
            tries += 1;
        }
    }

    async fn attempt(&mut self, share: &Share, shared: &Shared) -> Result<(), EngineError> {
        let mut next = self.checkpoint.clone();
        next.ceiling.union(&self.begin().await?);
        next.position.union(&share.gtids);
        if let Some(open) = &share.open {
            next.ceiling.add(open);
        }
        next.last = share.last.clone().or(next.last);
        let database = self.side().database.clone();
        let wire = self.lane()?;
        let (ownership, mut notes) = (&*shared.ownership, Vec::new());
        for table in &share.tables {
            let known = ownership.table(&table.table.name)?;
            notes.extend(write(wire, &database, (ownership, known), ownership.own(), &table.keys).await?);
        }
        if !notes.is_empty() {
            tracing::debug!(count = notes.len(), "keys noted that meet rows of another source");
            wire.execute(note_sql(&shared.key, &notes).as_bytes()).await?;
        }
        if wire.execute(next.advance_sql().as_bytes()).await?.affected_rows != 1 {
            return Err(EngineError::NotOwner);
        }
        wire.execute(b"COMMIT").await?;
        next.ceiling = next.ceiling.minus(&next.position);
        self.applied(next);
        Ok(())
    }

    /// Stores the checkpoint, with what settling has read from this stream's source in its ceiling.
    pub(super) async fn store_settled(&mut self) -> Result<(), EngineError> {
        let settled = self.begin().await?;
        let mut next = self.checkpoint.clone();
        next.ceiling.union(&settled.minus(&next.position));
        let wire = self.lane()?;
        next.store(wire).await?;
        wire.execute(b"COMMIT").await?;
        self.checkpoint = next;
        Ok(())
    }

    /// Begins a transaction that holds the stream's row: nobody settles until it ends. What settling has read from this
    /// stream's source so far.
    async fn begin(&mut self) -> Result<GtidSet, EngineError> {
        let (guard, id) = (self.checkpoint.guard_sql(), self.checkpoint.stream_id);
        let wire = self.connection().await?;
        wire.execute(b"START TRANSACTION").await?;
        if wire.execute(guard.as_bytes()).await?.affected_rows != 1 {
            return Err(EngineError::NotOwner);
        }
        let ask = format!("SELECT settled FROM _shardlift.stream WHERE id = {id}");
        let row = wire.query_one(ask.as_bytes()).await?.unwrap_or_default();
        let settled = row.first().map(|value| fields::parsed(value, "stream.settled")).transpose()?;
        Ok(settled.flatten().unwrap_or_default())
    }

    /// Settles noted conflicts on this target, the stream's number `target`. What fails is tried again another time.
    pub async fn settle_conflicts(&mut self, mapping: &Mapping, target: usize) -> Result<(), EngineError> {
        let Some(shared) = self.shared.clone() else { return Ok(()) };
        let (side, checkpoint) = (self.side().clone(), self.checkpoint.clone());
        let (key, ownership) = (&shared.key, &*shared.ownership);
        let place = Place { key, side: &side, checkpoint: &checkpoint, ownership, mapping, target };
        match settle(self.connection().await?, &place, SETTLED).await {
            Ok(settled) if settled.read > 0 => {
                let (read, left) = (settled.read, settled.left.len());
                tracing::info!(target = side.label, read, left, "conflicts settled by reading their keys again");
                Ok(())
            }
            Ok(_) => Ok(()),
            Err(EngineError::NotOwner) => Err(EngineError::NotOwner),
            Err(error) => {
                tracing::warn!(target = side.label, %error, "conflicts are not settled yet");
                self.lanes.clear();
                Ok(())
            }
        }
    }
}
