//! What a stream says about itself while it runs. Written by the stream, read by whoever publishes it.
//!
//! Lag is the age of the newest source state that the target is known to have: it grows while nothing is applied, for
//! whatever reason, and falls to zero only when the source itself says that there is nothing more (P10).

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;

use crate::metrics::WorkflowCounts;
use crate::model::TableName;
use crate::model::workflow::StreamState;

/// One table's part.
#[derive(Debug, Clone, Default)]
pub struct TableCounts {
    /// Rows copied.
    pub rows: u64,
    /// Bytes copied.
    pub bytes: u64,
    /// Rows the source's statistics promise; an estimate.
    pub rows_expected: u64,
    /// `copying`, `copied` or `done`.
    pub state: &'static str,
}

/// Everything, at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Where the stream is.
    pub state: StreamState,
    /// In words, when there is something to say.
    pub message: String,
    /// By table.
    pub tables: BTreeMap<TableName, TableCounts>,
    /// P as text.
    pub position: String,
    /// Source transactions passed since this engine took over.
    pub txns: u64,
    /// Row changes applied since then.
    pub changes: u64,
    /// The source state the target has, microseconds since 1970 UTC by the source's clock; `None` before any is known.
    pub as_of_us: Option<u64>,
    /// The source's clock less ours, microseconds.
    pub clock_offset_us: i64,
    /// How long the source keeps its binlogs; `None` while unknown, or for ever.
    pub retention: Option<Duration>,
    /// A warning that should be read before it bites, e.g. binlogs about to be purged.
    pub warning: Option<String>,
}

impl Snapshot {
    /// What moves when the stream gets anywhere.
    pub fn mark(&self) -> (String, u64, Option<u64>) {
        (self.position.clone(), self.tables.values().map(|table| table.rows).sum(), self.as_of_us)
    }

    /// The lag now; `None` before anything was applied.
    pub fn lag(&self) -> Option<Duration> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as i64;
        let as_of = self.as_of_us? as i64;
        Some(Duration::from_micros((now + self.clock_offset_us - as_of).max(0) as u64))
    }
}

/// The shared place.
#[derive(Debug, Clone)]
pub struct Progress {
    now: Arc<Mutex<Snapshot>>,
    changed: Arc<Notify>,
    counts: Arc<WorkflowCounts>,
}

impl Default for Snapshot {
    fn default() -> Self {
        Self {
            state: StreamState::Init,
            message: String::new(),
            tables: BTreeMap::new(),
            position: String::new(),
            txns: 0,
            changes: 0,
            as_of_us: None,
            clock_offset_us: 0,
            retention: None,
            warning: None,
        }
    }
}

impl Progress {
    /// Of a stream of which nothing is known yet; what it does is counted in `counts`.
    pub fn new(counts: Arc<WorkflowCounts>) -> Self {
        Self { now: Arc::default(), changed: Arc::default(), counts }
    }

    /// Changes it.
    pub fn update(&self, change: impl FnOnce(&mut Snapshot)) {
        change(&mut self.lock());
        self.changed.notify_waiters();
    }

    /// Waits until `look`, which is asked now and after each change, has an answer.
    pub async fn until<T>(&self, mut look: impl FnMut(&Snapshot) -> Option<T>) -> T {
        loop {
            let mut changed = pin!(self.changed.notified());
            // From here on no change is missed.
            changed.as_mut().enable();
            if let Some(answer) = self.look(&mut look) {
                return answer;
            }
            changed.await;
        }
    }

    /// A copy of it.
    pub fn snapshot(&self) -> Snapshot {
        self.lock().clone()
    }

    /// Looks at it in place.
    pub fn look<T>(&self, look: impl FnOnce(&Snapshot) -> T) -> T {
        look(&self.lock())
    }

    /// What is counted of the same things since this engine took over.
    pub fn counts(&self) -> &Arc<WorkflowCounts> {
        &self.counts
    }

    fn lock(&self) -> MutexGuard<'_, Snapshot> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
