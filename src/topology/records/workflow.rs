//! What the topology holds of a workflow: the wish, the owner's report, the log.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Record;
use crate::model::closed::ClosedSide;
use crate::model::fence::Epoch;
use crate::model::routing::TableMove;
use crate::model::switch::{Direction, Switch};
use crate::model::workflow::{Completion, Desired, StreamState, TabletType, Throttle, WorkflowKind, WorkflowSpec};
use crate::model::{Gtid, InstanceId, ShardName, TableName};

/// The most lines a workflow's log keeps.
pub const LOG_LINES: usize = 200;

/// A workflow: what is wanted of it, and what must survive every engine. Positions are not here; they are with the rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workflow {
    /// What it is.
    pub spec: WorkflowSpec,
    /// Its identity: a name may be used again, this never.
    pub uid: Uuid,
    /// When it was started, seconds since the Unix epoch.
    pub created: u64,
    /// What the operator wants.
    pub desired: Desired,
    /// Its limits.
    pub throttle: Throttle,
    /// Tables that did not exist on the target when it was started: cancel drops these and only these.
    pub created_tables: Vec<TableName>,
    /// Sequences that number instead of AUTO_INCREMENT columns: cancel takes back of them what the workflow has made.
    #[serde(default)]
    pub replaced: Vec<Replaced>,
    /// DDL statements the operator has dealt with by hand.
    pub skip_ddl: Vec<Gtid>,
    /// Why it rests although it should run; cleared by resume.
    pub stopped: Option<Stopped>,
    /// The types of traffic that go to the target.
    #[serde(default)]
    pub switched: BTreeSet<TabletType>,
    /// Whether writes were ever switched: from then on the side that does not take them is fenced and closed.
    #[serde(default)]
    pub fenced: bool,
    /// Whether, once writes are switched, changes are replicated back.
    #[serde(default = "yes")]
    pub way_back: bool,
    /// The epoch last used for its fences; every use takes a higher one.
    #[serde(default)]
    pub epoch: Epoch,
    /// The last switch asked for.
    #[serde(default)]
    pub switch: Option<Switch>,
    /// The side that the last switch of writes has closed.
    #[serde(default)]
    pub closed: Option<ClosedSide>,
    /// How it is to be completed.
    #[serde(default)]
    pub completion: Option<Completion>,
    /// The source shards whose old tables have had their fate: what has their names now is somebody else's.
    #[serde(default)]
    pub retired: BTreeSet<ShardName>,
}

fn yes() -> bool {
    true
}

impl Workflow {
    /// One of which nothing has been done yet, wanted to run.
    pub fn new(spec: WorkflowSpec, created: u64) -> Self {
        Self {
            spec,
            uid: Uuid::new_v4(),
            created,
            desired: Desired::Running,
            throttle: Throttle::default(),
            created_tables: Vec::new(),
            replaced: Vec::new(),
            skip_ddl: Vec::new(),
            stopped: None,
            switched: BTreeSet::new(),
            fenced: false,
            way_back: true,
            epoch: Epoch::default(),
            switch: None,
            closed: None,
            completion: None,
            retired: BTreeSet::new(),
        }
    }

    /// The way its changes flow: away from the side that takes the writes.
    pub fn flow(&self) -> Direction {
        if self.switched.contains(&TabletType::Primary) { Direction::Backward } else { Direction::Forward }
    }

    /// Its switch, if that is neither done nor undone.
    pub fn open_switch(&self) -> Option<&Switch> {
        self.switch.as_ref().filter(|switch| !switch.phase.is_settled())
    }

    /// The routing rules that say where its traffic goes, where rules do and not the shards' own records.
    pub fn rules(&self) -> Option<TableMove> {
        (self.spec.kind == WorkflowKind::MoveTables).then(|| TableMove {
            source: self.spec.source_keyspace.clone(),
            target: self.spec.target_keyspace.clone(),
            tables: self.spec.tables.iter().cloned().collect(),
            switched: self.switched.clone(),
        })
    }
}

