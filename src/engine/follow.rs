//! Following the source: batches from its binlog go to the targets, until told otherwise.
//!
//! # Invariants
//! - A batch is applied only when all its transactions are in the source's `gtid_executed`: an event may arrive before
//!   its commit is safe, and be lost in a failover (design §4.1).
//! - Tables of which no chunk was read yet are not decoded: their chunks will be read behind a later barrier. But parents of
//!   cascading foreign keys are, from the first: a change of theirs must say that what it cascaded to was logged. And XA on
//!   them stops the stream as on all moved tables: a barrier does not make prepared rows visible.
//! - A DDL statement on a moved table is passed only as `--on-ddl` says; the position never moves over one silently. It is
//!   never run on a target that other sources feed too: what it does, it does to their rows.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::mapping::Mapping;
use crate::model::workflow::OnDdl;
use crate::model::{Gtid, TableDef, TableName};
use crate::mysql::binlog::{BinlogOptions, BinlogReader, Ddl, Tables};
use crate::mysql::{MysqlError, quote};

use super::apply::batch::{Batch, LastTxn};
use super::apply::tail::{Step, Tail};
use super::apply::writer::Writer;
use super::checkpoint::Checkpoint;
use super::connect::slot;
use super::ddl_text;
use super::error::EngineError;
use super::known;
use super::progress::Progress;
use super::sidecar;
use super::source::Source;
use super::targets::Targets;
use super::throttle::Valve;

/// The server says that it is alive this often when it has nothing to say.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// A source transaction larger than this is applied in pieces.
const PIECE_BYTES: usize = 8 << 20;
/// An ALTER of a large table may take this long.
const LONGEST_DDL: Duration = Duration::from_secs(24 * 3600);
/// How long it may take to find the last applied transaction in the source's binlog.
const MEET: Duration = Duration::from_secs(120);
/// How often the binlog's retention is looked at.
const RETENTION_LOOK: Duration = Duration::from_secs(30);
/// How often conflicts with rows of other sources are settled.
const SETTLE: Duration = Duration::from_secs(1);

/// When to stop following.
#[derive(Debug)]
pub enum Until<'a> {
    /// When the targets equal the source for all that was copied: E ⊆ P.
    Consistent,
    /// When the valve lets a chunk be copied.
    Open(&'a Valve),
    /// When this task ends.
    Done(&'a mut AbortOnDropHandle<Result<(), EngineError>>),
    /// Never, but for the stream's cancellation.
    Cancelled,
}

/// One stream's follower.
#[derive(Debug)]
pub struct Follower<'a> {
    /// Where from.
    pub source: &'a mut Source,
    /// Where to.
    pub targets: &'a mut Targets,
    /// Which rows go where.
    pub mapping: &'a Arc<Mapping>,
    /// The tables to decode.
    pub tables: HashMap<TableName, Arc<TableDef>>,
    /// All moved tables, decoded or not: DDL on any of them counts.
    pub moved: &'a [TableName],
    /// What DDL does.
    pub on_ddl: OnDdl,
    /// DDL that the operator has dealt with.
    pub skip_ddl: &'a [Gtid],
    /// Whether the source is known to be the one that was read before.
    pub met: &'a mut bool,
    /// Connections to apply on.
    pub workers: u32,
    /// Is told what was applied.
    pub valve: &'a Valve,
    /// Is told how it goes.
    pub progress: &'a Progress,
    /// Ends it between batches.
    pub cancel: &'a CancellationToken,
}

