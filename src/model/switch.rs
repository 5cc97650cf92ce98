//! A switch of traffic between the two sides of a workflow: what is asked for, and how far it is.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::workflow::{TabletType, words};

words!(/// Which way.
    Direction, "direction" {
        /// From the source to the target: `switch-traffic`.
        Forward = "Forward",
        /// Back: `reverse-traffic`.
        Backward = "Backward",
});

impl Direction {
    /// The other one.
    pub fn opposite(self) -> Self {
        match self {
            Self::Forward => Self::Backward,
            Self::Backward => Self::Forward,
        }
    }
}

words!(/// The steps of a switch, in their order (design §5.2). Up to [`Step::Commit`] all is undone on failure.
    Step, "step" {
        /// Whether it may begin; waits until the stream is level.
        Check = "check",
        /// Triggers on the closing side, open; on the opening side, closed. Counters raised with headroom.
        Arm = "arm",
        /// Gateways hold writes.
        Pause = "pause",
        /// The fence is closed: no write is accepted on either side from here to the end.
        Close = "close",
        /// Everything that was written has arrived; then the streams are frozen.
        Drain = "drain",
        /// Counters compared; the streams of the way back created.
        Ready = "ready",
        /// One transaction of the topology: the point of no return.
        Commit = "commit",
        /// The new side is opened, the way back runs.
        Open = "open",
});

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwitchRequest {
    /// Tells it from every other one.
    pub uid: Uuid,
    /// Which way.
    pub direction: Direction,
    /// The types of traffic to switch; PRIMARY among them means writes.
    pub types: BTreeSet<TabletType>,
    /// How long to wait for the stream to be level, and for long transactions to end, milliseconds.
    pub timeout_ms: u64,
    /// The most the stream may lag when this is asked for, milliseconds.
    pub max_lag_ms: u64,
    /// Whether changes are replicated back from then on.
    pub way_back: bool,
    /// Whether statements and programs with tables of both sides are accepted, though they will fail.
    #[serde(default)]
    pub allow_cross_keyspace: bool,
}

impl SwitchRequest {
    /// Whether writes are among what is switched.
    pub fn writes(&self) -> bool {
        self.types.contains(&TabletType::Primary)
    }
}

/// How far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum Phase {
    /// No engine has begun.
    Asked,
    /// An engine is at this step, which comes before the point of no return. Any other engine that finds this undoes it.
    Doing {
        /// The step.
        step: Step,
    },
    /// It is being undone.
    Undoing {
        /// Why.
        why: String,
    },
    /// It is committed and is being brought to its end, whatever happens.
    Finishing,
    /// It is done.
    Done,
    /// It is undone, or was refused: everything is as before.
    Undone {
        /// Why.
        why: String,
    },
}

impl Phase {
    /// Whether there is something left to do.
    pub fn is_settled(&self) -> bool {
        matches!(self, Self::Done | Self::Undone { .. })
    }
}

/// A switch: the last one asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switch {
    /// What was asked for.
    pub request: SwitchRequest,
    /// How far it is.
    #[serde(flatten)]
    pub phase: Phase,
    /// When it came to this phase, seconds since the Unix epoch.
    pub at: u64,
    /// What the new side had of each shard of the old one at the commit, GTID sets in the order of the shards.
    #[serde(default)]
    pub drained: Vec<String>,
    /// From the announcement of the pause to the opened side, milliseconds; known at the end.
    pub pause_ms: Option<u64>,
    /// What the operator should know although it is done.
    pub warning: Option<String>,
}
