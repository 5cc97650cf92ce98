//! The fence that closes tables to writers, whichever way they come (design §5.1).
//!
//! A row in `_shardlift.fence` and three triggers a table, on each primary with tables of a workflow. Every write of an
//! application holds the row shared until it commits, by its trigger; closing is an UPDATE of that row, which therefore waits
//! for every writer in flight and, once committed, turns all others away with [`FENCE_ERRNO`](crate::model::FENCE_ERRNO).
//!
//! # Invariants
//! - After [`close`] has answered, no row of a fenced table changes on those servers but by the workflow's own streams, until
//!   [`open`]; and every change before it is in the position that [`close`] answers with, and precedes the fence's own
//!   transaction in the binlog.
//! - Fences are closed all or none: a failure rolls all back, and what was committed all the same is opened again. (One after
//!   another they would deadlock with transactions over several servers.)
//! - `epoch` of a row only grows. Whoever comes with an epoch that is not above it changes nothing: it is a straggler.
//! - Triggers fail shut: no row, or a session that hides from the binlog, is refused like a closed fence. So the row outlives
//!   the triggers: [`forget`] drops these first.
//! - Sessions that may hold a lock on a fence's row are ended by the server soon after their engine falls silent, and all of
//!   a fence's sessions carry a mark by which [`take_over`] ends those of an earlier owner.
//!
//! | when | what |
//! |---|---|
//! | a workflow starts | [`ensure`] on every primary of both sides |
//! | an engine takes a workflow over | [`take_over`] |
//! | a switch begins | [`shut`] the side that opens later; [`arm`] both |
//! | the pause | [`Guard::take`], [`check`], [`Closing`], [`Opening`] |
//! | its end, or its undoing | [`open`]; [`disarm`] where no switch came about yet |
//! | the workflow goes | [`forget`] |

mod arm;
mod close;
mod error;
mod evict;
mod guard;
mod opening;
mod patience;
mod row;
mod session;
mod trigger;

use uuid::Uuid;

use crate::engine::connect::Side;
use crate::model::{KeyspaceName, ShardName, TableName, WorkflowName};

pub use arm::{arm, armed, check, disarm};
pub use close::{Closed, Closing, close};
pub use error::FenceError;
pub use guard::Guard;
pub use opening::{Opening, Poised};
pub use row::{FenceState, Outcome, ensure, ensure_closed, forget, open, shut, state};
pub use session::take_over;

/// Which row of `_shardlift.fence` it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FenceKey {
    /// The workflow's identity, by which its streams pass.
    pub uid: Uuid,
    /// Whose tables are fenced.
    pub keyspace: KeyspaceName,
    /// And in which shard.
    pub shard: ShardName,
}

impl FenceKey {
    /// The condition that finds the row, by equality on the whole primary key: a wider one would lock less or more
    /// (protocol-review A15). The alphabets of these names need no quoting.
    fn condition(&self) -> String {
        let Self { uid, keyspace, shard } = self;
        format!("workflow_uid = '{uid}' AND keyspace = '{keyspace}' AND shard = '{shard}'")
    }
}

/// The fence round a workflow's tables on one server.
#[derive(Debug, Clone)]
pub struct Fence {
    /// Its row.
    pub key: FenceKey,
    /// The primary it is on, and the database of the tables.
    pub side: Side,
    /// The workflow's name, for messages.
    pub workflow: WorkflowName,
    /// The tables.
    pub tables: Vec<TableName>,
    /// Where writes belong that are turned away, for the message: a keyspace, or shards of it.
    pub home: String,
}
