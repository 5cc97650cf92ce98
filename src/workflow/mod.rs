//! Workflows as decisions: what is asked for, whether it can be done, what is wanted of what runs. The engine does it.

pub mod carry;
pub mod control;
pub mod create;
pub mod fence;
mod flows;
pub mod held;
mod leftover;
pub mod preflight;
pub mod repair;
pub mod replace;
pub mod request;
pub mod rule_sets;
pub mod sequences;
pub mod switch;
pub mod watch;

use crate::engine::EngineError;
use crate::model::{KeyspaceName, WorkflowName};
use crate::mysql::MysqlError;
use crate::topology::TopologyError;

use preflight::Finding;

/// Why a request was not taken.
#[derive(Debug, thiserror::Error)]
pub enum WorkflowError {
    /// It makes no sense as it stands.
    #[error("{0}")]
    Request(String),
    /// There is one of this name.
    #[error("workflow {keyspace}/{name} exists already: `workflow resume` makes it go on, `{noun} cancel` undoes it")]
    Exists {
        /// Its keyspace.
        keyspace: KeyspaceName,
        /// Its name.
        name: WorkflowName,
        /// The command that deals with its kind.
        noun: &'static str,
    },
    /// Preflight found reasons against it.
    #[error("{count} thing(s) stand in the way; nothing was changed\n{findings}")]
    Refused {
        /// All of them, each with its cure.
        findings: String,
        /// How many.
        count: usize,
    },
    /// What it was judged by was written at the same time.
    #[error("another workflow, or a VSchema, was changed at the same time; nothing was started: try again")]
    Changed,
    /// The topology.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// A server.
    #[error(transparent)]
    Mysql(#[from] MysqlError),
    /// Resolving or reaching the two ends.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Findings as text, one paragraph each.
pub fn refusals(findings: &[Finding]) -> String {
    findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
