//! What can go wrong with a fence, and what to do about it.

use std::time::Duration;

use crate::engine::EngineError;
use crate::engine::error::Class;
use crate::model::fence::Epoch;
use crate::model::{TableName, WorkflowName};
use crate::mysql::admin::{OpenTransaction, PreparedXa};

/// An error of a fence.
#[derive(Debug, thiserror::Error)]
pub enum FenceError {
    /// A server's answer, or its silence.
    #[error("fence of workflow {workflow}: {source}")]
    Server {
        /// The workflow.
        workflow: WorkflowName,
        /// Which server and what.
        source: EngineError,
    },
    /// The row is gone.
    #[error(
        "fence of workflow {workflow}, {side}: its row in _shardlift.fence is missing, so that armed tables refuse every \
         write. Somebody has deleted it or restored the schema: cancel the workflow, or pause and resume it, which puts the \
         row back"
    )]
    Missing {
        /// The workflow.
        workflow: WorkflowName,
        /// The server.
        side: String,
    },
    /// Somebody with a higher epoch was here.
    #[error(
        "fence of workflow {workflow}, {side}: it is {} since epoch {found}, and epoch {asked} comes too late: another engine \
         has taken over, or this attempt was undone", if *.closed { "closed" } else { "open" }
    )]
    Superseded {
        /// The workflow.
        workflow: WorkflowName,
        /// The server.
        side: String,
        /// The epoch that came too late.
        asked: Epoch,
        /// The row's.
        found: Epoch,
        /// The row's.
        closed: bool,
    },
    /// The triggers are not as they must be.
    #[error("fence of workflow {workflow}, {side}: it would not hold: {}. Undo the switch and try again", problems.join("; "))]
    Altered {
        /// The workflow.
        workflow: WorkflowName,
        /// The server.
        side: String,
        /// What is missing or altered, each in words.
        problems: Vec<String>,
    },
    /// A table's metadata could not be locked.
    #[error(
        "fence of workflow {workflow}, {side}: table {table} was in use for {} ms; {}", waited.as_millis(), suspects(blockers)
    )]
    Blocked {
        /// The workflow.
        workflow: WorkflowName,
        /// The server.
        side: String,
        /// The table.
        table: TableName,
        /// How long it was tried.
        waited: Duration,
        /// Who may have it.
        blockers: Vec<OpenTransaction>,
    },
    /// The row could not be locked: some writer does not come to an end.
    #[error(
        "fence of workflow {workflow}, {side}: writers did not come to an end within {} ms ({tries} tries); {}",
        waited.as_millis(), suspects(blockers)
    )]
    Held {
        /// The workflow.
        workflow: WorkflowName,
        /// The server.
        side: String,
        /// How long it was tried.
        waited: Duration,
        /// How often.
        tries: u32,
        /// Who may hold it.
        blockers: Vec<OpenTransaction>,
    },
    /// Prepared XA transactions may commit through a closed fence.
    #[error(
        "fence of workflow {workflow}, {side}: prepared XA transactions ({}) could commit although it is closed, so it was \
         opened again. Commit or roll them back, then try again",
        xids.iter().map(|xa| xa.xid.as_str()).collect::<Vec<_>>().join(", ")
    )]
    PreparedXa {
        /// The workflow.
        workflow: WorkflowName,
        /// The server.
        side: String,
        /// Their ids.
        xids: Vec<PreparedXa>,
    },
}

/// In words.
fn suspects(blockers: &[OpenTransaction]) -> String {
    const NAMED: usize = 3;
    if blockers.is_empty() {
        return "no open transaction is visible; look for LOCK TABLES and FLUSH TABLES in SHOW PROCESSLIST".into();
    }
    let named: Vec<_> = blockers.iter().take(NAMED).map(ToString::to_string).collect();
    let more = blockers.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!(
        "open there, oldest first: {}{more}. End what stands in the way (KILL <connection>), then try again",
        named.join("; ")
    )
}

impl FenceError {
    /// What to do after it.
    pub fn class(&self) -> Class {
        match self {
            Self::Server { source, .. } => source.class(),
            Self::Missing { .. } => Class::Fatal,
            Self::Superseded { .. } => Class::NotOwner,
            Self::Altered { .. } | Self::Blocked { .. } | Self::Held { .. } | Self::PreparedXa { .. } => Class::Retry,
        }
    }
}
