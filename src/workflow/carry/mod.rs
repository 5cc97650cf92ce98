//! Carrying workflows: an engine process claims those nobody carries and brings about what their records want.
//!
//! | module | what it does |
//! |---|---|
//! | [`supervisor`] | one lease, the workflows claimed under it |
//! | [`runner`] | one workflow: looks at its record, does what it wants |
//! | [`desk`] | what an owner reads and writes in the topology |
//! | [`streaming`] | runs the stream of the present direction, watching the record |
//! | [`switching`] | its part in a switch of traffic |
//! | [`settle`], [`cleanup`], [`complete`] | the workflow's end: undone, or its tables the target's for good |
//! | [`report`], [`replica_lag`], [`strikes`] | its status, its throttle, its patience |

mod cleanup;
mod complete;
mod desk;
mod replica_lag;
pub mod report;
mod runner;
mod settle;
mod streaming;
mod strikes;
pub mod supervisor;
mod switching;

pub use desk::Desk;
pub use report::now;
pub use streaming::{Streaming, key_of};