impl Follower<'_> {
    /// Follows until `until`.
    pub async fn run(&mut self, mut until: Until<'_>) -> Result<(), EngineError> {
        if self.reached(&until) {
            return Ok(());
        }
        self.targets.check_history(self.source).await?;
        self.read_clock().await?;
        self.meet_again().await?;
        let mut tail = self.open().await?;
        let (mut look, mut settle) = (Instant::now(), Instant::now());
        loop {
            if self.cancel.is_cancelled() {
                // What was passed without a row counts for others only when it is stored: a switch looks for it there.
                if let Err(error) = self.targets.settle().await {
                    tracing::warn!(%error, "a position that was passed is not stored; it will be passed again");
                }
                return Err(EngineError::Cancelled);
            }
            if self.reached(&until) {
                return Ok(());
            }
            if Instant::now() >= settle {
                self.targets.settle_conflicts(self.mapping).await?;
                settle = Instant::now() + SETTLE;
            }
            if Instant::now() >= look {
                self.look_at_retention().await?;
                look = Instant::now() + RETENTION_LOOK;
            }
            let step = tokio::select! {
                step = tail.next() => step?,
                () = self.cancel.cancelled() => continue,
                ended = finished(&mut until) => return ended,
            };
            match step {
                Step::Batch(batch) => self.apply(batch).await?,
                Step::Ddl(ddl) => self.pass(ddl).await?,
                Step::Quiet => self.look_whether_level().await?,
            }
        }
    }

    fn reached(&self, until: &Until<'_>) -> bool {
        match until {
            Until::Consistent => self.targets.are_consistent(),
            Until::Open(valve) => valve.closed().is_none(),
            Until::Done(_) | Until::Cancelled => false,
        }
    }

    /// Makes sure that the source is the one that was read before, or has its transactions; notes which server it is.
    async fn meet_again(&mut self) -> Result<(), EngineError> {
        let uuid = self.source.uuid.clone();
        let of = |checkpoint: &Checkpoint| checkpoint.source_uuid.as_ref() == Some(&uuid);
        for (last, checkpoint) in self.targets.last().into_iter().filter(|_| !*self.met) {
            if self.source.has_purged(&last.gtid).await? {
                // The next transaction is still there, so nothing is missed; but this one cannot be compared.
                tracing::warn!(gtid = %last.gtid, "the last applied transaction's binlog is purged; not compared");
                continue;
            }
            let check = known::check(&self.source.side, &checkpoint.position, last, of(checkpoint));
            let late =
                EngineError::Timeout { what: "finding the last applied transaction again", seconds: MEET.as_secs() };
            tokio::time::timeout(MEET, check).await.map_err(|_| late)??;
        }
        *self.met = true;
        if !self.targets.iter().all(|target| of(&target.checkpoint)) {
            self.targets.note(None, Some(&uuid)).await?;
        }
        Ok(())
    }

    async fn open(&self) -> Result<Tail, EngineError> {
        let from = self.targets.position();
        let side = &self.source.side;
        let (database, moved) = (side.database.to_string(), self.moved.iter().cloned().collect());
        let tables = Arc::new(Decoded { database, tables: self.tables.clone(), moved });
        let options =
            BinlogOptions { heartbeat: HEARTBEAT, piece_bytes: PIECE_BYTES, ..BinlogOptions::new(from, tables) };
        let reader = BinlogReader::open(side.binlog().await?, options).await?;
        Ok(Tail::start(reader, self.mapping.clone()))
    }

    /// Nothing came: the target is level if the source has nothing that the position lacks.
    async fn look_whether_level(&mut self) -> Result<(), EngineError> {
        self.targets.settle().await?;
        let asked = now_us(0);
        if self.source.gtid_executed().await?.is_subset(&self.targets.position()) {
            self.progress
                .update(|snapshot| snapshot.as_of_us = Some(asked.saturating_add_signed(snapshot.clock_offset_us)));
        }
        Ok(())
    }

    async fn apply(&mut self, batch: Batch) -> Result<(), EngineError> {
        let mut safe = batch.gtids.clone();
        batch.open.iter().for_each(|open| safe.add(open));
        self.source.wait_visible(&safe).await?;
        let (txns, changes, bytes) = (batch.txns, batch.changes, batch.size() as u64);
        let (inserts, deletes) = (batch.inserts, batch.deletes);
        let committed = batch.last.as_ref().map(|last| last.committed_us);
        self.valve.charge(changes, bytes);
        let connections = self.valve.connections(self.workers);
        self.targets.apply(batch, connections).await?;
        self.progress.counts().applied(inserts, changes.saturating_sub(inserts + deletes), deletes, bytes, txns);
        let position = self.targets.position().to_string();
        self.progress.update(|snapshot| {
            snapshot.txns += txns;
            snapshot.changes += changes;
            snapshot.position = position;
            snapshot.as_of_us = snapshot.as_of_us.max(committed);
        });
        Ok(())
    }

    async fn pass(&mut self, ddl: Ddl) -> Result<(), EngineError> {
        if self.touches(&ddl) && !self.skip_ddl.contains(&ddl.gtid) {
            match self.on_ddl {
                OnDdl::Stop => return Err(self.stopped_by(&ddl)),
                OnDdl::Ignore => tracing::info!(gtid = %ddl.gtid, statement = ddl.statement, "DDL ignored"),
                OnDdl::Exec | OnDdl::ExecIgnore => self.execute(&ddl).await?,
            }
        }
        if !ddl.last {
            // Its rows follow as a transaction of the same GTID, and move the position.
            return Ok(());
        }
        let touched = self.touches(&ddl);
        self.apply(passed(&ddl, self.mapping)).await?;
        self.targets.settle().await?;
        if touched { Err(EngineError::Reload) } else { Ok(()) }
    }

    /// Whether other sources feed the targets too. Then DDL is no source's to run there: a TRUNCATE, or a partition that is
    /// dropped, would take their rows along, and columns would change under their streams.
    fn has_others(&self) -> bool {
        self.targets.iter().any(|writer| writer.shared.is_some())
    }

    fn stopped_by(&self, ddl: &Ddl) -> EngineError {
        let (gtid, statement) = (ddl.gtid.to_string(), ddl.statement.clone());
        match self.has_others() {
            true => EngineError::DdlOfOneSource { gtid, statement },
            false => EngineError::Ddl { gtid, statement },
        }
    }

    fn touches(&self, ddl: &Ddl) -> bool {
        let database = self.source.side.database.as_str();
        self.moved.iter().any(|table| ddl.scope.touches(database, table.as_str()))
    }

    /// Runs DDL on the targets as the source ran it, if it is of a kind that means the same there. The position of each
    /// moves at once: it is not to be run there again because another failed.
    async fn execute(&mut self, ddl: &Ddl) -> Result<(), EngineError> {
        if self.has_others() || !ddl_text::may_execute(ddl, self.source.side.database.as_str(), self.moved) {
            return Err(self.stopped_by(ddl));
        }
        let shares = passed(ddl, self.mapping).take_shares();
        for (writer, share) in self.targets.iter_mut().zip(shares) {
            if writer.checkpoint.position.contains(&ddl.gtid) {
                continue;
            }
            match execute_on(writer, ddl).await {
                Err(EngineError::DdlFailed { reason, .. }) if self.on_ddl == OnDdl::ExecIgnore => {
                    tracing::warn!(gtid = %ddl.gtid, statement = ddl.statement, reason, "DDL failed on the target; passed");
                }
                outcome => outcome?,
            }
            if ddl.last {
                writer.apply(share, 1).await?;
                writer.settle().await?;
            }
        }
        Ok(())
    }

    async fn read_clock(&mut self) -> Result<(), EngineError> {
        let there = self.source.clock_us().await? as i64;
        let here = now_us(0) as i64;
        let position = self.targets.position().to_string();
        let newest = self.targets.last().iter().map(|(last, _)| last.committed_us).min();
        self.progress.update(|snapshot| {
            snapshot.clock_offset_us = there - here;
            snapshot.position = position;
            snapshot.as_of_us = snapshot.as_of_us.or(newest);
        });
        Ok(())
    }

    /// Warns before binlogs that are still needed may be purged.
    async fn look_at_retention(&mut self) -> Result<(), EngineError> {
        let retention = self.source.retention().await?;
        self.progress.update(|snapshot| snapshot.retention = retention);
        let (Some(retention), Some(lag)) = (retention, self.progress.snapshot().lag()) else {
            return Ok(());
        };
        let thin = lag > retention / 2;
        let warning = thin.then(|| {
            let left = retention.saturating_sub(lag).as_secs();
            format!(
                "the stream is {} s behind and the source keeps binlogs for {} s: what it needs may be purged in {left} s. \
                 Raise binlog_expire_logs_seconds on the source",
                lag.as_secs(),
                retention.as_secs()
            )
        });
        self.progress.update(|snapshot| snapshot.warning = warning);
        Ok(())
    }
}

