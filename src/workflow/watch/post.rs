//! One shard of the closed side, with the primary it has: closed first, then looked at for as long as it is the primary.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use crate::engine::EngineError;
use crate::model::{GtidSet, ShardName, TabletAlias};
use crate::mysql::admin::gtid_state;
use crate::mysql::binlog::outline::Glance;
use crate::mysql::binlog::{BinlogError, BinlogReader, Retry};
use crate::topology::records::Workflow;
use crate::workflow::fence::{Fence, FenceError};
use crate::workflow::switch::ends::End;

use super::findings::Findings;
use super::judge::Judge;
use super::lookout::told;
use super::seal::{is_sealed, lacks, seal};

/// Between two tries where something does not work.
const AGAIN: Duration = Duration::from_secs(1);
/// How often fence and triggers are looked at where all is well.
const CHECK: Duration = Duration::from_secs(10);
/// How long closing may take.
const SEAL: Duration = Duration::from_secs(5);

/// A post; dropping it ends it.
#[derive(Debug)]
pub struct Post {
    by: Uuid,
    primary: TabletAlias,
    fence: Fence,
    _task: AbortOnDropHandle<()>,
}

/// Why looking has ended.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Fence(#[from] FenceError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Binlog(#[from] BinlogError),
}

impl Post {
    /// Mans it, for the side that the switch `by` has closed.
    pub fn start(
        by: Uuid,
        end: End,
        record: watch::Receiver<Option<Arc<Workflow>>>,
        findings: Arc<Findings>,
        hands: Arc<Mutex<()>>,
    ) -> Self {
        let (primary, fence) = (end.primary, end.fence);
        let guard = Guard { by, primary: primary.clone(), fence: fence.clone(), record, findings, hands };
        Self { by, primary, fence, _task: AbortOnDropHandle::new(tokio::spawn(guard.run())) }
    }

    /// Of which switch.
    pub fn by(&self) -> Uuid {
        self.by
    }

    /// Whether this is where it stands.
    pub fn is_at(&self, primary: &TabletAlias, fence: &Fence) -> bool {
        self.primary == *primary
            && self.fence.side.login.endpoint == fence.side.login.endpoint
            && self.fence.tables == fence.tables
    }
}

/// Who stands there.
struct Guard {
    by: Uuid,
    primary: TabletAlias,
    fence: Fence,
    record: watch::Receiver<Option<Arc<Workflow>>>,
    findings: Arc<Findings>,
    hands: Arc<Mutex<()>>,
}

impl Guard {
    async fn run(self) {
        loop {
            match self.watch().await {
                Ok(()) => return,
                Err(Failed::Binlog(error)) if error.retry() == Retry::Never => self.blind(&error).await,
                Err(error) => self.findings.note(format!("the closed side cannot be watched at the moment: {error}")),
            }
            sleep(AGAIN).await;
        }
    }

    fn shard(&self) -> &ShardName {
        &self.fence.key.shard
    }

    /// Until something fails, or nobody wants it any more.
    async fn watch(&self) -> Result<(), Failed> {
        if !is_sealed(&self.fence).await? && !self.close().await? {
            return Ok(());
        }
        let Some(watched) = self.findings.watched(self.by, self.shard()) else { return Ok(()) };
        self.compare().await?;
        let at = EngineError::at(&self.fence.side.label);
        let mut session = self.fence.side.session().await?;
        let case = session.row("SELECT @@global.lower_case_table_names").await.map_err(&at)?;
        let judge = Judge::new(&self.fence, case.and_then(|row| row.number(0)).unwrap_or_default());
        let executed = gtid_state(&mut session).await.map_err(&at)?.executed;
        session.close().await;
        // What this server does not have, nobody will see there.
        let from = watched.minus(&watched.minus(&executed));
        self.findings.resume_at(self.by, self.shard(), &from);
        let mut reader = BinlogReader::outlines(self.fence.side.binlog().await?, &from).await?;
        let mut check = Instant::now() + CHECK;
        loop {
            if let Glance::Txn(txn) = reader.next().await? {
                if let Some(did) = judge.stranger(&txn) {
                    let why = told(&self.fence.side.label, &txn.gtid.to_string(), &did);
                    self.findings.stranger(self.by, Some(&txn.gtid), &why);
                }
                self.findings.passed(self.by, self.shard(), &txn.gtid);
            }
            // The server says at least once a second that it lives.
            if Instant::now() >= check {
                check = Instant::now() + CHECK;
                if !is_sealed(&self.fence).await? && !self.close().await? {
                    return Ok(());
                }
            }
        }
    }

    /// Closes it, if the record still says so when nobody else is at the fences; whether it is closed.
    async fn close(&self) -> Result<bool, FenceError> {
        let _hands = self.hands.lock().await;
        let epoch = match self.record.borrow().as_ref() {
            Some(record) if record.closed.as_ref().is_some_and(|closed| closed.by == self.by) => record.epoch,
            _ => return Ok(false),
        };
        if seal(&self.fence, epoch, SEAL).await? {
            let side = &self.fence.side.label;
            self.findings.note(format!("{side}: this primary was not closed to writers; it is now"));
        }
        Ok(true)
    }

    /// Whether a primary that has come since has all that the one before it was closed with.
    async fn compare(&self) -> Result<(), EngineError> {
        let record = self.record.borrow().clone();
        let closed = record.as_ref().and_then(|record| record.closed.as_ref()?.shards.get(self.shard()));
        let Some(closed) = closed.filter(|closed| closed.primary.as_ref() != Some(&self.primary)) else {
            return Ok(());
        };
        let missing = lacks(&self.fence, &closed.drained).await?;
        if !missing.is_empty() {
            self.findings.stranger(self.by, None, &lacking(&self.fence, &missing));
        }
        Ok(())
    }

    /// What is in the binlog cannot be read, and will not be: it may be anything.
    async fn blind(&self, error: &BinlogError) {
        let side = &self.fence.side.label;
        self.findings.stranger(
            self.by,
            None,
            &format!("{side}: what was done there since it was closed cannot be known: {error}"),
        );
        let executed = async {
            let mut session = self.fence.side.session().await.ok()?;
            Some(gtid_state(&mut session).await.ok()?.executed)
        };
        if let Some(executed) = executed.await {
            self.findings.resume_at(self.by, self.shard(), &executed);
        }
    }
}

/// In words.
pub fn lacking(fence: &Fence, missing: &GtidSet) -> String {
    format!(
        "{}: this primary lacks {} transaction(s) that the other side was given before the switch ({missing}): its rows are \
         older than they must be",
        fence.side.label,
        missing.count()
    )
}
