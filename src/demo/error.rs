//! What can go wrong in a demo.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::daemon::gateway::GatewayError;
use crate::engine::EngineError;
use crate::gateway::client::UsersError;
use crate::local::LocalError;
use crate::model::NameError;
use crate::progress::ProgressError;
use crate::topology::TopologyError;
use crate::workflow::WorkflowError;

/// Why the demo did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// Ctrl-C or SIGTERM.
    #[error("interrupted")]
    Interrupted,
    /// The folder could not be made, read or removed.
    #[error("cannot {doing} {path}: {cause}")]
    Folder {
        /// What was tried, as a verb.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        cause: io::Error,
    },
    /// The folder holds something.
    #[error("{0} is not empty, and the demo removes its folder in the end: name a new or an empty one with --dir")]
    NotEmpty(PathBuf),
    /// Standard output is closed.
    #[error("nobody reads what the demo prints")]
    Output(#[from] io::Error),
    /// A statement failed.
    #[error("{database}: {doing}")]
    Sql {
        /// On which database.
        database: &'static str,
        /// What it was for.
        doing: &'static str,
        /// The server's answer.
        source: mysql_async::Error,
    },
    /// Something took longer than it may.
    #[error("{database}: {doing} did not finish within {} s", after.as_secs())]
    Timeout {
        /// On which database.
        database: &'static str,
        /// What it was for.
        doing: &'static str,
        /// How long it was waited for.
        after: Duration,
    },
    /// A result is not of the form that the demo's own tables have.
    #[error("{database}: {what}")]
    Unexpected {
        /// On which database.
        database: &'static str,
        /// What is odd.
        what: String,
    },
    /// A task of the demo's own broke off.
    #[error("a task of the demo broke off")]
    Task(#[from] tokio::task::JoinError),
    /// A fixed name is not a name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A server.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// The workflow could not be started.
    #[error(transparent)]
    Workflow(#[from] WorkflowError),
    /// The workflow did not get on.
    #[error(transparent)]
    Progress(#[from] ProgressError),
    /// Traffic was not switched.
    #[error("the switch was undone: {0}")]
    Undone(String),
    /// The topology.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// The gateway ended while it was needed.
    #[error("the gateway ended")]
    GatewayEnded,
    /// The gateway.
    #[error("the gateway: {0}")]
    Gateway(#[from] GatewayError),
    /// The gateway's users.
    #[error(transparent)]
    Users(#[from] UsersError),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
}
