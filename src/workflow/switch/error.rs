//! Why a switch did not come about.

use std::time::Duration;

use crate::engine::EngineError;
use crate::model::GtidSet;
use crate::model::switch::Step;
use crate::mysql::MysqlError;
use crate::topology::TopologyError;
use crate::workflow::fence::FenceError;

/// An error of a switch. Up to the commit every one of them leads to its undoing.
#[derive(Debug, thiserror::Error)]
pub enum SwitchError {
    /// It must not begin as things are.
    #[error("{0}")]
    Refused(String),
    /// A step took longer than writes may be held back.
    #[error(
        "step {step} was not done within {} ms of the pause's announcement: {waiting}", limit.as_millis()
    )]
    TooSlow {
        /// The step.
        step: Step,
        /// What it was waiting for.
        waiting: String,
        /// The most a pause may take.
        limit: Duration,
    },
    /// The target does not have everything although the stream said so.
    #[error("after the streams were frozen the new side lacks {missing}; this should not be: please report it")]
    Lacking {
        /// What it lacks.
        missing: GtidSet,
    },
    /// A primary that was promoted does not have what the one before it was given.
    #[error(
        "{side}: this primary lacks transactions that the one before it had when traffic came here ({missing}): it stays \
         closed. Make the former primary, or a replica that has them, the primary again (`shard set-primary`)"
    )]
    Lacks {
        /// Which.
        side: String,
        /// What it lacks.
        missing: GtidSet,
    },
    /// Tablets, rules or the record have changed under it.
    #[error("the topology has changed meanwhile ({what}): try again")]
    Changed {
        /// What.
        what: String,
    },
    /// A failure that a test asked for.
    #[error("failpoint {0}")]
    Failpoint(String),
    /// A fence.
    #[error(transparent)]
    Fence(Box<FenceError>),
    /// A stream, or reaching a side.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A server.
    #[error(transparent)]
    Mysql(#[from] MysqlError),
    /// The topology.
    #[error(transparent)]
    Topology(#[from] TopologyError),
}

impl From<FenceError> for SwitchError {
    fn from(error: FenceError) -> Self {
        Self::Fence(Box::new(error))
    }
}

impl SwitchError {
    /// As an error of the engine's, where a stream is what fails by it.
    pub fn into_engine(self) -> EngineError {
        match self {
            Self::Engine(error) => error,
            Self::Fence(error) => match *error {
                FenceError::Server { source, .. } => source,
                other => EngineError::Fence(other.to_string()),
            },
            Self::Mysql(error) => error.into(),
            Self::Topology(error) => error.into(),
            other => EngineError::Fence(other.to_string()),
        }
    }
}
