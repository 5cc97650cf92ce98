//! How a workflow gets on, as anyone sees it who can read the topology: in words, as bars, or as something to wait for.
//!
//! Invariant: nothing here changes anything; whoever stops looking leaves the workflow as it was.

mod bars;
mod watching;
mod words;

pub use self::bars::Bars;
pub use self::watching::{Sight, Watching};
pub use self::words::{copied, eta, state_of, summary};
use crate::model::{KeyspaceName, WorkflowName};
use crate::topology::TopologyError;

/// Why watching ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum ProgressError {
    /// It rests after an error; the operator has to see to it.
    #[error("workflow {keyspace}/{name} is in state Error: {message}")]
    Stopped {
        /// The keyspace it moves tables into.
        keyspace: KeyspaceName,
        /// Its name.
        name: WorkflowName,
        /// The first cause.
        message: String,
    },
    /// It did not get there in time.
    #[error("the workflow is still {state} after {seconds} s: {message}")]
    TooSlow {
        /// Where it is.
        state: String,
        /// How long it was waited for.
        seconds: u64,
        /// What it says.
        message: String,
    },
    /// The topology.
    #[error(transparent)]
    Topology(#[from] TopologyError),
}
