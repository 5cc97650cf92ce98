//! Writes a target's shares of batches; where the target has other sources too, as [`super::shared`] does.
//!
//! # Invariants
//! - Every transaction begins with the owner guard and goes no further when it does not match.
//! - The lane that moves the position commits last, after every other lane has; so the position never names a change
//!   that is not on the target. A crash in between replays the batch, harmlessly.
//! - Before a transaction is applied in part (a piece of one too large to hold), its GTID is in the stored ceiling.
//! - Statements that the target took with a warning are not committed.

use std::hash::RandomState;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::{DatabaseName, GtidSet, TableName};
use crate::mysql::wire::Wire;

use super::batch::Share;
use super::partition::{Lane, partition};
use super::shared::Shared;
use super::sql::{Collision, statements};
use crate::engine::checkpoint::Checkpoint;
use crate::engine::connect::{Side, slot};
use crate::engine::error::EngineError;
use crate::engine::sidecar::lane_sql;

/// Fewer keys than this per lane are not worth another connection's commit.
const KEYS_PER_LANE: usize = 500;
/// A position that moves without row changes is stored this often.
const IDLE_STORE: Duration = Duration::from_secs(1);
/// Statements share a packet up to this many bytes; a larger one has its own.
const SCRIPT_BYTES: usize = 4 << 20;

/// The target side of a stream's apply: its connections and its checkpoint.
#[derive(Debug)]
pub struct Writer {
    side: Side,
    pub(super) lanes: Vec<Wire>,
    slot: u32,
    hasher: RandomState,
    unstored: bool,
    stored: Instant,
    /// Where other sources feed the target too.
    pub shared: Option<Shared>,
    /// The checkpoint; as stored, but for a position that has moved over transactions without row changes.
    pub checkpoint: Checkpoint,
}

impl Writer {
    /// A writer that opens connections as batches need them.
    pub fn new(side: Side, checkpoint: Checkpoint) -> Self {
        Self {
            side,
            lanes: Vec::new(),
            slot: 0,
            hasher: RandomState::new(),
            unstored: false,
            stored: Instant::now(),
            shared: None,
            checkpoint,
        }
    }

    /// Notes a share without row changes: the position moves here, and is stored by and by; past a fence at once.
    async fn pass(&mut self, share: Share) -> Result<(), EngineError> {
        self.checkpoint.position.union(&share.gtids);
        self.checkpoint.ceiling = self.checkpoint.ceiling.minus(&self.checkpoint.position);
        self.checkpoint.last = share.last.or(self.checkpoint.last.take());
        self.unstored = true;
        if self.stored.elapsed() < IDLE_STORE && !share.fence { Ok(()) } else { self.settle().await }
    }

    /// Whether all that `share` stands for is in the position already: another target was behind when reading began.
    fn has(&self, share: &Share) -> bool {
        let position = &self.checkpoint.position;
        share.gtids.is_subset(position) && share.open.as_ref().is_none_or(|open| position.contains(open))
    }

    /// Stores a position that has moved without row changes.
    pub async fn settle(&mut self) -> Result<(), EngineError> {
        if !self.unstored {
            return Ok(());
        }
        let outcome = match self.shared.is_some() {
            true => self.store_settled().await,
            false => self.store().await,
        };
        if let Err(error) = outcome {
            // Whatever is open is rolled back by closing.
            self.lanes.clear();
            return Err(error.on(&self.side.label));
        }
        (self.unstored, self.stored) = (false, Instant::now());
        Ok(())
    }

    async fn store(&mut self) -> Result<(), EngineError> {
        self.open(1).await?;
        self.checkpoint.store(&mut self.lanes[0]).await
    }

    /// Takes over what has just been committed with the rows.
    pub(super) fn applied(&mut self, checkpoint: Checkpoint) {
        self.checkpoint = checkpoint;
        (self.unstored, self.stored) = (false, Instant::now());
    }

    /// Applies `share` on at most `connections` connections and moves the position to its end.
    pub async fn apply(&mut self, mut share: Share, connections: usize) -> Result<(), EngineError> {
        if self.has(&share) {
            return Ok(());
        }
        if share.is_empty() && share.open.is_none() {
            return self.pass(share).await;
        }
        if let Some(shared) = self.shared.clone() {
            return self.apply_shared(&share, &shared).await;
        }
        let mut next = self.checkpoint.clone();
        next.position.union(&share.gtids);
        // A share of which a part was applied before is a replay.
        let replayed = next.position.count() != self.checkpoint.position.count() + share.gtids.count();
        let exact = self.checkpoint.is_consistent() && !replayed;
        let collision = if exact { Collision::Refuse } else { Collision::Displace };
        if let Some(open) = &share.open {
            next.ceiling.add(open);
        }
        if let Some(last) = share.last.take() {
            next.last = Some(last);
        }
        let (tables, open) = (share.tables, share.open.is_some());
        let keys: usize = tables.iter().map(|table| table.keys.len()).sum();
        // A piece of a transaction is committed with the ceiling that names it, so in one lane.
        let most = if open { 1 } else { connections };
        let lanes = most.min(keys / KEYS_PER_LANE + 1).max(1);
        self.open(lanes).await?;
        let mut parts = partition(tables, lanes, &self.hasher);
        let mover = parts.pop().unwrap_or_default();
        let (mover_wire, others) = self.lanes[..lanes].split_last_mut().ok_or(EngineError::Cancelled)?;
        let guard = self.checkpoint.guard_sql();
        let database = &self.side.database;
        let id = self.checkpoint.stream_id;
        let side = others.iter_mut().zip(parts).enumerate().map(|(number, (wire, lane))| {
            let scripts = scripts(database, &guard, &lane, collision);
            async move {
                run(wire, scripts?).await?;
                wire.execute(lane_sql(id, number).as_bytes()).await?;
                wire.execute(b"COMMIT").await.map_err(EngineError::from)
            }
        });
        let last = run(mover_wire, scripts(database, &guard, &mover, collision)?);
        let (rest, last) = tokio::join!(futures_util::future::join_all(side), last);
        let outcome: Result<(), EngineError> = async {
            for result in rest {
                result?;
            }
            last?;
            if mover_wire.execute(next.advance_sql().as_bytes()).await?.affected_rows != 1 {
                return Err(EngineError::NotOwner);
            }
            mover_wire.execute(b"COMMIT").await?;
            Ok(())
        }
        .await;
        match outcome {
            Ok(()) => {
                next.ceiling = next.ceiling.minus(&next.position);
                self.applied(next);
                Ok(())
            }
            Err(error) => {
                // Whatever is open is rolled back by closing; the next attempt starts from the stored checkpoint.
                self.lanes.clear();
                Err(error.on(&self.side.label))
            }
        }
    }

