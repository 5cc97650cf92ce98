//! The nouns of the domain. Nothing here does I/O, knows a clock or a server.
//!
//! Names, GTID sets, key ranges and rows are types of their own, so that a keyspace cannot be passed for a
//! database, nor a position be compared as text.

pub mod change;
pub mod closed;
pub mod fence;
pub mod keyrange;
pub mod names;
pub mod position;
pub mod routing;
pub mod row;
pub mod switch;
pub mod table;
pub mod vschema;
pub mod workflow;

pub use change::{RowChange, Txn};
pub use closed::{Broken, ClosedShard, ClosedSide};
pub use fence::{Epoch, FENCE_ERRNO, FenceEvent, FenceTrigger};
pub use keyrange::KeyRange;
pub use names::{
    Cell, ClusterName, CredentialName, DatabaseName, InstanceId, KeyspaceName, NameError, ShardName, TableName,
    TabletAlias, WorkflowName,
};
pub use position::{Gtid, GtidSet};
pub use row::{Row, RowBuilder};
pub use table::{Column, ColumnKind, Key, TableDef};
pub use vschema::VSchema;
