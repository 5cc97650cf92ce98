//! What the scenarios stand on: real servers, the real program, and judges of their own.
//!
//! Invariants:
//! - Nothing here reads or writes rows through the product: a judge that shares code with the judged repeats its mistakes.
//! - Every wait has a deadline and says what it saw last.
//! - A test that fails keeps its folder and prints where it is; one that passes leaves nothing.

mod cluster;
mod compare;
mod gateway;
mod ledger;
mod program;
mod sql;
mod trace;
mod wait;

pub use cluster::{TestCluster, servers};
pub use compare::compare_tables;
pub use gateway::Gateway;
pub use ledger::{Ledger, Load};
pub use program::{Running, Shardlift};
pub use sql::Db;
pub use trace::Trace;
pub use wait::until;