    /// Raises the stored ceiling to `seen`, or notes the server the stream reads now.
    pub async fn note(&mut self, seen: Option<&GtidSet>, source_uuid: Option<&str>) -> Result<(), EngineError> {
        let mut next = self.checkpoint.clone();
        if let Some(seen) = seen {
            next.ceiling.union(seen);
            next.ceiling = next.ceiling.minus(&next.position);
        }
        if let Some(uuid) = source_uuid {
            next.source_uuid = Some(uuid.to_string());
        }
        self.open(1).await?;
        next.store(&mut self.lanes[0]).await.map_err(|error| error.on(&self.side.label))?;
        self.checkpoint = next;
        Ok(())
    }

    /// Begins anew at `position`, for a stream that has copied nothing yet; consistent when it has passed `ceiling`.
    pub async fn begin_at(
        &mut self,
        position: GtidSet,
        ceiling: GtidSet,
        source_uuid: &str,
    ) -> Result<(), EngineError> {
        let (last, source_uuid) = (None, Some(source_uuid.to_string()));
        let next = Checkpoint { position, ceiling, last, source_uuid, ..self.checkpoint.clone() };
        self.open(1).await?;
        next.store(&mut self.lanes[0]).await.map_err(|error| error.on(&self.side.label))?;
        self.checkpoint = next;
        Ok(())
    }

    /// The target.
    pub fn side(&self) -> &Side {
        &self.side
    }

    /// A connection of the stream, for work between batches.
    pub async fn connection(&mut self) -> Result<&mut Wire, EngineError> {
        self.open(1).await?;
        Ok(&mut self.lanes[0])
    }

    /// The same, where one is open.
    pub(super) fn lane(&mut self) -> Result<&mut Wire, EngineError> {
        self.lanes.first_mut().ok_or(EngineError::Cancelled)
    }

    pub(super) async fn open(&mut self, count: usize) -> Result<(), EngineError> {
        if self.lanes.iter().any(|wire| !wire.is_usable()) {
            self.lanes.clear();
        }
        while self.lanes.len() < count {
            let wire = self.side.writer(&self.checkpoint, self.slot).await?;
            self.slot = (self.slot + 1) % slot::APPLY_END;
            self.lanes.push(wire);
        }
        Ok(())
    }
}

/// Statements sent in one packet. The server stops at the first that fails.
#[derive(Debug, Default)]
struct Script {
    sql: Vec<u8>,
    expect: Vec<Expect>,
}

/// How a statement's success looks.
#[derive(Debug, Clone)]
enum Expect {
    Done,
    Guard,
    /// Rows of this table, with this many warnings.
    Exact(TableName, u64),
}

impl Script {
    fn push(&mut self, sql: &[u8], expect: Expect) {
        if !self.sql.is_empty() {
            self.sql.push(b';');
        }
        self.sql.extend_from_slice(sql);
        self.expect.push(expect);
    }
}

/// A lane's transaction up to but without its commit.
fn scripts(
    database: &DatabaseName,
    guard: &str,
    lane: &Lane,
    collision: Collision,
) -> Result<Vec<Script>, EngineError> {
    let mut first = Script::default();
    first.push(b"START TRANSACTION", Expect::Done);
    first.push(guard.as_bytes(), Expect::Guard);
    let mut out = vec![first];
    for part in lane {
        for statement in statements(database, part, collision)? {
            let expect = Expect::Exact(part.table.name.clone(), statement.warnings);
            match out.last_mut() {
                Some(script) if script.sql.len() + statement.sql.len() <= SCRIPT_BYTES => {
                    script.push(&statement.sql, expect);
                }
                // A large statement goes alone, uncopied.
                _ => out.push(Script { sql: statement.sql, expect: vec![expect] }),
            }
        }
    }
    Ok(out)
}

async fn run(wire: &mut Wire, scripts: Vec<Script>) -> Result<(), EngineError> {
    for script in scripts {
        let results = wire.execute_script(&script.sql).await?;
        for (result, expect) in results.into_iter().zip(script.expect) {
            let done = result?;
            match expect {
                Expect::Guard if done.affected_rows != 1 => return Err(EngineError::NotOwner),
                Expect::Exact(table, wanted) if u64::from(done.warnings) != wanted.min(u64::from(u16::MAX)) => {
                    let detail = format!("{} warning(s) where {wanted} were expected", done.warnings);
                    return Err(EngineError::Inexact { table, detail });
                }
                Expect::Done | Expect::Guard | Expect::Exact(..) => {}
            }
        }
    }
    Ok(())
}