/// A batch that passes a DDL statement.
fn passed(ddl: &Ddl, mapping: &Arc<Mapping>) -> Batch {
    let mut batch = Batch::new(mapping.clone());
    batch.gtids.add(&ddl.gtid);
    batch.txns = 1;
    batch.last = Some(LastTxn { gtid: ddl.gtid.clone(), committed_us: ddl.committed_us, length: ddl.length });
    batch
}

/// Runs DDL on one target.
async fn execute_on(writer: &Writer, ddl: &Ddl) -> Result<(), EngineError> {
    let target = writer.side();
    let at = EngineError::at(&target.label);
    let (gtid, statement) = (ddl.gtid.to_string(), ddl.statement.clone());
    let mut session = target.owned_session(&writer.checkpoint, slot::DDL).await?;
    session.execute(&format!("USE {}", quote::ident(target.database.as_str()))).await.map_err(&at)?;
    let mode = ddl.sql_mode.map_or("@@sql_mode".into(), |mode| mode.to_string());
    let seconds = ddl.committed_us as f64 / 1e6;
    let setup = format!("SET foreign_key_checks = 0, sql_mode = {mode}, timestamp = {seconds}");
    session.execute(&setup).await.map_err(&at)?;
    session.set_limit(LONGEST_DDL);
    let own = sidecar::own_ddl(&writer.checkpoint.workflow_uid);
    match session.execute(&format!("{own}{}", ddl.statement)).await {
        Ok(_) => Ok(()),
        Err(MysqlError::Server { code, message, .. }) => {
            Err(EngineError::DdlFailed { gtid, statement, reason: format!("error {code}: {message}") })
        }
        Err(error) => Err(at(error)),
    }
}

/// The moved tables as the reader asks for them, and those of them that are decoded.
#[derive(Debug)]
struct Decoded {
    database: String,
    tables: HashMap<TableName, Arc<TableDef>>,
    moved: HashSet<TableName>,
}

impl Tables for Decoded {
    fn table(&self, database: &str, table: &str) -> Option<Arc<TableDef>> {
        if database != self.database {
            return None;
        }
        self.tables.get(&TableName::new(table).ok()?).cloned()
    }

    fn is_moved(&self, database: &str, table: &str) -> bool {
        database == self.database && TableName::new(table).is_ok_and(|table| self.moved.contains(&table))
    }
}

fn now_us(offset: i64) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as i64;
    (now + offset).max(0) as u64
}

/// Resolves when the awaited task ends or the valve opens; never, where neither is awaited.
async fn finished(until: &mut Until<'_>) -> Result<(), EngineError> {
    match until {
        Until::Done(task) => task.await.map_err(|error| EngineError::Task(error.to_string()))?,
        Until::Open(valve) => {
            valve.opened().await;
            Ok(())
        }
        Until::Consistent | Until::Cancelled => std::future::pending().await,
    }
}