/// An AUTO_INCREMENT column, and the sequence in the global keyspace that numbers it instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replaced {
    /// The table.
    pub table: TableName,
    /// Its column.
    pub column: String,
    /// The sequence's table.
    pub sequence: TableName,
    /// Whether the global keyspace's VSchema did not have it when the workflow was started.
    pub declared: bool,
    /// Whether that table did not exist then; the first switch makes it.
    pub created: bool,
}

/// Why a workflow came to rest by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// Stopped (as asked) or Error.
    pub state: StreamState,
    /// The first cause.
    pub message: String,
    /// When, seconds since the Unix epoch.
    pub at: u64,
}

impl Record for Workflow {
    const KIND: &'static str = "workflow";
    /// 2: the shards are named; a release that knows one shard a side would take another one for it.
    const VERSION: u32 = 2;
}

/// One table in a report.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TableStatus {
    /// `copying`, `copied` or `done`.
    pub state: String,
    /// Rows copied.
    pub rows: u64,
    /// Bytes copied.
    pub bytes: u64,
    /// Rows the source's statistics promise; an estimate.
    pub rows_expected: u64,
}

/// What a workflow's owner reports, at most every second or two.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Who reports.
    pub engine: InstanceId,
    /// When, seconds since the Unix epoch.
    pub at: u64,
    /// Where the workflow is: where the stream that is furthest behind is.
    pub state: StreamState,
    /// In words, when there is something to say: what it waits for, why it failed.
    pub message: String,
    /// Age of the newest source state the target has, milliseconds; of several the oldest.
    pub lag_ms: Option<u64>,
    /// The applied position, cut where it is long.
    pub position: String,
    /// Rows copied per second, lately.
    pub copy_rows_per_second: u64,
    /// Bytes copied per second, lately.
    pub copy_bytes_per_second: u64,
    /// Row changes applied per second, lately.
    pub changes_per_second: u64,
    /// Source transactions passed since this engine took over.
    pub txns: u64,
    /// Row changes applied since then.
    pub changes: u64,
    /// Why copying waits, if it does.
    pub throttled: Option<String>,
    /// What should be seen to before it bites.
    pub warning: Option<String>,
    /// By table; the largest unfinished ones where all would be too many.
    pub tables: BTreeMap<TableName, TableStatus>,
    /// How many tables there are in all.
    pub table_count: u64,
    /// By source shard, in their order; none before any stream has run.
    #[serde(default)]
    pub streams: Vec<StreamStatus>,
}

/// One stream in a report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StreamStatus {
    /// The shard that is read.
    pub source_shard: ShardName,
    /// Where the stream is.
    pub state: StreamState,
    /// In words, when there is something to say.
    pub message: String,
    /// Age of the newest state of the source that all targets have, milliseconds.
    pub lag_ms: Option<u64>,
    /// What all targets have, cut where it is long.
    pub position: String,
    /// Rows it has copied.
    pub rows: u64,
}

impl Record for Status {
    const KIND: &'static str = "workflow status";
    const VERSION: u32 = 1;
}

/// What happened to a workflow, newest last.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Log {
    /// At most [`LOG_LINES`].
    pub lines: Vec<LogLine>,
}

/// One happening; the same again only raises the count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When it was last, seconds since the Unix epoch.
    pub at: u64,
    /// What.
    pub message: String,
    /// How often in a row.
    pub count: u64,
}

impl Log {
    /// Appends a line, or counts it if it says what the last one says.
    pub fn push(&mut self, at: u64, message: &str) {
        match self.lines.last_mut() {
            Some(last) if last.message == message => {
                last.at = at;
                last.count += 1;
            }
            _ => self.lines.push(LogLine { at, message: message.into(), count: 1 }),
        }
        let excess = self.lines.len().saturating_sub(LOG_LINES);
        self.lines.drain(..excess);
    }
}

impl Record for Log {
    const KIND: &'static str = "workflow log";
    const VERSION: u32 = 1;
}
